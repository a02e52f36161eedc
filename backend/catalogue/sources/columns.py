"""The columns of a table, and how a record of it becomes values of our fields."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from backend.catalogue.drafts import round_money
from backend.catalogue.sources import price_lists
from backend.catalogue.sources.cell_texts import as_text, open_value
from backend.catalogue.sources.feed import RowWarning, WarningKind
from backend.catalogue.sources.field_readers import READERS, number_of, price_of, read_text
from backend.catalogue.sources.minor_units import in_major_units
from backend.catalogue.sources.money import Price, PriceColumn, read_price
from backend.catalogue.sources.numbers import read_number
from backend.catalogue.sources.one_value import one_value
from backend.catalogue.sources.price_ranges import ends_of, read_lowest

_IN_PARENTHESES: Final = re.compile(r"\(\s*[^\s\d()]{0,4}\s*\d[\d., ]*[^\d()]{0,4}\)")
_WITH_PARTS: Final = ("attributes", "image_uri")
"""Fields whose readers take lists and objects as JSON."""
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
    has_cents: bool = False  # prices are in the smallest unit of their money

    @property
    def _kept_columns(self) -> Collection[int]:
        return self.attributes.values()

    def see(self, values: Sequence[Any]) -> None:
        """Look at a record's price: how all are written decides what 1.299 means."""
        position = self.fields.get("price")
        if self.has_cents or position is None or not isinstance(cell := values[position], str):
            return
        if not self.prices.see(cell):
            for price in ends_of(cell):
                self.prices.see(price)

    def sku(self, values: Sequence[Any]) -> str:
        """Return a record's sku."""
        cell = values[self.fields["sku"]]
        return as_text(cell if isinstance(cell, str) else one_value("sku", cell))

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
                    fields[name] = READERS.get(name, read_text)(as_text(cell))
            except ValueError as wrong:
                kind = _KINDS.get(name, WarningKind.VALUE)
                warnings.append(RowWarning(kind, f"{name}: {wrong}"))
        if fields.get("in_stock", "") is None:
            del fields["in_stock"]
        open_attributes = {
            name: open_value(values[position]) for name, position in self.attributes.items()
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
        several = price_lists.opened(cell)
        cell = self._one_price(several, fields.get("currency"))
        if isinstance(cell, Mapping):
            cell = price_of(cell)
        text = as_text(cell)
        if not text:
            fields["price"] = None
            return []
        if self.has_cents and not isinstance(cell, Price):
            cell = Price(in_major_units(text, fields.get("currency")), None)
        price, warnings = self._price(cell, text)
        fields["price"] = round_money(price.amount)
        if price.currency:
            if (other := fields.get("currency")) and other.upper() != price.currency:
                said = f"currency: {other[:20]!r}, but the price is {text[:40]!r}"
                warnings.append(RowWarning(WarningKind.PRICE, said))
            fields["currency"] = price.currency
        if price_lists.has_several(several) and self.fields["price"] not in self._kept_columns:
            said = (
                f"price: of several, that in {price.currency} counts, and the others are left out"
            )
            warnings.append(RowWarning(WarningKind.PRICE, said))
        if isinstance(cell, str) and (why := self.prices.explain(text)):
            warnings.append(RowWarning(WarningKind.DECIMAL, f"price: {why}"))
        return warnings

    def _one_price(self, cell: Any, currency: str | None) -> Any:
        """Return the price that counts of several, and remember its money for the next lists."""
        wanted = currency.upper() if currency else self.prices.currency
        found = price_lists.one_of(cell, wanted)
        if found is not cell:
            price_lists.check_unit(found)
        if found is not cell and not self.prices.currency:
            self.prices.currency = price_lists.code_of(found)
        return found

    def _price(self, cell: Any, text: str) -> tuple[Price, list[RowWarning]]:
        """Read a price; of a range the lowest, with a warning. Raises ValueError."""
        if isinstance(cell, Price):
            return cell, []
        decimal = self.prices.decimal
        if _IN_PARENTHESES.fullmatch(text):
            raise ValueError(f"{text[:40]!r} is an amount below 0, in parentheses")
        try:
            return number_of(cell) or read_price(text, decimal=decimal), []
        except ValueError:
            read = partial(read_price, decimal=decimal)
            if several := price_lists.read_several(text, read, self.prices.currency):
                self.prices.currency = self.prices.currency or several.currency
                said = f"price: of {text[:40]!r}, that in {several.currency} counts"
                return several, [RowWarning(WarningKind.PRICE, said)]
            if (lowest := read_lowest(text, decimal=decimal)) is None:
                raise
            said = f"price: {text[:40]!r} is a range; its lowest price counts"
            return lowest, [RowWarning(WarningKind.PRICE, said)]
