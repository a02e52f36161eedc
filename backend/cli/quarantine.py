"""`lookalike quarantine`: list, retry and discard products that cannot be indexed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.common import AsJson, err, out, print_json, services

if TYPE_CHECKING:
    from backend.bootstrap import Services

quarantine = typer.Typer(
    help="Products that cannot be indexed as they are: list, retry or discard them.",
    no_args_is_help=True,
)

Skus = Annotated[list[str] | None, typer.Argument(help="The products' skus.")]
All = Annotated[bool, typer.Option("--all", help="Every quarantined product.")]


@quarantine.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 100,
    awaited: Annotated[
        bool,
        typer.Option("--awaited", help="List the products whose image is still to come instead."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List quarantined products, and single images of other products, with their reasons.

    Below them stands what is not in quarantine: products that wait for the host, such as a server
    of images that does not answer. They are tried again by themselves.
    """
    with services() as found, found.db.read() as session:
        rows = (_read_awaited if awaited else _read)(session, limit=limit)
        waiting = _read_waiting(session)
    if as_json:
        keys = ("sku", "reason", "failures", "image_uri", "image")
        items = [{key: getattr(row, key) for key in keys} for row in rows]
        print_json({"items": items, "waiting": [asdict(row) for row in waiting]})
        return
    table = Table("sku", "reason", "failures", "image")
    for row in rows:
        number = f"{row.image}: " if row.image else ""
        texts = (row.sku, row.reason, str(row.failures), number + (row.image_uri or "-"))
        table.add_row(*map(escape, texts))
    nothing = "No image is still to come." if awaited else "The quarantine is empty."
    out.print(table if rows else nothing)
    for row in waiting:
        out.print(escape(f"{row.products:,} products wait: {row.reason}"))


@quarantine.command("retry")
def retry(skus: Skus = None, everything: All = False, as_json: AsJson = False) -> None:
    """Try quarantined products again, starting with their image, and reset their failure count."""
    from backend.indexing import quarantined

    with services() as found:
        done = quarantined.retry(found.db, _choose(found, skus or [], everything))
        found.notify()
    _print_skus("retried", done, as_json=as_json)


@quarantine.command("discard")
def discard(skus: Skus = None, everything: All = False, as_json: AsJson = False) -> None:
    """Remove quarantined products from the catalogue, as a DELETE over REST does.

    A product that is indexed by other images than the one in quarantine stays.
    """
    from backend.indexing import quarantined

    with services() as found:
        chosen = _choose(found, skus or [], everything, images=False)
        done = quarantined.discard(found.db, chosen)
        found.notify()
    _print_skus("discarded", done, as_json=as_json)


def _read_awaited(session: Any, *, limit: int) -> list[Any]:
    """Return the products of the active generation whose image is still to come."""
    from backend import generations
    from backend.queue.progress import quarantine as read_quarantine

    generation = generations.active_or_none(session)
    if generation is None:
        return []
    return list(read_quarantine(session, generation.id, limit=limit, awaited=True))


def _read(session: Any, *, limit: int) -> list[Any]:
    from backend.indexing import quarantined

    return list(quarantined.read(session, limit=limit))


def _read_waiting(session: Any) -> list[Any]:
    """Return why products of the active generation wait for the host, and how many."""
    from backend import generations, queue

    generation = generations.active_or_none(session)
    return list(queue.waiting_by_reason(session, generation.id)) if generation else []


def _choose(
    found: Services, skus: list[str], everything: bool, *, images: bool = True
) -> list[Any]:
    """Return the quarantined products named by `skus`, or all; single images only with `images`.

    Exits with 2 when neither or both are given, and with 1 when a sku is not in quarantine.
    """
    if bool(skus) == everything:
        err.print("Give skus, or --all.")
        raise typer.Exit(2)
    from backend.indexing import quarantined

    with found.db.read() as session:
        chosen, unknown = quarantined.choose(session, None if everything else skus, images=images)
    if unknown:
        err.print(escape(f"Not in quarantine: {', '.join(sorted(unknown))}"))
        raise typer.Exit(1)
    return chosen


def _print_skus(what: str, skus: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json({what: skus})
    else:
        out.print(escape(f"{what.capitalize()} {len(skus)}: {', '.join(skus[:20])}"))
