"""Plain rows of a table -> fields that are checked already, by one function for each column.

Most cells of a column come again and again: each is read and checked once, by the same functions
as in any other row. A row with a cell that is not plain is left to `Columns.read`, which says what
is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias

from backend.catalogue import skus
from backend.catalogue.draft_attributes import LARGEST_ATTRIBUTES, LONGEST_KEY, MOST_ATTRIBUTES
from backend.catalogue.drafts import LONGEST_CATEGORY, LONGEST_NAME, parse, round_money
from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.columns import Columns
from backend.catalogue.sources.field_readers import READERS, read_text
from backend.catalogue.sources.money import is_plain_price
from backend.catalogue.sources.no_values import NO_VALUE
from backend.catalogue.texts import is_storable
from backend.errors import InvalidProduct

PlainRow: TypeAlias = tuple[str, str | None, dict[str, Any]]
"""The sku of a row, what its column of images says, and its other fields."""

MOST_KEPT: Final = 2_000
"""Different cells of a column that are remembered; a column of names or links has more."""
LONGEST_KEPT: Final = 100  # characters of one
_JSON_BYTES: Final = 6  # of a character at most, as `\u0001`
_AROUND: Final = 6  # bytes of JSON around an attribute: quotes, colon, comma and blanks


class NotPlain(ValueError):
    """A cell that needs a closer look."""


class Cells(dict[str, Any]):
    """The value of each cell of one column; raises NotPlain for a cell that is not plain."""

    def __init__(self, read: Callable[[str], Any]) -> None:
        super().__init__()
        self._read = read
        self._odd: set[str] = set()

    def __missing__(self, cell: str) -> Any:
        if cell in self._odd:
            raise NotPlain
        keep = len(cell) <= LONGEST_KEPT and len(self) + len(self._odd) < MOST_KEPT
        try:
            value = self._read(cell)
        except (ValueError, InvalidProduct):
            if keep:
                self._odd.add(cell)
            raise NotPlain from None
        if keep:
            self[cell] = value
        return value


@dataclass(frozen=True)
class RowPlan:
    """How the rows of one table are read; all cells have to be text."""

    sku: int
    image_uri: int | None
    fields: Sequence[tuple[str, int, Cells]]
    attributes: Sequence[tuple[str, int, Cells]]
    most: int  # characters of all attributes together that are small enough in every case
    has_stock: bool

    @classmethod
    def make(cls, columns: Columns) -> RowPlan | None:
        """Make a plan; None for a table with objects, cents, or more attributes than are kept."""
        names = columns.attributes
        if (
            columns.has_cents
            or "attributes" in columns.fields
            or not all(map(_is_plain_key, names))
        ):
            return None
        most = LARGEST_ATTRIBUTES // _JSON_BYTES - sum(len(name) + _AROUND for name in names)
        if len(names) > MOST_ATTRIBUTES or most < 0:
            return None
        fields = {
            name: at for name, at in columns.fields.items() if name not in ("sku", "image_uri")
        }
        return cls(
            sku=columns.fields["sku"],
            image_uri=columns.fields.get("image_uri"),
            fields=[(name, at, Cells(_reader(name))) for name, at in fields.items()],
            attributes=[(name, at, Cells(_attribute)) for name, at in names.items()],
            most=most,
            has_stock="in_stock" in fields,
        )

    def read(self, values: Sequence[str]) -> PlainRow | None:
        """Return what a row says, as `drafts.parse` would; None for a row that is not plain."""
        sku = as_text(values[self.sku])
        if not skus.is_plain(sku):
            return None
        try:
            fields = {name: cells[values[at]] for name, at, cells in self.fields}
            if self.has_stock and fields["in_stock"] is None:
                del fields["in_stock"]
            if self.attributes:
                fields["attributes"] = self._read_attributes(values)
        except NotPlain:
            return None
        uri = None if self.image_uri is None else as_text(values[self.image_uri]) or None
        return sku, uri, fields

    def _read_attributes(self, values: Sequence[str]) -> Mapping[str, str | None]:
        found = {name: cells[values[at]] for name, at, cells in self.attributes}
        if sum(map(len, filter(None, found.values()))) > self.most:
            raise NotPlain
        return found


def _is_plain_key(name: str) -> bool:
    return 1 <= len(name) <= LONGEST_KEY and is_storable(name)


def _reader(field: str) -> Callable[[str], Any]:
    """Return the function that reads and checks a field's cell; it raises if it is not plain."""
    if field == "display_name":
        return lambda cell: _text(cell, LONGEST_NAME)
    if field == "price":
        return _price
    read = READERS.get(field)
    if read is None:
        return lambda cell: _text(cell, LONGEST_CATEGORY)

    def read_and_check(cell: str) -> Any:
        value = read(as_text(cell))
        return None if value is None else parse({"sku": "0", field: value}).values[field]

    return read_and_check


def _text(cell: str, longest: int) -> str | None:
    if _is_bare(cell) and len(cell) <= longest:
        return cell
    text = (read_text(as_text(cell)) or "").strip()
    if len(text) > longest or not is_storable(text):
        raise NotPlain
    return text or None


def _is_bare(cell: str) -> bool:
    """Tell whether reading would not change a text: ASCII without markup, as most names are."""
    return (
        cell.isascii()
        and cell[:1].isalnum()
        and not cell[-1].isspace()
        and "&" not in cell
        and "<" not in cell
        and "\0" not in cell
        and cell not in NO_VALUE
    )


def _attribute(cell: str) -> str | None:
    text = as_text(cell)
    if not is_storable(text):
        raise NotPlain
    return text or None


def _price(cell: str) -> float | None:
    """Read a price that means the same whatever the other prices of its column are."""
    text = as_text(cell)
    if not text:
        return None
    if not is_plain_price(text):
        raise NotPlain
    price: float = parse({"sku": "0", "price": round_money(Decimal(text))}).values["price"]
    return price
