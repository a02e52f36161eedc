"""Colour and gender where a platform has no column of their own for them, but pairs of cells.

Shopify writes `Option1 Name` = Color and `Option1 Value` = Red, WooCommerce `Attribute 1 name` and
`Attribute 1 value(s)`, and Magento `additional_attributes` = `color=Red,gender=Men`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import Reject

COLOUR: Final = "colour of the options"
GENDER: Final = "gender of the options"
ADDED: Final = (COLOUR, GENDER)

_WORDS: Final[Mapping[str, str]] = {  # the name of an option -> the added column
    **dict.fromkeys(("color", "colour", "farbe", "couleur", "colore", "cor", "kleur"), COLOUR),
    **dict.fromkeys(("färg", "farve", "farge", "kolor", "barva", "цвет", "renk"), COLOUR),
    **dict.fromkeys(("gender", "geschlecht", "genere", "género", "sexo", "пол"), GENDER),
}
_NAME: Final = re.compile(
    r"(?:product|variant )?(?:option|attribute|variation) ?(?:(\d+) name|name ?(\d+))",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(
    r"(?:product|variant )?(?:option|attribute|variation) ?"
    r"(?:(\d+) value(?:\(s\))?|(?:value|description) ?(\d+))",
    re.IGNORECASE,
)
_HEX: Final = re.compile(r"#[0-9a-fA-F]{3,8}:")  # what Wix writes before the name of a colour
_PAIRS: Final = re.compile(r"(?:^|,)\s*([A-Za-z_]\w*)=")  # Magento's; a value may hold commas
_SEVERAL: Final = re.compile(r"[,|;]")


@dataclass(frozen=True)
class NamedOptions:
    """Where a table holds pairs of names and values."""

    pairs: Sequence[tuple[int, int]]
    lists: Sequence[int]  # columns such as `additional_attributes`
    own: Sequence[tuple[int, str]]  # columns whose name says what they hold, and for which column

    @classmethod
    def find(cls, columns: Sequence[str]) -> NamedOptions:
        """Find them among the names of the columns."""
        names = _numbered(columns, _NAME)
        values = _numbered(columns, _VALUE)
        pairs = [(at, values[number]) for number, at in names.items() if number in values]
        lists = [at for at, name in enumerate(columns) if name.lower() == "additional_attributes"]
        own = [
            (at, column)
            for at, name in enumerate(columns)
            if name not in ADDED and (column := column_of(name.rpartition("/")[2]))
        ]
        return cls(pairs, lists, own)

    def read(self, values: Sequence[Any]) -> list[str]:
        """Return a record's colour and gender, in the order of `ADDED`; empty if it has none.

        A value that lists several, as for a product with variants, counts as none.
        """
        found: dict[str, str] = {}
        for name, value in self._named(values):
            column, text = column_of(name), _HEX.sub("", value.strip())
            if column and text and not _SEVERAL.search(text):
                found.setdefault(column, text)
        for at, column in self.own:
            if text := as_text(values[at]):
                found.setdefault(column, text)
        return [found.get(column, "") for column in ADDED]

    def _named(self, values: Sequence[Any]) -> Iterator[tuple[str, str]]:
        for name, value in self.pairs:
            yield as_text(values[name]), as_text(values[value])
        for at in self.lists:
            _, *parts = _PAIRS.split(as_text(values[at]))
            yield from zip(parts[::2], parts[1::2], strict=True)


def _numbered(columns: Sequence[str], pattern: re.Pattern[str]) -> dict[str, int]:
    """Return the places of columns by the number in their names."""
    found = ((pattern.fullmatch(name), at) for at, name in enumerate(columns))
    return {it[1] or it[2]: at for it, at in found if it}


def arrange(
    columns: Sequence[str], records: Iterator[TableRecord | Reject]
) -> Iterator[TableRecord | Reject]:
    """Yield the records with the columns of `ADDED`, which `columns` ends with."""
    options = NamedOptions.find(columns)
    for record in records:
        if isinstance(record, TableRecord):
            yield record._replace(values=[*record.values, *options.read(record.values)])
        else:
            yield record


def column_of(name: str) -> str | None:
    """Return the added column that an option's name means: `Color`, `pa_color`, `Farbe (Stoff)`."""
    bare = re.sub(r"\([^()]*\)", "", name).strip().lower().removeprefix("c:")  # eBay's
    return _WORDS.get(bare.removeprefix("pa_"))
