"""`lookalike embedders`: which embedders there are, and whether their weights are on this host."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from backend.cli.common import AsJson, out, print_json

if TYPE_CHECKING:
    from backend.embedders.available import Available


def embedders(as_json: AsJson = False) -> None:
    """List the embedders: dimensions, size and licence of their weights, and what is missing.

    `lookalike evaluate --embedder NAME` tells how good one is on your catalogue.
    """
    from backend.embedders.available import list_available

    found = list_available()
    if as_json:
        print_json({"items": [asdict(one) for one in found]})
        return
    table = Table("embedder", "made for", "dimensions", "weights", "licence", "at hand")
    table.columns[0].no_wrap, table.columns[0].min_width = True, max(len(one.name) for one in found)
    for one in found:
        table.add_row(*map(escape, _row(one)))
    out.print(table)


def _row(one: Available) -> tuple[str, ...]:
    size = one.weights_bytes
    weights = "by variant" if size is None else f"{size / 1e6:.1f} MB" if size else "none"
    state = {True: "yes", False: one.missing or "no", None: "by variant"}[one.at_hand]
    dimensions = f"{one.dimensions:,}" if one.dimensions else "by variant"
    return (one.name, one.made_for, dimensions, weights, one.licence or "-", state)
