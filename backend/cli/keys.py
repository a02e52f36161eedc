"""`lookalike keys`: make, list and revoke API keys."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from backend.access.scope import Scope
from backend.cli.common import AsJson, err, out, print_json, services

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from backend.access.keys import KeyInfo

keys = typer.Typer(
    help="API keys, which are needed when other hosts can reach the server.",
    no_args_is_help=True,
)


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who uses it, such as `webshop`.")],
    scope: Annotated[
        Scope,
        typer.Option(
            help="read: query similar items and products. ingest: also store, change and remove "
            "them. admin: also see quarantine and jobs."
        ),
    ],
    days: Annotated[
        int | None,
        typer.Option(min=1, max=36_500, help="Days for which it is valid. Default: forever."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it once: only its digest is stored.

    A name can have two valid keys, so that a client can change its key without a break: create a
    new key, give it to the client, and revoke the old one when `keys list` shows that it is no
    longer used.
    """
    from backend.access import keys as access_keys
    from backend.database import clock

    def make(session: Session) -> access_keys.NewKey:
        expires_at = clock.now(session) + timedelta(days=days) if days else None
        return access_keys.create(session, name, scope=scope, expires_at=expires_at)

    with services() as found:
        made = found.db.write(make)
    if as_json:
        print_json({"key": made.token, **_document(made.key)})
        return
    err.print(f"The key of {escape(name)}, scope {scope}. It is not shown again:", highlight=False)
    typer.echo(made.token)


@keys.command("list")
def list_(
    everything: Annotated[
        bool, typer.Option("--all", help="Also revoked and expired keys.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the keys with their name, scope and time of last use (to within ten minutes)."""
    from backend.access.keys import list_keys

    with services() as found, found.db.read() as session:
        listed = list_keys(session, ended=everything)
    if as_json:
        print_json({"items": [_document(key) for key in listed]})
        return
    table = Table()
    for column in ("prefix", "name", "scope", "state", "created", "last used", "expires"):
        table.add_column(column, no_wrap=column == "prefix")  # `revoke` needs it in full
    for key in listed:
        times = [_day(moment) for moment in (key.created_at, key.last_used_at, key.expires_at)]
        table.add_row(key.prefix, escape(key.name), key.scope, key.state, *times)
    out.print(table if listed else "There are no keys.")


@keys.command("revoke")
def revoke(
    prefixes: Annotated[
        list[str], typer.Argument(metavar="PREFIX...", help="As `keys list` shows: `lk_…`.")
    ],
    as_json: AsJson = False,
) -> None:
    """Make keys invalid forever: all of those given, or none if one does not exist.

    Running servers accept them for at most five more seconds.
    """
    from backend.access import keys as access_keys

    with services() as found:
        revoked = found.db.write(
            lambda session: [access_keys.revoke(session, prefix) for prefix in prefixes]
        )
    if as_json:
        print_json({"revoked": [_document(key) for key in revoked]})
        return
    for key in revoked:
        out.print(f"Revoked {key.prefix}, {key.scope} key of {escape(key.name)}.", highlight=False)


def _document(key: KeyInfo) -> dict[str, Any]:
    moments = ("created_at", "last_used_at", "expires_at", "revoked_at")
    found = asdict(key) | {"state": key.state}
    return found | {name: found[name] and found[name].isoformat() for name in moments}


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "-"
