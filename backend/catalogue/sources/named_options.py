"""Colour, gender and brand where a platform has no column for them, but pairs of cells.

Shopify writes `Option1 Name` = Color and `Option1 Value` = Red, WooCommerce `Attribute 1 name` and
`Attribute 1 value(s)`, Magento `additional_attributes` = `color=Red,gender=Men`, others a cell such
as `Color: Red; Size: M`, or the names in one cell and the values in another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.column_names import plain, rank_of
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import Reject
from backend.catalogue.sources.no_values import NO_VALUE

COLOUR: Final = "colour of the options"
GENDER: Final = "gender of the options"
BRAND: Final = "brand of the options"
ADDED: Final = (COLOUR, GENDER, BRAND)
FIELDS: Final = {"base_colour": COLOUR, "gender": GENDER, "brand": BRAND}

_WORDS: Final[Mapping[str, str]] = {  # the name of an option -> the added column
    **dict.fromkeys(("color", "colour", "farbe", "couleur", "colore", "cor", "kleur"), COLOUR),
    **dict.fromkeys(("färg", "farve", "farge", "kolor", "barva", "цвет", "renk"), COLOUR),
    **dict.fromkeys(("колір", "väri", "szín", "culoare", "色", "カラー", "颜色", "색상"), COLOUR),
    **dict.fromkeys(("gender", "geschlecht", "genere", "género", "sexo", "пол"), GENDER),
    **dict.fromkeys(("brand", "marke", "marque", "marca", "merk", "marka", "бренд"), BRAND),
    **dict.fromkeys(("значка", "značka", "producent", "manufacturer", "hersteller"), BRAND),
    **dict.fromkeys(("gênero", "sexe", "płeć", "pohlaví", "cinsiyet", "стать", "性別"), GENDER),
}
_OPTION: Final = (
    r"(?:product ?|variant )?(?:option|attribute|variation|variant option|propriedade|variações)"
)
_OPTION_OF: Final = r"(?:propiedad|variação|variación|variante|variazione|déclinaison|variatie)"
_NUMBER: Final = r"(\d+|one|two|three)"
_NAME: Final = re.compile(
    rf"{_OPTION} ?(?:{_NUMBER} name|name ?{_NUMBER})"
    rf"|(?:nombre|nome|nom) d[aeu] (?:la )?{_OPTION_OF} {_NUMBER}"
    rf"|variationsname ?{_NUMBER}|バリエーション項目キー{_NUMBER}",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(
    rf"{_OPTION} ?(?:{_NUMBER} values?(?:\(s\))?|(?:value|description|choices) ?{_NUMBER})"
    rf"|(?:valor|valore|valeur) d[aeu] (?:la )?{_OPTION_OF} {_NUMBER}"
    rf"|variationswert(?:name)? ?{_NUMBER}|バリエーション項目選択肢{_NUMBER}",
    re.IGNORECASE,
)
_TEXTS: Final = frozenset(
    [
        *("variationdetails", "configuratoroptions", "features", "options", "variant", "usvariant"),
        *("nlvariant", "devariant", "envariant", "frvariant", "variation", "variationattributes"),
        *("relationshipdetails", "selectedoptions", "optionvalues", "variantattributes", "facets"),
        *("variantfacets", "variationtheme", "variationname", "productoptions", "caractéristiques"),
        *("characteristics", "specifications", "eigenschaften", "properties", "merkmale"),
    ]
)
"""Columns of texts such as `Color: Red; Size: M`; without case and underscores."""
_LISTS: Final = (
    ("attribute", "value"),  # PrestaShop's `Attribute (Name:Type:Position)`
    ("optiongroups", "optionvalues"),  # Vendure's
)
"""Columns of which one lists the names of options, and another one their values."""
_OF_TEXT: Final = re.compile(r"[;|,\n]|\]\s*+\[")
_PAIR: Final = re.compile(r"[\[\s\"]*+([^:=\[\]\"]++)[:=]\s*+(?:[A-Z]\[)?([^\[\]\"]++)[\]\s\"]*+")
"""A name and a value, with the blanks around them; no part is tried again, so it is linear."""
_LIST: Final = re.compile(r"[,|]")
_OWN_NAME: Final = re.compile(r"^[\w ]+[:/]\s*(\w+)$")
"""A column that says what it is: `variant:Barva`, `Свойство: Цвет`, `Option/Color`."""
_HEX: Final = re.compile(r"#[0-9a-fA-F]{3,8}:")  # what Wix writes before the name of a colour
_PAIRS: Final = re.compile(r"(?:^|,)\s*([A-Za-z_]\w*)=")  # Magento's; a value may hold commas
_SEVERAL: Final = re.compile(r"[,|;]")


@dataclass(frozen=True)
class NamedOptions:
    """Where a table holds pairs of names and values."""

    pairs: Sequence[tuple[int, int]]
    lists: Sequence[int]  # columns such as `additional_attributes`
    texts: Sequence[int]  # columns of `_TEXTS`
    parallel: Sequence[tuple[int, int]]  # columns of `_LISTS`
    exact: Sequence[tuple[int, str]]  # columns with the name of a field, and the added column
    own: Sequence[tuple[int, str]]  # other columns whose name says what they hold: `Option/Color`
    is_odd: bool  # one of these has another name than a field of ours

    @classmethod
    def find(cls, columns: Sequence[str]) -> NamedOptions:
        """Find them among the names of the columns."""
        names = _numbered(columns, _NAME)
        values = _numbered(columns, _VALUE)
        pairs = [(at, values[number]) for number, at in names.items() if number in values]
        lists = [at for at, name in enumerate(columns) if name.lower() == "additional_attributes"]
        bare = [plain(re.sub(r"\([^()]*\)", "", name)) for name in columns]
        texts = [at for at, name in enumerate(bare) if name in _TEXTS]
        parallel = [
            (bare.index(names), bare.index(values))
            for names, values in _LISTS
            if names in bare and values in bare
        ]
        exact = _exact(columns)
        own = [
            (at, column)
            for at, name in enumerate(columns)
            if name not in ADDED and (column := column_of(_last_of(name)))
        ]
        is_odd = any(column_of(columns[at]) is None for at, _ in own)
        own = [each for each in own if each not in exact]
        return cls(pairs, lists, texts, parallel, exact, own, is_odd)

    def __bool__(self) -> bool:
        """Tell whether there is anything but columns whose names are those of fields."""
        return bool(self.pairs or self.lists or self.texts or self.parallel or self.is_odd)

    def read(self, values: Sequence[Any]) -> list[Any]:
        """Return a record's values in the order of `ADDED`; empty where it has none.

        The column with the name of a field counts most, then options, then texts. An option that
        lists several values, as for a product with variants, counts as none.
        """
        found: dict[str, Any] = {}
        for at, column in self.exact:
            if _says_something(values[at]):
                found.setdefault(column, values[at])
        _add_single(found, self._named(values))
        for at, column in self.own:
            if text := as_text(values[at]):
                found.setdefault(column, text)
        for at in self.texts:
            _add_single(found, _pairs_of(as_text(values[at])))
        return [found.get(column, "") for column in ADDED]

    def _named(self, values: Sequence[Any]) -> Iterator[tuple[str, str]]:
        for name, value in self.pairs:
            yield as_text(values[name]), as_text(values[value])
        for at in self.lists:
            _, *parts = _PAIRS.split(as_text(values[at]))
            yield from zip(parts[::2], parts[1::2], strict=True)
        for names, listed in self.parallel:
            several = (_LIST.split(as_text(values[at])) for at in (names, listed))
            pairs = zip(*several, strict=False)
            yield from ((name.partition(":")[0], value.partition(":")[0]) for name, value in pairs)


def _exact(columns: Sequence[str]) -> list[tuple[int, str]]:
    """Return the columns with names of fields, of each field in the order of its names."""
    found = [
        (rank, at, column)
        for at, name in enumerate(columns)
        for ours, column in FIELDS.items()
        if (rank := rank_of(ours, name)) is not None
    ]
    return [(at, column) for _, at, column in sorted(found)]


def _says_something(cell: Any) -> bool:
    text = as_text(cell)
    return bool(text) and text not in NO_VALUE


def _add_single(found: dict[str, Any], named: Iterator[tuple[str, str]]) -> None:
    """Add the options that are fields of ours and have one value."""
    for name, value in named:
        column, text = column_of(name.strip()), _HEX.sub("", value.strip())
        if column and text and not _SEVERAL.search(text):
            found.setdefault(column, text)


def _pairs_of(text: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values of `Color: Red; Size: M`, `[Color=Red]`, `Color: S[Red]`."""
    for part in _OF_TEXT.split(text) if ":" in text or "=" in text else ():
        if found := _PAIR.fullmatch(part):
            yield found[1], found[2]


def _last_of(name: str) -> str:
    """Return what a name says behind a slash or a colon."""
    found = _OWN_NAME.match(name)
    return found[1] if found else name.rpartition("/")[2]


def _numbered(columns: Sequence[str], pattern: re.Pattern[str]) -> dict[str, int]:
    """Return the places of columns by the number in their names."""
    bare = (" ".join(re.split(r"[\s_]+", name)) for name in columns)
    found = ((pattern.fullmatch(name), at) for at, name in enumerate(bare))
    return {next(filter(None, it.groups())).lower(): at for it, at in found if it}


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
