"""`lookalike import` says how it reads a feed, and shows what it would do without doing it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backend import cli
from backend.settings import Settings

EXPORT = """Handle,Title,Type,Variant SKU,Variant Price,Image Src
scarf,"[/x] Wool [bold]scarf",Scarves,SC-R,19.90,https://c/1.jpg
scarf,,,SC-B,21.00,
scarf,,,,,https://c/2.jpg
"""


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, usual_logs: None
) -> Callable[..., Any]:
    """Runs `lookalike import …` on a catalogue of the test's own."""
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(settings.data_dir.parent)

    def invoke(*arguments: str, code: int = 0) -> Any:
        ran = CliRunner().invoke(cli.app, ["import", *arguments])
        assert ran.exit_code == code, ran.output
        return ran

    return invoke


def test_a_dry_run_prints_mapping_products_and_counts_and_writes_nothing(
    run: Callable[..., Any], tmp_path: Path, settings: Settings
) -> None:
    feed = tmp_path / "feed.csv"
    feed.write_text(EXPORT)
    before = sorted(settings.data_dir.rglob("*"))
    shown = run(str(feed), "--dry-run").output
    assert "Read as Shopify's product export (CSV)." in shown
    assert "sku = Variant SKU" in shown
    assert "[/x] Wool [bold]scarf" in shown
    assert "products 2" in shown
    assert sorted(settings.data_dir.rglob("*")) == before

    found = json.loads(run(str(feed), "--dry-run", "--json").stdout)
    assert found["columns"]["display_name"] == "Title"
    assert [product["sku"] for product in found["first"]] == ["SC-R", "SC-B"]
    assert found["first"][0]["more_images"] == ["https://c/2.jpg"]
    assert (found["products"], found["rejected"]) == (2, 0)


def test_an_import_says_which_platform_it_has_recognised(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    feed = tmp_path / "feed.csv"
    feed.write_text(EXPORT)
    assert "Shopify" in run(str(feed)).output
    assert "plain table" in run(str(feed), "--format", "table", "--map", "sku=Variant SKU").output


def test_brackets_in_a_feed_are_no_markup(run: Callable[..., Any], tmp_path: Path) -> None:
    feed = tmp_path / "feed.csv"
    feed.write_text("sku,name,image\n[/x],Hat\nA,Hat,[/y].jpg\nB,Hat,[bold]/z\n")
    shown = run(str(feed)).output
    assert "sku [/x]" in shown
    assert "[/y].jpg" in shown
    assert "[bold]/z" in shown


def test_what_is_wrong_with_a_format_or_a_delimiter_is_said(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    feed = tmp_path / "feed.csv"
    feed.write_text(EXPORT)
    for option in (("--format", "prestashop"), ("--delimiter", "ab"), ("--encoding", "klingon")):
        ran = CliRunner().invoke(cli.app, ["import", str(feed), *option])
        assert ran.exit_code == 1
        assert option[1] in str(ran.exception)


def test_a_last_line_without_its_end_is_reported(run: Callable[..., Any], tmp_path: Path) -> None:
    feed = tmp_path / "feed.csv"
    feed.write_text("sku,name\nA,Hat\nB,Ca")
    assert "may be cut off" in run(str(feed)).output


def test_the_help_lists_fields_and_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = CliRunner().invoke(cli.app, ["import", "--help"]).output
    for word in ("master_category", "image_uri", "woocommerce", "--dry-run"):
        assert word in shown


def test_a_dry_run_shows_what_could_not_be_stored(run: Callable[..., Any], tmp_path: Path) -> None:
    feed = tmp_path / "feed.csv"
    feed.write_text("sku,year\nA,1200\n..,2020\n")
    found = json.loads(run(str(feed), "--dry-run", "--json").stdout)
    assert (found["products"], found["rejected"]) == (1, 1)
    assert any(warning["kind"] == "value" for warning in found["warning_examples"])


def test_an_import_that_nobody_watches_leaves_lines(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    feed = tmp_path / "feed.csv"
    feed.write_text(EXPORT)
    said = run(str(feed), "--json").stderr.splitlines()
    lines = [json.loads(line) for line in said]  # and no progress bar between them
    started, ended = (line for line in lines if line["event"].startswith("import"))
    assert (started["event"], started["path"], started["rows"]) == (
        "import started",
        str(feed),
        2,
    )
    assert (ended["event"], ended["added"], ended["rejected"]) == ("import ended", 2, 0)


def test_options_and_a_mapping_file_declare_numbers(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    feed, mapping = tmp_path / "feed.csv", tmp_path / "mapping.toml"
    feed.write_text("sku,size,rating\na,40,4.5\n")
    mapping.write_text('numeric = ["size"]\n')
    options = ("--mapping-file", str(mapping), "--numeric", "rating", "--dry-run", "--json")
    (first,) = json.loads(run(str(feed), *options).stdout)["first"]
    assert first["attributes"] == {"size": 40, "rating": 4.5}
