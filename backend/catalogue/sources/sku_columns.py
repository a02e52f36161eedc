"""Which of several columns holds the sku, where the names alone do not tell.

A table of articles has `product_code` beside `article_id`, and many articles of one product share
it; an export of an ERP has `Barcode`, which is mostly empty, beside `Internal Reference`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from backend.catalogue.skus import normalise
from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.column_names import FOR_VARIANTS, names_of, plain
from backend.catalogue.sources.further_names import FURTHER_NAMES
from backend.catalogue.sources.no_values import NO_VALUE
from backend.catalogue.sources.one_value import one_value

LOOKED_AT: Final = 10_000
"""Rows at the beginning of a table that are looked at."""
LEAST_SHARE: Final = 0.1
FEWEST: Final = 2
"""If so large a share of the rows, and so many, repeat a value, the column is not the sku."""
EMPTY_SHARE: Final = 0.5
"""If so large a share of the rows has no value, the column is not the sku."""


@dataclass(frozen=True)
class SkuChoice:
    """The column that is the sku in place of another, which `is_group` if its values repeat."""

    column: int
    is_group: bool
    why: str


@dataclass
class _Seen:
    """What was seen in one column."""

    values: set[str] = field(default_factory=set)
    repeated: int = 0
    empty: int = 0

    def see(self, text: str) -> None:
        if _is_empty(text):
            self.empty += 1
        elif text in self.values:
            self.repeated += 1
        else:
            self.values.add(text)


def candidates(names: Sequence[str], fields: Mapping[str, int]) -> Sequence[int]:
    """Return the columns that may hold the sku, the one that its name chose first.

    Empty where a name leaves no doubt, or where there is no other column.
    """
    chosen = fields["sku"]
    name = plain(names[chosen])
    if name not in names_of("sku") or name == "sku":
        return ()
    known = FOR_VARIANTS if name == "id" else FURTHER_NAMES["sku"]
    taken = {at for ours, at in fields.items() if ours not in ("sku", "group_id", "display_name")}
    by_name = {plain(each): at for at, each in reversed(list(enumerate(names)))}
    found = (by_name.get(plain(each)) for each in known)
    others = [at for at in found if at is not None and at != chosen and at not in taken]
    return (chosen, *dict.fromkeys(others)) if others else ()


def candidates_of_platform(
    names: Sequence[str], fields: Mapping[str, int], ids: Sequence[str]
) -> Sequence[int]:
    """Return the columns of a platform's sku and of its number (`ids`); empty without a number."""
    chosen, known = fields["sku"], [plain(each) for each in ids]
    others = [at for at, name in enumerate(names) if plain(name) in known and at != chosen]
    others.sort(key=lambda at: known.index(plain(names[at])))
    return (chosen, *others) if others else ()


def choose_column(
    names: Sequence[str], columns: Sequence[int], rows: Iterable[Sequence[Any]]
) -> SkuChoice | None:
    """Return another column than the first of `columns`, if only that is filled and unique.

    The first one repeats its values in a tenth of the rows, or lacks one in half of them, and the
    other has a value of its own in every row; otherwise None. Rows without any of the values do
    not count.
    """
    seen = {at: _Seen() for at in columns}
    total = 0
    for row in rows:
        texts = {at: normalise(as_text(one_value("sku", row[at]))) for at in columns}
        if all(map(_is_empty, texts.values())):
            continue
        total += 1
        for at, text in texts.items():
            seen[at].see(text)
    first, *others = columns
    repeated, empty = seen[first].repeated, seen[first].empty
    is_group = repeated >= max(FEWEST, LEAST_SHARE * total)
    if not is_group and empty < max(1, EMPTY_SHARE * total):
        return None
    unique = (at for at in others if not seen[at].repeated and not seen[at].empty)
    if (found := next(unique, None)) is None:
        return None
    fault = f"repeats in {repeated:,}" if is_group else f"is empty in {empty:,}"
    why = (
        f"the sku is the column {names[found]!r}, because {names[first]!r} {fault} of the first "
        f"{total:,} rows; --map sku=COLUMN names another"
    )
    return SkuChoice(found, is_group, why)


def _is_empty(text: str) -> bool:
    return not text or text in NO_VALUE
