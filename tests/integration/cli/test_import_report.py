"""`lookalike import` prints what was wrong as it stands in the data; its exit code is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backend import cli
from backend.settings import Settings


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, usual_logs: None
) -> Callable[..., Any]:
    """Imports a table into a catalogue of the test's own."""
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(settings.data_dir.parent)

    def invoke(text: str, *options: str) -> Any:
        Path("feed.csv").write_text(text, "utf-8")
        return CliRunner().invoke(cli.app, ["import", "feed.csv", *options])

    return invoke


BAD = "sku,name\na,x\n..,y\n"


def test_strict_ends_with_an_error_if_a_row_was_rejected(run: Callable[..., Any]) -> None:
    assert run(BAD).exit_code == 0
    assert run(BAD, "--strict").exit_code == 1
    strict = run(BAD, "--strict", "--json")
    assert strict.exit_code == 1
    assert json.loads(strict.stdout)["unchanged"] == 1, "and the other rows were taken"
    assert run("sku,name\na,x\n", "--strict").exit_code == 0


def test_an_import_makes_the_folder_of_its_report(
    run: Callable[..., Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database on a server keeps nothing in the data folder, so nothing made it before."""
    settings.data_dir.parent.mkdir(exist_ok=True)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{settings.data_dir.parent}/db.sqlite")
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", "not/there/yet")
    found = run(BAD)
    assert found.exit_code == 0, found.output
    assert json.loads(Path("not/there/yet/last-import.json").read_text("utf-8"))["rejected"] == 1


def test_an_import_is_done_without_its_usual_report(
    run: Callable[..., Any], settings: Settings
) -> None:
    usual = settings.data_dir / "last-import.json"
    usual.mkdir(parents=True)
    found = run(BAD, "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["report"] is None
    assert str(usual) in found.stderr
    assert run(BAD, "--report", str(usual)).exit_code != 0, "a report that was asked for"


def test_json_counts_the_warnings_of_each_kind(run: Callable[..., Any]) -> None:
    found = json.loads(run("sku,price,image\na,cheap,../a.jpg\n", "--json").stdout)
    kinds = found["warnings_by_kind"]
    assert {kind: it["count"] for kind, it in kinds.items()} == {"price": 1, "image": 1}
    assert kinds["price"]["first"][0]["line"] == 2


@pytest.mark.parametrize(("decimal", "code"), [(",", 0), (".", 0), (";", 2)])
def test_decimal_takes_a_comma_or_a_point(run: Callable[..., Any], decimal: str, code: int) -> None:
    assert run("sku,price\na,1.299\n", "--decimal", decimal).exit_code == code


def test_text_of_the_data_is_printed_as_it_is(run: Callable[..., Any]) -> None:
    ran = run("sku,year\n[/x]\t[/y],1\n[/z],[/bold]\n")
    assert ran.exit_code == 0, ran.output
    assert "[/x][/y]" in "".join(ran.output.split())
    assert "'[/bold]' is not a year" in ran.output


def test_a_prune_that_would_take_too_much_is_said_and_ends_with_an_error(
    run: Callable[..., Any],
) -> None:
    run("sku,name\n" + "".join(f"{n},x\n" for n in range(40)))
    few = "sku,name\n1,x\n2,x\n"
    refused = run(few, "--prune")
    assert refused.exit_code == 1
    assert "nothing was pruned: 38 of 40 products" in refused.stderr
    assert "--prune-at-most" in refused.stderr
    told = run(few, "--prune", "--json")
    assert told.exit_code == 1
    found = json.loads(told.stdout)
    assert (found["unchanged"], found["removed"]) == (2, 0)
    assert found["not_pruned"].startswith("nothing was pruned: 38 of 40")
    assert found["warnings_by_kind"]["prune"]["count"] == 1
    allowed = run(few, "--prune", "--prune-at-most", "100%", "--json")
    assert (allowed.exit_code, json.loads(allowed.stdout)["removed"]) == (0, 38)


def test_what_is_said_of_the_whole_file_names_no_line(run: Callable[..., Any]) -> None:
    found = run("product_code,article_id,name\nP,1,Tee\nP,2,Tee\nP,3,Tee\n")
    assert "the whole file: the sku is the column 'article_id'" in found.output
    assert "line 5" not in found.output, "which the file does not have"
