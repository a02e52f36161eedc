"""Which column of a table is which of our fields, and how its text becomes a value."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from backend.catalogue.drafts import FIELDS, round_money
from backend.catalogue.sources.availability import read_availability
from backend.catalogue.sources.currencies import SYMBOLS
from backend.catalogue.sources.feed import RowWarning, WarningKind
from backend.catalogue.sources.further_names import FURTHER_NAMES
from backend.catalogue.sources.money import COMMA, POINT, Price, PriceColumn, read_price
from backend.catalogue.sources.numbers import read_number
from backend.catalogue.sources.one_value import one_value
from backend.catalogue.sources.price_ranges import ends_of, read_lowest
from backend.catalogue.texts import without_markup
from backend.errors import ConfigurationError, UnreadableCatalogue

_ALSO: Final[Mapping[str, Sequence[str]]] = {  # in addition to the field's own name
    "sku": ["id"],
    "display_name": ["productDisplayName", "productName", "name", "title"],
    "base_colour": ["baseColor", "colour", "color"],
    "group_id": ["itemGroupId", "parentSku"],
    "brand": ["brandName", "manufacturer"],
    "currency": ["currencyCode", "priceCurrency"],
    "link": ["productLink", "productUrl"],
    "image_uri": ["image", "imageUrl", "imageLink", "imagePath", "imageFile", "filename"],
}
_STOCK: Final = (
    *("availability", "isInStock", "stockStatus", "quantity", "qty", "inventoryQuantity"),
    *("variantInventoryQty", "stockQuantity", "stock"),
)
"""Columns for `in_stock`; they also stay in the attributes, since they say more than yes or no."""

_INVISIBLE: Final = f"{string.whitespace}\u00a0\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
"""What copying from a page or a document leaves at the ends of a value, besides white space."""
_WITH_PARTS: Final = ("attributes", "image_uri")
"""Fields whose readers take lists and objects as JSON."""
_LONGER_YEAR: Final = re.compile(
    r"([12][0-9]{3})(?:[-/](?:[0-9]{2}|[12][0-9]{3})|-[0-9]{2}-[0-9]{2}(?:[T ].*)?)"
)
"""Two years, a month or a day: 2024/25, 2024-2025, 2024-03-01."""
_LANGUAGES: Final = re.compile(r"\s+[/|]\s+")
"""What stands between the languages of a name: `Artikelnummer / SKU`."""
_PREFIX: Final = re.compile(r"^\s*g:", re.IGNORECASE)
_KINDS: Final[Mapping[str, WarningKind]] = {
    "in_stock": WarningKind.AVAILABILITY,
    "price": WarningKind.PRICE,
    "attributes": WarningKind.ATTRIBUTE,
}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The position of each field's column; all other columns become `attributes` by their names."""

    fields: Mapping[str, int]
    attributes: Mapping[str, int]
    prices: PriceColumn = field(default_factory=PriceColumn)
    numeric: frozenset[str] = frozenset()  # attributes that are numbers

    def see(self, values: Sequence[Any]) -> None:
        """Look at a record's price: how all are written decides what 1.299 means."""
        position = self.fields.get("price")
        if position is not None and isinstance(cell := values[position], str):
            for price in ends_of(cell) or (cell,):
                self.prices.see(price)

    def sku(self, values: Sequence[Any]) -> str:
        """Return a record's sku."""
        return as_text(one_value("sku", values[self.fields["sku"]]))

    def read(self, values: Sequence[Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return a record's fields, and a warning for each that could not be read and is left out.

        An empty value clears its field; that of `in_stock`, which cannot be empty, is left out.
        """
        fields: dict[str, Any] = {}
        warnings: list[str] = []
        for name, position in self.fields.items():
            try:
                if name == "price":
                    warnings += self._read_price(values[position], fields)
                else:
                    cell = values[position]
                    if isinstance(cell, list | Mapping) and name not in _WITH_PARTS:
                        cell = one_value(name, cell)
                    fields[name] = READERS.get(name, _text)(as_text(cell))
            except ValueError as wrong:
                kind = _KINDS.get(name, WarningKind.VALUE)
                warnings.append(RowWarning(kind, f"{name}: {wrong}"))
        if fields.get("in_stock", "") is None:
            del fields["in_stock"]
        open_attributes = {
            name: _open_value(values[position]) for name, position in self.attributes.items()
        }
        if open_attributes:
            fields["attributes"] = {**open_attributes, **(fields.get("attributes") or {})}
        if self.numeric and fields.get("attributes"):
            fields["attributes"], wrong_ones = self._with_numbers(fields["attributes"])
            warnings += wrong_ones
        return fields, tuple(warnings)

    def _with_numbers(
        self, attributes: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[RowWarning]]:
        """Return attributes with the declared ones as numbers; what is no number is left out."""
        found, warnings = dict(attributes), []
        for name in self.numeric & attributes.keys():
            if not isinstance(text := found[name], str):
                continue
            found[name] = read_number(text, decimal=self.prices.given)
            if found[name] is None:
                said = f"attributes.{name}: {text[:40]!r} is not a number"
                warnings.append(RowWarning(WarningKind.ATTRIBUTE, said))
        return found, sorted(warnings)

    def _read_price(self, cell: Any, fields: dict[str, Any]) -> list[RowWarning]:
        """Read a price and its currency into the fields; `currency` is read before `price`.

        Returns what has to be said of them. Raises ValueError for a price that cannot be stored.
        """
        if isinstance(cell, list):
            cell = next(iter(cell), None)
        if isinstance(cell, Mapping):
            cell = _price_of(cell)
        text = as_text(cell)
        if not text:
            fields["price"] = None
            return []
        price, warnings = self._price(cell, text)
        fields["price"] = round_money(price.amount)
        if price.currency:
            if (other := fields.get("currency")) and other.upper() != price.currency:
                said = f"currency: {other[:20]!r}, but the price is {text[:40]!r}"
                warnings.append(RowWarning(WarningKind.PRICE, said))
            fields["currency"] = price.currency
        if isinstance(cell, str) and (why := self.prices.explain(text)):
            warnings.append(RowWarning(WarningKind.DECIMAL, f"price: {why}"))
        return warnings

    def _price(self, cell: Any, text: str) -> tuple[Price, list[RowWarning]]:
        """Read a price; of a range the lowest, with a warning. Raises ValueError."""
        decimal = self.prices.decimal
        try:
            return _number(cell) or read_price(text, decimal=decimal), []
        except ValueError:
            if (lowest := read_lowest(text, decimal=decimal)) is None:
                raise
            said = f"price: {text[:40]!r} is a range; its lowest price counts"
            return lowest, [RowWarning(WarningKind.PRICE, said)]


def match(
    header: Sequence[str],
    given: Mapping[str, str],
    *,
    decimal: str | None = None,
    delimiter: str = "",
    numeric: Collection[str] = (),
    is_any_shops: bool = False,
) -> Columns:
    """Find the columns of our fields: as given, else by name, ignoring case and underscores.

    `decimal` is the separator of decimals in prices, where the operator has named it. Without it,
    and where no price tells, a `delimiter` of ; means a comma: it is used where commas are taken.
    `numeric` are columns of attributes that are numbers. In any shop's table (`is_any_shops`) the
    names of `FURTHER_NAMES` count too, for a field that has no column yet.

    Raises ConfigurationError for a field that does not exist; UnreadableCatalogue for a column that
    does not exist, and for a table without a sku.
    """
    unknown = sorted(set(given) - {"sku", *FIELDS})
    if unknown:
        allowed = ", ".join(["sku", *FIELDS])
        raise ConfigurationError(f"there is no field {', '.join(unknown)}; there are: {allowed}")
    found = ", ".join(filter(None, header))
    fields = {name: _position(header, column, found) for name, column in given.items()}
    by_name = {plain(name): position for position, name in reversed(list(enumerate(header)))}
    for ours in ("sku", *FIELDS):
        for name in (ours, *_ALSO.get(ours, ())):
            position = by_name.get(plain(name))
            if position is not None and position not in fields.values():
                fields.setdefault(ours, position)
    further = FURTHER_NAMES if is_any_shops else {}
    _find_further(by_name, fields, {"sku": further.get("sku", ())})
    if "sku" not in fields:
        raise UnreadableCatalogue(_without_sku(header, found, delimiter))
    rest = {name: at for at, name in enumerate(header) if name and at not in fields.values()}
    if "in_stock" not in fields:
        known = (by_name[plain(name)] for name in _STOCK if plain(name) in by_name)
        if (stock := next((at for at in known if at in rest.values()), None)) is not None:
            fields["in_stock"] = stock
    _find_further(by_name, fields, further)
    if "price" in fields:
        fields["price"] = fields.pop("price")  # behind the currency
    default = COMMA if delimiter == ";" else POINT
    for name in numeric:
        _position(header, name, found)
    return Columns(
        fields=fields,
        attributes=rest,
        prices=PriceColumn(given=decimal, default=default),
        numeric=frozenset(numeric),
    )


def _find_further(
    by_name: Mapping[str, int], fields: dict[str, int], names: Mapping[str, Sequence[str]]
) -> None:
    """Give columns with further names to fields that have none."""
    for ours in (it for it in names if it not in fields):
        places = (by_name.get(plain(name)) for name in names[ours])
        free = (at for at in places if at is not None and at not in fields.values())
        if (found := next(free, None)) is not None:
            fields[ours] = found


def names_a_sku(header: Sequence[str]) -> bool:
    """Tell whether a row can be a header: one of its names is that of a sku."""
    names = {plain(part) for name in header for part in (name, *_LANGUAGES.split(name))}
    known = ("sku", *_ALSO["sku"], *FURTHER_NAMES["sku"])
    return sum(map(bool, header)) > 1 and not names.isdisjoint(map(plain, known))


def _without_sku(header: Sequence[str], found: str, delimiter: str) -> str:
    if len(header) == 1 and delimiter:
        return (
            f"the header is one column, {found[:80]!r}, and names no sku: name what divides it "
            "with --delimiter, or the column with --map sku=COLUMN."
        )
    return f"no column is named sku or id; there are: {found}. Name it with --map sku=COLUMN."


def _position(header: Sequence[str], column: str, found: str) -> int:
    if column not in header:
        raise UnreadableCatalogue(f"there is no column {column!r}; there are: {found}")
    return header.index(column)


def plain(name: str) -> str:
    """Return a column's name without case, blanks, underscores and Google's prefix `g:`."""
    return re.sub(r"[\W_]+", "", _PREFIX.sub("", name)).lower()


def as_text(value: Any) -> str:
    """Return a cell of any type as stripped text, as a CSV would hold it; None and NaN are empty.

    12.0 becomes 12: a column of whole numbers with gaps is often exported as floats.
    """
    if isinstance(value, str):
        return _bare(value)
    if value is None or value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | dict):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def _bare(text: str) -> str:
    """Strip a text, and the form `="00123"`, which keeps a spreadsheet from changing it."""
    text = text.strip()
    if not text.isascii():
        text = text.strip(_INVISIBLE)
    return text[2:-1] if text.startswith('="') and text.endswith('"') and len(text) > 2 else text


def _open_value(value: Any) -> Any:
    """Return a cell as an attribute can hold it; numbers, flags and lists keep their types."""
    if isinstance(value, str):
        return _bare(value) or None
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return value or None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bool | int | float) and value == value:  # noqa: PLR0124 - not NaN
        return value
    if isinstance(value, bytes):
        return None
    return as_text(value) or None


# --- one reader for each field that is not text: the value, or ValueError with the reason ----


def _text(text: str) -> str | None:
    return without_markup(text) or None


def _as_it_is(text: str) -> str | None:
    return text or None


def _year(text: str) -> int | None:
    """Read a year: also 2012.0, because a table with gaps is exported like that, and dates.

    Of two years, as in 2024/25, the first counts.
    """
    if not text:
        return None
    if found := _LONGER_YEAR.fullmatch(text):
        return int(found[1])
    if not re.fullmatch(r"[0-9]{1,9}(\.0+)?", text):
        raise ValueError(f"{text[:40]!r} is not a year")
    return int(text.partition(".")[0])


def _price_of(cell: Mapping[str, Any]) -> Any:
    """Return the amount and the currency of an object, `{"value": "9.50", "currency": "EUR"}`."""
    amount = next((cell[key] for key in ("value", "amount", "gross", "price") if key in cell), None)
    code = next((cell[key] for key in ("currency", "currencyCode") if cell.get(key)), None)
    return f"{as_text(amount)} {code}" if isinstance(code, str) and as_text(amount) else amount


def _number(cell: Any) -> Price | None:
    """Return the price of a cell that holds a number, None for any other cell."""
    if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal):
        return None
    amount = Decimal(str(cell))
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{cell} is not a price")
    return Price(amount, None)


def _currency(text: str) -> str | None:
    return SYMBOLS.get(text.upper(), text) or None


def _link(text: str) -> str | None:
    """Read an address as a cell may write it: with `&amp;`, or beginning with `//`."""
    text = text.replace("&amp;", "&")
    return f"https:{text}" if text.startswith("//") else text or None


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{text[:40]!r} is not a JSON object")
    return value


READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "year": _year,
    "currency": _currency,
    "link": _link,
    "image_uri": _as_it_is,
    "in_stock": read_availability,
    "attributes": _object,
}
"""How the text of a field becomes a value; fields that are not here are texts."""
