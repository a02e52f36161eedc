"""OpenCart's tables of products, in which the sku is optional and the model is not.

A product whose cell for the sku is empty is named by its model; one whose model an earlier product
has too, or that has none, by its number, as `id:40`. Categories that are numbers are no names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.column_names import plain
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import Reject, RowWarning, WarningKind

CATEGORY: Final = "opencart_category"
ADDED: Final = (CATEGORY,)
_NUMBERS: Final = re.compile(r"[\d\s,;|]*")


def arrange(
    columns: Sequence[str], records: Iterator[TableRecord | Reject]
) -> Iterator[TableRecord | Reject]:
    """Yield the records with the columns of `ADDED`, which `columns` ends with."""
    at = {plain(name): position for position, name in reversed(list(enumerate(columns)))}
    category = next((at[name] for name in ("categories", "category") if name in at), None)
    names = _Names(at)
    for record in records:
        if isinstance(record, Reject):
            yield record
            continue
        category_of = _text(record, category)
        named = names.complete(record)
        added = None if _NUMBERS.fullmatch(category_of) else category_of
        yield named._replace(values=[*named.values, added])


class _Names:
    """Fills an empty sku; a table without that column is left as it is."""

    def __init__(self, at: Mapping[str, int]) -> None:
        self._sku, self._model, self._number = (at.get(it) for it in ("sku", "model", "productid"))
        self._numbers: dict[str, str] = {}  # model -> the number of the first product that has it

    def complete(self, record: TableRecord) -> TableRecord:
        if self._sku is None or _text(record, self._sku):
            return record
        model, number = _text(record, self._model), _text(record, self._number)
        by_number = f"id:{number}" if number else ""
        is_others = bool(model) and self._numbers.setdefault(model, number) != number
        values = [*record.values]
        values[self._sku] = by_number if is_others else model or by_number
        if not is_others:
            return record._replace(values=values)
        said = f"sku: the model {model[:40]!r} is another product's; {by_number} is taken"
        warning = RowWarning(WarningKind.SKU, said)
        return record._replace(values=values, warnings=(*record.warnings, warning))


def _text(record: TableRecord, position: int | None) -> str:
    return as_text(record.values[position]) if position is not None else ""
