"""WooCommerce's product export, where a variation leaves to its parent what they share.

A product without a SKU is named by its ID, as `id:11`. That is how the export itself names it, in
the column Parent of its variations. A product that has variations belongs to their group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import Reject
from backend.catalogue.sources.named_options import NamedOptions
from backend.catalogue.sources.woocommerce_headers import in_english

INHERITED: Final = (
    *("categories", "tags", "brands", "images"),
    *("short description", "description"),
)
"""Columns that a variation takes from its parent where its own cell is empty."""
MOST_PARENTS: Final = 20_000  # parents in memory; the export has a parent above its variations


def arrange(columns: Sequence[str], records: Iterator[TableRecord | Reject]) -> Iterator[Any]:
    """Yield the records, completed, with the columns of `named_options.ADDED` at the end."""
    columns = [in_english(name) for name in columns]
    at = {name.lower(): position for position, name in reversed(list(enumerate(columns)))}
    options, parents = NamedOptions.find(columns), _Parents(at)
    for record in records:
        if isinstance(record, Reject):
            yield record
            continue
        values = [_unescaped(value) for value in record.values]
        _name_by_id(values, at)
        _complete_price(values, at)
        parents.complete(values)
        yield record._replace(values=[*values, *options.read(values)])


def _unescaped(value: Any) -> Any:
    """Drop the quote that the export puts before = + - @ for the safety of spreadsheets."""
    if isinstance(value, str) and value[:1] == "'" and value[1:2] in ("=", "+", "-", "@"):
        return value[1:]
    return value


def _name_by_id(values: list[Any], at: dict[str, int]) -> None:
    """Fill an empty SKU from the ID."""
    sku, number = at.get("sku"), at.get("id")
    if sku is None or number is None or as_text(values[sku]) or not as_text(values[number]):
        return
    values[sku] = f"id:{as_text(values[number])}"


def _complete_price(values: list[Any], at: dict[str, int]) -> None:
    """Fill an empty regular price from the price, which the API gives of a variable product."""
    regular, price = at.get("regular_price"), at.get("price")
    if regular is not None and price is not None and not as_text(values[regular]):
        values[regular] = values[price]


class _Parents:
    """The latest parents, by SKU and by ID: what their variations inherit from them."""

    def __init__(self, at: dict[str, int]) -> None:
        self._kind, self._parent = at.get("type"), at.get("parent")
        self._names = [
            (at[name], prefix) for name, prefix in (("sku", ""), ("id", "id:")) if name in at
        ]
        self._inherited = [at[name] for name in INHERITED if name in at]
        self._known: dict[str, list[Any]] = {}

    def complete(self, values: list[Any]) -> None:
        """Remember a parent; fill the empty cells of a variation from its parent."""
        if self._kind is None or self._parent is None:
            return
        if as_text(values[self._kind]).lower().startswith("variable"):
            self._remember(values)
            values[self._parent] = as_text(values[self._parent]) or self._name_of(values)
        elif parent := self._known.get(as_text(values[self._parent])):
            for position, value in zip(self._inherited, parent, strict=True):
                values[position] = values[position] if as_text(values[position]) else value

    def _name_of(self, values: Sequence[Any]) -> str:
        """Return how a parent's variations name it; empty if nothing names it."""
        names = (prefix + name for at, prefix in self._names if (name := as_text(values[at])))
        return next(names, "")

    def _remember(self, values: Sequence[Any]) -> None:
        inherited = [values[position] for position in self._inherited]
        for position, prefix in self._names:
            if name := as_text(values[position]):
                self._known[prefix + name] = inherited
        while len(self._known) > 2 * MOST_PARENTS:
            del self._known[next(iter(self._known))]
