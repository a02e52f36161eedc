"""Commands about embedders: adapt one to the shop, and list what there is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.shop import QUICK, Shop, four_products
from typer.testing import Result

from backend import embedders
from backend.cli.adapt import say_outcome
from backend.cli.status import print_status
from backend.embedders import available
from backend.settings import Settings
from backend.status import status

Run = Callable[..., Result]


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    with Shop(settings, **QUICK) as one:
        four_products(one)
        yield one


def test_adapt_says_why_it_changed_nothing(shop: Shop, run_command: Run) -> None:
    before = shop.generation_in("active").id
    tried = run_command("adapt", "--try")
    assert "not adapted: " in tried.output
    assert "keeps no features" in tried.output
    answer = json.loads(run_command("adapt", "--try", "--json").stdout)
    assert answer["adaptation"]["embedder"] is None
    assert shop.generation_in("active").id == before


def test_an_index_that_lacks_features_is_told_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reason = {"embedder": None, "reason": "the present statistics are as good here"}
    say_outcome({"adaptation": reason})
    assert "--features" not in capsys.readouterr().err
    say_outcome({"adaptation": {**reason, "incomplete": {"images": 900, "of": 1_000}}})
    said = " ".join(capsys.readouterr().err.split())
    assert "900 of 1,000 images lack" in said
    assert "`lookalike adapt --features`" in said


def test_the_status_names_an_adapted_embedder_by_eight_digits(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    now = status(shop.services.db, shop.services.indexes.look_at_shard)
    spec = f"lookalike-blocks?adapted={'7954840a' * 8}"
    print_status({**now, "generation": {**now["generation"], "embedder": spec}}, as_json=False)
    said = capsys.readouterr().out
    assert "lookalike-blocks?adapted=7954840a…," in said
    assert "7954840a79" not in said


def test_embedders_are_listed_with_the_weights_that_they_read(run_command: Run) -> None:
    items = {
        one["name"]: one for one in json.loads(run_command("embedders", "--json").stdout)["items"]
    }
    listed = {name.partition("/")[0].partition("?")[0] for name in items}
    assert set(embedders.families()) <= listed
    fashion, blocks = items["lookalike-fashion"], items["lookalike-blocks"]
    assert blocks["weights_bytes"] > fashion["weights_bytes"] > 15e6
    assert (fashion["licence"], fashion["at_hand"]) == ("Apache-2.0", True)
    assert items["mean-colour"]["dimensions"] == embedders.load("mean-colour").size
    assert "lookalike-blocks" in run_command("embedders").output


def test_lost_weights_are_said(
    run_command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(available, "TUNED", tmp_path / "lost.npz")
    items = json.loads(run_command("embedders", "--json").stdout)["items"]
    assert (items[0]["at_hand"], items[0]["weights_bytes"]) == (False, None)
    assert "lost.npz" in items[0]["missing"]


def test_weights_in_the_repository_stay_small() -> None:
    folder = available.blocks.DATA
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 15e6
