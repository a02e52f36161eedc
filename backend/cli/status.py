"""`lookalike status`: what is pending, indexed and in quarantine."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from backend.cli.common import AsJson, err, out, print_json, services
from backend.embedders import short_name


def status(as_json: AsJson = False) -> None:
    """Show how many products are pending, indexed and in quarantine, and the active generation."""
    from backend.status import status as read_status

    with services() as found:
        now = read_status(found.db, found.indexes.look_at_shard)
    print_status(now, as_json=as_json)


def print_status(now: dict[str, Any], *, as_json: bool) -> None:
    """Print the object of `GET /v1/status` as a table, or as JSON."""
    if as_json:
        print_json(now)
        return
    table = Table(show_header=False, box=None)
    for name in ("products", "pending", "indexed", "quarantined", "removing"):
        table.add_row(name, f"{now[name]:,}")
    if now["awaited"]:
        table.add_row("", f"{now['awaited']:,} of the pending ones wait for an image to come")
    if now["oldest_pending_seconds"] is not None:
        table.add_row("oldest pending", f"{now['oldest_pending_seconds']:,.0f} s")
    if generation := now["generation"]:
        name = escape(short_name(generation["embedder"]))
        described = f"{name}, {generation['size']}, {generation['state']}"
        table.add_row("generation", f"{generation['id']}: {described}")
    else:
        table.add_row("generation", "none yet: `lookalike index`, a server or a worker makes one")
    for row in now["waiting"]:
        table.add_row("waiting", escape(f"{row['products']:,}: {row['reason']}"))
    if shard := now["shard"]:
        table.add_row("embedded index", _describe_shard(shard))
    if (unnamed := now["unnamed"])["images"] or unnamed["vectors"]:
        size = f"{unnamed['images']:,} images ({unnamed['bytes']:,} bytes)"
        table.add_row("named by none", f"{size}, {unnamed['vectors']:,} vectors")
    out.print(table)
    for warning in now["warnings"]:
        err.print(f"Warning: {warning}.", soft_wrap=True, highlight=False)
    _print_recall(now["filter_recall"])


def _print_recall(shapes: list[dict[str, Any]]) -> None:
    """Print the recall@10 of a sample of the searches, by the shape of their filter."""
    if not shapes:
        return
    table = Table("filter", "searched", "queries", "compared", "recall@10", box=None)
    for row in shapes:
        recall = "-" if row["recall"] is None else f"{row['recall']:.3f}"
        counts = (f"{row['queries']:,}", f"{row['compared']:,}")
        table.add_row(escape(row["shape"] or "none"), row["mode"], *counts, recall)
    out.print(table)


def _describe_shard(shard: dict[str, Any]) -> str:
    """Say whether the shard has a graph, and how many points are outside it."""
    parts = [f"not optimized, {shard['dirty']:,} points written"]
    if built := shard["built"]:
        parts = [
            f"optimized at {built['at']} in {built['seconds']:,.0f} s: {built['points']:,} points",
            f"{shard['dirty']:,} written since",
        ]
    if shard["building"]:
        parts.append("another graph is being built")
    if failure := shard["failure"]:
        parts.append(f"the last build failed: {failure['reason']}")
    return ", ".join(parts)
