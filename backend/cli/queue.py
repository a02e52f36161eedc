"""The queue's commands: index, status, verify, quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from backend.cli.common import AsJson, err, out, print_json, run_job, services

if TYPE_CHECKING:
    from backend.bootstrap import Services

PART: Final = 1000
"""Products that are requested or removed in one transaction."""

quarantine = typer.Typer(
    help="Products that cannot be indexed as they are: list, retry or discard them.",
    no_args_is_help=True,
)


def index(as_json: AsJson = False) -> None:
    """Work until nothing is pending: embed every image and write every point.

    Beside a running server this waits for the server, which does the work. Back-offs and the
    leases of a killed predecessor are waited out. Exit code 0 when nothing is pending, also with
    some products in quarantine.
    """
    from backend.status import status as read_status

    with services() as found:
        run_job(found, "index", {}, what="Indexing")
        now = read_status(found.db, found.indexes.look_at_shard)
    show_counts(now, as_json=as_json)
    raise typer.Exit(0 if now["pending"] == 0 else 1)


def status(as_json: AsJson = False) -> None:
    """Show how many products are pending, indexed and in quarantine, and the active generation."""
    from backend.status import status as read_status

    with services() as found:
        now = read_status(found.db, found.indexes.look_at_shard)
    show_counts(now, as_json=as_json)


def show_counts(now: dict[str, Any], *, as_json: bool) -> None:
    """Print the status object as a table, or as it is."""
    if as_json:
        print_json(now)
        return
    table = Table(show_header=False, box=None)
    for name in ("products", "pending", "indexed", "quarantined", "removing"):
        table.add_row(name, f"{now[name]:,}")
    if now["oldest_pending_seconds"] is not None:
        table.add_row("waiting since", f"{now['oldest_pending_seconds']:,.0f} s")
    if generation := now["generation"]:
        parts = ("embedder", "size", "state")
        described = ", ".join(str(generation[part]) for part in parts)
        table.add_row("generation", f"{generation['id']}: {described}")
    if shard := now["shard"]:
        table.add_row("embedded index", _describe_shard(shard))
    out.print(table)
    show_recall(now["filter_recall"])


def show_recall(shapes: list[dict[str, Any]]) -> None:
    """Print what a sample of the searches found of the exact answer, by shape of filter."""
    if not shapes:
        return
    table = Table("filter", "searched", "queries", "compared", "recall@10", box=None)
    for row in shapes:
        recall = "-" if row["recall"] is None else f"{row['recall']:.3f}"
        counts = (f"{row['queries']:,}", f"{row['compared']:,}")
        table.add_row(row["shape"] or "none", row["mode"], *counts, recall)
    out.print(table)


def _describe_shard(shard: dict[str, Any]) -> str:
    """Say whether there is a graph, and how much lies outside it."""
    parts = [f"not optimized, {shard['dirty']:,} points written"]
    if built := shard["built"]:
        parts = [
            f"optimized at {built['at']} in {built['seconds']:,.0f} s: {built['points']:,} points",
            f"{shard['dirty']:,} written since",
        ]
    if shard["building"]:
        parts.append("another is being built")
    if failure := shard["failure"]:
        parts.append(f"the last build failed: {failure['reason']}")
    return ", ".join(parts)


def verify(
    fix: Annotated[bool, typer.Option("--fix", help="Heal what is found.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Compare every vector, not a sample of 1%.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the index of every live generation with SQL, product by product.

    Claims and payloads are compared for all products, vectors for a sample. Exit code 1 when they
    differ and nothing was healed. `--fix` writes again, from stored vectors, what is missing or
    differs, deletes what should not be there, fills an index that was emptied, and never wakes the
    quarantine.
    """
    arguments = {"fix": fix, "full": full}
    with services() as found:
        result = run_job(found, "verify", arguments, what="Verifying").result or {}
    if as_json:
        print_json(result)
    else:
        show_drift(result)
    raise typer.Exit(1 if result.get("drift") and not fix else 0)


