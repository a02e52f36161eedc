"""`lookalike reindex` and `lookalike generations`, in one process without a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from support.shop import QUICK, Shop, four_products
from typer.testing import Result

from backend.cli.status import print_status
from backend.settings import Settings

Run = Callable[..., Result]


@pytest.fixture
def stocked(settings: Settings, run_command: Run) -> Run:
    """Commands on a catalogue of four products, which no process serves."""
    with Shop(settings, **QUICK) as shop:
        four_products(shop)
    return run_command


def asked(run: Run, *arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def states(run: Run) -> Mapping[int, str]:
    return {item["id"]: item["state"] for item in asked(run, "generations", "list")["items"]}


def test_a_generation_is_built_promoted_rolled_back_and_dropped(stocked: Run) -> None:
    (first,) = states(stocked)
    second = asked(stocked, "reindex", "--embedder", "mean-colour?grid=2", "--force")["id"]
    assert states(stocked) == {second: "active", first: "standby"}

    assert asked(stocked, "generations", "rollback", "--force")["id"] == first
    assert states(stocked) == {second: "standby", first: "active"}

    assert asked(stocked, "generations", "drop", str(second))["state"] == "retired"
    assert "mean-colour" in stocked("generations", "list").output
    assert "retired" in stocked("generations", "show", str(second)).output


@pytest.mark.slow
def test_what_was_built_by_hand_is_promoted_by_hand(stocked: Run) -> None:
    (first,) = states(stocked)
    second = asked(stocked, "reindex", "--hnsw", "m=8", "--promote", "manual")["id"]
    assert states(stocked) == {second: "building", first: "active"}
    assert asked(stocked, "generations", "promote", "--force")["id"] == second
    assert states(stocked) == {second: "active", first: "standby"}


def test_what_cannot_be_done_changes_nothing(stocked: Run) -> None:
    (first,) = states(stocked)
    assert "--hnsw" in stocked("reindex", "--hnsw", "m=many", code=2).output
    for arguments, reason in (
        (("show", "999"), "no generation 999"),
        (("drop", str(first)), "active"),
        (("rollback",), "standby"),
        (("promote",), "generation"),
    ):
        assert reason in str(stocked("generations", *arguments, code=1).exception)
    assert states(stocked) == {first: "active"}


def test_status_names_an_adapted_embedder_by_eight_digits(
    stocked: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    now = asked(stocked, "status")
    now["generation"]["embedder"] = f"lookalike-blocks?adapted={'0123456789abcdef' * 4}"
    print_status(now, as_json=False)
    assert "lookalike-blocks?adapted=01234567…, " in capsys.readouterr().out
