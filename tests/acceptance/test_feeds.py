"""A running server or a worker imports each feed that is due, also after a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from support.catalogue import draw_catalogue
from support.installation import PATIENCE_SECONDS, Installation, distributed, embedded
from support.qdrant_wire import Wire
from support.servers import wait_for

from backend import jobs
from backend.database.models import FeedRun, Job, Product
from backend.feeds.schedule import VERB

ROWS = 40_000


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Installation]:
    with embedded(tmp_path, embedder="mean-colour", poll_seconds=0.1) as found:
        yield found


def outcomes(shop: Installation) -> list[str]:
    with shop.db.read() as session:
        return list(session.scalars(select(FeedRun.outcome).order_by(FeedRun.id)))


def wait(what: Callable[[], Any]) -> Any:
    return wait_for(what, seconds=PATIENCE_SECONDS, every=0.02)


def products(shop: Installation) -> int:
    with shop.db.read() as session:
        return session.scalar(select(func.count(Product.id))) or 0


def test_a_running_server_imports_a_feed_that_was_added(shop: Installation) -> None:
    shop.api()
    shop.run("feeds", "add", str(draw_catalogue(shop.folder / "shop", 20)), "--every", "1h")
    shop.wait_until_indexed(20)
    assert outcomes(shop) == ["imported"]


@pytest.mark.slow
def test_a_run_that_is_killed_in_the_middle_is_begun_again(shop: Installation) -> None:
    table = shop.folder / "feed.csv"
    table.write_text("sku,name\n" + "".join(f"s{n},Shirt {n}\n" for n in range(ROWS)))
    shop.api()
    shop.run("feeds", "add", str(table), "--every", "1h")

    wait(lambda: 0 < products(shop) < ROWS)
    shop.kill_api()
    assert outcomes(shop) == ["running"]
    shop.api()
    wait(lambda: outcomes(shop)[-1] == "imported")
    assert outcomes(shop) == ["interrupted", "imported"]
    assert products(shop) == ROWS
    with shop.db.read() as session:
        (job,) = session.scalars(select(Job).where(Job.verb == VERB))
    wait(lambda: (found := jobs.read(shop.db, job.id)) and found.state == jobs.DONE)


@pytest.mark.slow
def test_a_worker_imports_a_due_feed(tmp_path: Path, postgres_url: str) -> None:
    wire = Wire()
    qdrant = {"qdrant_url": "http://127.0.0.1", "qdrant_grpc_port": wire.port}
    try:
        with distributed(tmp_path, postgres_url, hang_seconds=60, **qdrant) as shop:
            shop.worker("one")
            shop.start("beat")
            shop.run("feeds", "add", str(draw_catalogue(tmp_path / "shop", 20)), "--every", "1h")
            wait(lambda: outcomes(shop) == ["imported"])
            shop.wait_until_indexed(20)
    finally:
        wire.stop()