def show_drift(result: dict[str, Any]) -> None:
    """Print what verify found: each kind that there is, with the first few ids."""
    from backend.indexing.drift import KINDS

    for one in result["generations"]:
        out.print(
            f"Generation {one['generation']} ({one['state']}): {one['checked']:,} products, "
            f"{one['compared']:,} vectors compared, {one['drift']:,} differences"
        )
        table = Table("kind", "products", "first", "what it means", box=None)
        for kind in KINDS.values():
            if one[kind.key]:
                first = ", ".join(map(str, one["examples"][kind.key][:3]))
                table.add_row(kind.key, f"{one[kind.key]:,}", first, kind.meaning)
        if table.rows:
            out.print(table)
    if result["drift"]:
        out.print("Healed." if result["fixed"] else "`lookalike verify --fix` heals this.")


@quarantine.command("list")
def quarantine_list(
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List quarantined products with their reasons."""
    from backend.queue.progress import quarantine as read_quarantine

    with services() as found, found.db.read() as session:
        generation = _active(session)
        rows = read_quarantine(session, generation, limit=limit) if generation else []
    if as_json:
        keys = ("sku", "reason", "failures", "image_uri")
        print_json({"items": [{key: getattr(row, key) for key in keys} for row in rows]})
        return
    table = Table("sku", "reason", "failures", "image")
    for row in rows:
        table.add_row(row.sku, row.reason, str(row.failures), row.image_uri or "-")
    out.print(table if rows else "The quarantine is empty.")


Skus = Annotated[list[str] | None, typer.Argument(help="The products' skus.")]
All = Annotated[bool, typer.Option("--all", help="Every quarantined product.")]


@quarantine.command("retry")
def quarantine_retry(skus: Skus = None, everything: All = False, as_json: AsJson = False) -> None:
    """Try quarantined products again, from their image on, with a clean failure count."""
    from backend.queue import entries

    with services() as found:
        chosen = _chosen(found, skus or [], everything)
        for part in _parts([row.product_id for row in chosen]):
            found.db.write(
                partial(entries.request, product_ids=part, image=True, priority=entries.SINGLE)
            )
        found.notify()
    _tell("retried", [row.sku for row in chosen], as_json=as_json)


@quarantine.command("discard")
def quarantine_discard(skus: Skus = None, everything: All = False, as_json: AsJson = False) -> None:
    """Remove quarantined products from the catalogue, as a DELETE over REST would."""
    from backend.catalogue import products
    from backend.queue import entries

    with services() as found:
        chosen = [row.sku for row in _chosen(found, skus or [], everything)]
        for part in _parts(chosen):
            found.db.write(partial(products.remove, skus=part, priority=entries.SINGLE))
        found.notify()
    _tell("discarded", chosen, as_json=as_json)


def _parts(items: list[Any]) -> Iterator[list[Any]]:
    """Split what may be a whole catalogue: a statement takes only so many parameters."""
    for start in range(0, len(items), PART):
        yield items[start : start + PART]


def _active(session: Any) -> int | None:
    from backend import generations

    generation = generations.active_or_none(session)
    return generation.id if generation else None


def _chosen(found: Services, skus: list[str], everything: bool) -> list[Any]:
    """Return the quarantined products that are meant; exit with 2 when it is not clear which."""
    from backend.queue.progress import quarantine as read_quarantine

    if bool(skus) == everything:
        err.print("Name skus, or say --all.")
        raise typer.Exit(2)
    with found.db.read() as session:
        generation = _active(session)
        rows = read_quarantine(session, generation, limit=10**9) if generation else []
    named = set(skus)
    chosen = [row for row in rows if everything or row.sku in named]
    unknown = sorted(named - {row.sku for row in chosen})
    if unknown:
        err.print(f"Not in quarantine: {', '.join(unknown)}")
        raise typer.Exit(1)
    return chosen


def _tell(what: str, skus: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json({what: skus})
    else:
        out.print(f"{what.capitalize()} {len(skus)}: {', '.join(skus[:20])}")
