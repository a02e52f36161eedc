"""An indexing run leaves lines with counts; a single write leaves none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from support.image_files import colour_image
from support.shop import Shop, stock

from backend.logs import run_log
from backend.settings import Settings
from backend.worker.run_log import WORTH_PRODUCTS


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as found:
        yield found


def about(lines: list[Any], *events: str) -> list[Any]:
    return [line for line in lines if line["event"].startswith(events)]


def test_work_on_many_products_is_told_from_start_to_end(
    settings: Settings, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log, "PROGRESS_SECONDS", 0)
    with Shop(settings) as shop:
        stock(shop.db, shop.generation, 5 * WORTH_PRODUCTS)
        shop.work()
    found = about(lines, "indexing")
    events = [line["event"] for line in found]
    assert events[0] == "indexing started"
    assert set(events[1:-1]) == {"indexing goes on"}
    assert events[-1] == "indexing ended"
    assert (found[-1]["applied"], found[-1]["embedded"]) == (5 * WORTH_PRODUCTS, 0)
    assert found[-1]["seconds"] >= 0


def test_a_single_write_is_told_by_its_request_alone(shop: Shop, lines: list[Any]) -> None:
    shop.put("1", "red")
    shop.work()
    assert about(lines, "indexing") == []


def test_a_job_is_told_with_its_result(shop: Shop, lines: list[Any]) -> None:
    shop.save("1", colour_image("red"))
    shop.save("none", None)
    shop.run("index")
    started, ended = about(lines, "job")
    assert (started["event"], started["verb"]) == ("job started", "index")
    assert (ended["event"], ended["indexed"], ended["quarantined"]) == ("job ended", 1, 1)


def test_a_job_that_fails_is_told_with_its_error(shop: Shop, lines: list[Any]) -> None:
    with pytest.raises(AssertionError):
        shop.run("optimize", generation=4711)
    assert [line["event"] for line in about(lines, "job")] == ["job started", "job failed"]
    assert "4711" in about(lines, "job failed")[0]["error"]
