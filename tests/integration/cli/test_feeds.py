"""`lookalike feeds` adds feeds, shows them and runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result


@pytest.fixture
def run(
    run_command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Runs `lookalike …` with two allowed hosts and the fast embedder."""
    monkeypatch.setenv("LOOKALIKE_FEED_HOSTS", "feeds.example,[::1]")
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", "mean-colour")
    monkeypatch.setenv("COLUMNS", "200")
    return run_command


def test_a_file_is_added_run_shown_and_removed(run: Callable[..., Result], tmp_path: Path) -> None:
    table = tmp_path / "my [red] feed.csv"
    table.write_text("number,name\nA,Hat\nB,Cap\n..,[/x]\n")
    added = json.loads(run("feeds", "add", str(table), "--map", "sku=number", "--json").stdout)
    assert (added["name"], added["location"]) == ("my-red-feed", str(table))
    assert (added["every_seconds"], added["options"]) == (86_400, {"map": {"sku": "number"}})
    ran = json.loads(run("feeds", "run", "my-red-feed", "--json").stdout)
    assert (ran["outcome"], ran["counts"]["added"]) == ("imported", 2)
    assert json.loads(run("status", "--json").stdout)["products"] == 2
    (item,) = json.loads(run("feeds", "list", "--json").stdout)["items"]
    assert item["last_run"]["counts"] == ran["counts"]
    listed = run("feeds", "list").stdout
    assert "added 2" in listed
    assert "[red]" in listed
    shown = json.loads(run("feeds", "show", "my-red-feed", "--json").stdout)
    assert shown["runs"][0]["rejects"][0]["reason"]
    assert "imported" in run("feeds", "show", "my-red-feed").stdout
    assert "Removed my-red-feed" in run("feeds", "remove", "my-red-feed").stdout
    assert "There are no feeds" in run("feeds", "list").stdout


def test_a_run_that_removed_nothing_although_it_should_ends_with_an_error(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    table = tmp_path / "feed.csv"
    table.write_text("sku\nA\nB\nC\n")
    run("feeds", "add", str(table), "--prune", "--every", "never")
    run("feeds", "run", "feed")
    table.write_text("sku\nA\n")
    ran = run("feeds", "run", "feed", code=1)
    assert "prune-refused" in ran.stdout
    assert "2 of 3 products" in ran.stderr


def test_an_address_is_added_paused_and_resumed(run: Callable[..., Result]) -> None:
    url = "https://feeds.example/x.xml?key=hunter2"
    added = run("feeds", "add", url, "--name", "x", "--every", "4h").stdout
    assert "https://feeds.example/x.xml?key=…" in added
    assert "hunter2" not in added + run("feeds", "list").stdout + run("feeds", "show", "x").stdout
    assert json.loads(run("feeds", "pause", "x", "--json").stdout)["paused"] is True
    assert "paused" in run("feeds", "list").stdout
    assert json.loads(run("feeds", "resume", "x", "--json").stdout)["due_at"]
    job = json.loads(run("feeds", "run", "x", "--no-wait", "--json").stdout)["job"]
    assert f"job {job}" in run("feeds", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-file.csv"], "there is no file"),
        (["https://elsewhere.example/f"], "allowed hosts: feeds.example"),
        (["https://user:secret@feeds.example/f"], "holds credentials"),
        (["https://feeds.example/f", "--every", "10s"], "30m, 4h or 2d"),
        (["https://feeds.example/f", "--every", "often"], "30m, 4h or 2d"),
        (["https://feeds.example/f", "--format", "excel"], "there is no format 'excel'"),
        (["https://feeds.example/f", "--prune-at-most", "all"], "--prune-at-most"),
    ],
)
def test_what_cannot_be_a_feed_is_refused(
    run: Callable[..., Result], arguments: list[str], said: str
) -> None:
    refused: Any = run("feeds", "add", *arguments, code=1)
    assert said in str(refused.exception)
    assert "secret" not in str(refused.exception)
    assert json.loads(run("feeds", "list", "--json").stdout)["items"] == []
