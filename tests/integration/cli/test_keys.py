"""`lookalike keys` makes, lists and revokes keys, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from backend.access import keys
from backend.access.scope import Scope
from backend.bootstrap import build
from backend.settings import Settings


@pytest.fixture
def run(run_command: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a `lookalike keys …` command on a catalogue of the test's own."""
    return partial(run_command, "keys")


def test_a_key_is_printed_alone_and_works(run: Callable[..., Any], settings: Settings) -> None:
    token = run("create", "shop", "--scope", "ingest").stdout.removesuffix("\n")
    services = build(settings)
    with services.db.read() as session:
        assert keys.check(session, token).scope is Scope.INGEST
    services.close()


def test_keys_are_made_listed_and_revoked_as_json(run: Callable[..., Any]) -> None:
    made = json.loads(run("create", "shop", "--scope", "read", "--days", "30", "--json").stdout)
    shown = {name: value for name, value in made.items() if name != "key"}
    assert made["key"].startswith(made["prefix"])
    assert (made["name"], made["scope"], made["state"]) == ("shop", "read", "live")
    assert made["created_at"][:4] <= made["expires_at"][:4]
    assert json.loads(run("list", "--json").stdout) == {"items": [shown]}
    revoked = json.loads(run("revoke", made["prefix"], "--json").stdout)["revoked"]
    assert [(key["prefix"], key["state"]) for key in revoked] == [(made["prefix"], "revoked")]
    assert json.loads(run("list", "--json").stdout) == {"items": []}
    assert json.loads(run("list", "--all", "--json").stdout) == {"items": revoked}


def test_keys_are_listed_as_a_table_without_the_keys(run: Callable[..., Any]) -> None:
    assert "There are no keys." in run("list").stdout
    token = run("create", "shop", "--scope", "admin").stdout.strip()
    table = run("list").stdout
    assert token.rpartition("_")[0] in table
    assert token not in table
    prefix = token.rpartition("_")[0]
    assert f"Revoked {prefix}, admin key of shop." in run("revoke", prefix).stdout


def test_either_all_of_several_keys_are_revoked_or_none(run: Callable[..., Any]) -> None:
    made = json.loads(run("create", "shop", "--scope", "read", "--json").stdout)
    run("revoke", made["prefix"], "lk_unknown", code=1)
    assert len(json.loads(run("list", "--json").stdout)["items"]) == 1


@pytest.mark.parametrize("arguments", [("create", "shop"), ("create", "shop", "--scope", "all")])
def test_a_key_is_not_made_without_a_scope_that_exists(
    run: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    run(*arguments, code=2)
