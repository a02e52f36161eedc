"""`lookalike embedders`: which embedders there are, and whether their weights are on this host."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from backend.cli.common import AsJson, out, print_json

if TYPE_CHECKING:
    from backend.embedders.available import Available

LEAST: Final = 10
"""Characters of a column: "by variant" and most licences fit on one line of 80."""


def embedders(as_json: AsJson = False) -> None:
    """List the embedders: dimensions, size and licence of their weights, and what is missing.

    `lookalike evaluate --embedder NAME` tells how good one is on your catalogue.
    """
    from backend.embedders.available import list_available

    found = list_available()
    if as_json:
        print_json({"items": [asdict(one) for one in found]})
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("embedder, and what it is made for")
    for name in ("dimensions", "weights", "licence", "at hand"):
        table.add_column(name, min_width=LEAST)
    for one in found:
        table.add_row(f"{escape(one.name)}\n[dim]{escape(one.made_for)}[/]", *_row(one))
    out.print(table)


def _row(one: Available) -> tuple[str, ...]:
    """Return the other columns, as Rich reads them."""
    size = one.weights_bytes
    weights = "by variant" if size is None else f"{size / 1e6:.1f} MB" if size else "none"
    state = {True: "yes", False: one.missing or "no", None: "by variant"}[one.at_hand]
    dimensions = f"{one.dimensions:,}" if one.dimensions else "by variant"
    return (dimensions, weights, escape(one.licence or "-"), escape(state))
