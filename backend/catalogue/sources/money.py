"""Prices as people write them -> decimal numbers and currencies. No binary float is involved."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

from backend.catalogue.sources.currencies import CODES, NAMELESS, SYMBOLS, WHOLE

LONGEST: Final = 80  # characters of a price with its currency
POINT: Final = "."
COMMA: Final = ","

_SPACES: Final = re.compile("[\\s'\N{RIGHT SINGLE QUOTATION MARK}`\N{ACUTE ACCENT}]+")
_PARTS: Final = re.compile(
    r"(?P<before>[^\d\s+-]*?)\s*(?P<sign>[-+]?)\s*(?P<before2>[^\d\s+-]*?)\s*"
    r"(?P<number>(?:(?<![^\W\d_])(?<!/)\.)?"  # in Rs.1299 the point ends an abbreviation
    r"\d(?:[\d.,\s'’`´]*\d)?)(?:(?P<none>\s?[.,:][-–—]{1,2}|\s?/[-–—=])|[.,])?\s*"  # noqa: RUF001
    r"(?P<after>[^\d\s+-]*)\s*(?P<after2>[^\d\s+-]*)"
)
_REMARK_BEFORE: Final = re.compile(
    r"^(?:(?:UVP|RRP|MSRP|MRP|PVP|price|preis|prix|precio|prezzo|cena|inkl?|incl|nur|only|now|just"
    r"|jetzt|seulement|solo|sólo|slechts|tylko|jen|endast|kun|vain|только)\b|(?:ca|approx)\.|~)"
    r"[:.]?\s*",
    re.IGNORECASE,
)
_REMARK_BEHIND: Final = re.compile(
    r"(?<=\S)\s*[\[(]?(?:(?<![^\W\d_])(?:incl|inkl|excl|exkl|zzgl|inc|ex|plus)\b.*"
    r"|(?<![^\W\d_])(?:TTC|HT|TVAC|brutto|gross|netto|net|each|ea)\b\.?"
    r"|(?:/\s*|\b(?:per|pro|par|je)\s+)[^\W\d_]+\.?)[\])]?\s*$",
    re.IGNORECASE,
)
"""What says nothing of the amount: taxes, and that it is the price of one piece."""
_WIDE: Final = str.maketrans("٫٬−．，￥＄￡￦", ".'-.,¥$£₩")  # noqa: RUF001
_PLAIN: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")
"""Most prices; nothing about them needs to be found out."""
_BETWEEN: Final = re.compile(r"^(\d{1,6})\s?([€£$])\s?(\d{2})$")
"""A currency in place of the point: 19€90."""
_GROUPS: Final = re.compile(r"\d{1,3}(?:[., ](?:\d{2}|\d{3}))*[., ]\d{3}")


class Price(NamedTuple):
    """An amount and, where the text says it, the code of its currency."""

    amount: Decimal
    currency: str | None


class _Written(NamedTuple):
    """The parts of a price: digits and separators, and what stands before and behind them."""

    number: str
    is_whole: bool  # it ends with a dash in place of decimals: 1.299,-
    sign: str
    currencies: tuple[str, ...]


def read_price(text: str, *, decimal: str = POINT) -> Price:
    """Read a price. `decimal` is the separator of decimals where the text alone does not tell.

    Raises ValueError for everything that is not one price, and for one below 0.
    """
    if _PLAIN.fullmatch(text):
        return Price(Decimal(text), None)
    written = _written(text)
    if written is None:
        raise _not_a_price(text)
    found = _decimal_of(written)
    amount = Decimal(_digits(text, written.number, decimal if found is None else found))
    if written.sign == "-" and amount:
        raise ValueError(f"{text[:40]!r} is below 0")
    return Price(amount, _currency(text, written.currencies))


def is_plain_price(text: str) -> bool:
    """Tell whether a price is an amount without a currency that can be read in one way only."""
    return _PLAIN.fullmatch(text) is not None


def is_ambiguous(text: str) -> bool:
    """Tell whether a price such as 1.299 can be a thousand, or one with three decimals."""
    if _PLAIN.fullmatch(text):
        return False
    written = _written(text)
    return written is not None and _decimal_of(written) is None


def _not_a_price(text: str) -> ValueError:
    return ValueError(f"{text[:40]!r} is not a price such as 1299.50")


def _written(text: str) -> _Written | None:
    if len(text) > LONGEST:
        return None
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = _ascii_digits(text)
    text = text.strip().removeprefix("'")  # what keeps a spreadsheet from computing
    text = _BETWEEN.sub(r"\1.\3\2", text)
    written = _split(text)
    if written is None or not all(map(_is_known, written.currencies)):
        bare = _REMARK_BEHIND.sub("", _REMARK_BEFORE.sub("", text.strip('"')))
        written = _split(bare) or written
    return written


def _split(text: str) -> _Written | None:
    found = _PARTS.fullmatch(text.strip())
    if found is None:
        return None
    number = _SPACES.sub(" ", found["number"])
    sides = ((found["before"], found["before2"]), (found["after"], found["after2"]))
    around = tuple(each for side in sides for each in _names_of(side))
    return _Written(number, bool(found["none"]), found["sign"], tuple(dict.fromkeys(around)))


def _names_of(side: Sequence[str]) -> list[str]:
    """Return the names of currencies on one side of a number; `$ CA` and `US $` are one name."""
    names = [name for part in side if (name := _bare(part))]
    if len(names) > 1:
        both = next((it for it in ("".join(names), "".join(names[::-1])) if it in SYMBOLS), None)
        return [both] if both else names
    return names


def _bare(name: str) -> str:
    """Return the name of a currency in capital letters: `(eur)`, `CAD$`, `€EUR`."""
    name = name.strip(".*()[]").upper()
    code = name.strip("$€£¥")
    return code if code in CODES else name


def _ascii_digits(text: str) -> str:
    """Replace digits and separators of other scripts, and wide ones, by those of ASCII."""
    text = text.translate(_WIDE)
    return "".join(
        str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in text
    )


def _decimal_of(written: _Written) -> str | None:
    """Return the separator of a price's decimals; "" if it has none; None if both are possible."""
    found = _decimal_in(written.number)
    codes = {SYMBOLS.get(name, name) for name in written.currencies}
    return "" if found is None and (written.is_whole or codes & WHOLE) else found


def _decimal_in(number: str) -> str | None:
    separators = [letter for letter in number if letter in ".,"]
    if not separators:
        return ""
    last = separators[-1]
    whole, _, decimals = number.rpartition(last)
    if separators.count(last) > 1:
        return COMMA if last == POINT and COMMA in separators else ""
    is_group = len(decimals) == 3 and 1 <= len(whole.replace(" ", "")) <= 3
    if is_group and len(separators) == 1 and " " not in whole and not whole.startswith("0"):
        return None
    return last


def _evidence(written: _Written) -> str | None:
    """Return which separator of decimals a price is written with, as far as it tells."""
    found = _decimal_of(written)
    if found == "":
        grouped = [letter for letter in written.number if letter in ".,"]
        return None if not grouped else COMMA if grouped[0] == POINT else POINT
    return found


def _digits(text: str, number: str, separator: str) -> str:
    """Return a number with a point before its decimals, and no other separator."""
    whole, decimals = number, ""
    if separator and separator in number:
        whole, _, decimals = number.rpartition(separator)
    if not re.fullmatch(r"\d*", decimals):
        raise _not_a_price(text)
    if not re.fullmatch(r"\d*", whole) and not _is_grouped(whole, separator):
        raise _not_a_price(text)
    return f"{re.sub('[., ]', '', whole) or '0'}.{decimals or '0'}"


def _is_grouped(whole: str, separator: str) -> bool:
    """Tell whether digits are in groups, with one separator that is not that of the decimals."""
    used = set(whole) & set("., ")
    return len(used) == 1 and separator not in used and bool(_GROUPS.fullmatch(whole))


def _currency(text: str, names: Sequence[str]) -> str | None:
    """Return the code of a currency; one that is written out counts more than symbols beside it.

    Raises ValueError for a name that is not known, and for two currencies.
    """
    unknown = [name for name in names if not _is_known(name)]
    if unknown:
        name = unknown[0][:20]
        raise ValueError(f"{text[:40]!r} is not a price such as 1299.50: {name!r} is unknown")
    if "FR" in names and "KR" in names:  # Swedish: `fr. 299 kr` is a lowest price, not in francs
        return None
    codes = [name for name in names if name in CODES]
    found = set(codes or (SYMBOLS[name] for name in names if name in SYMBOLS))
    if len(found) > 1:
        raise _not_a_price(text)
    return found.pop() if found else None


def _is_known(name: str) -> bool:
    return name in CODES or name in SYMBOLS or name in NAMELESS


@dataclass
class PriceColumn:
    """How the prices of one column are written, found out by looking at all of them."""

    given: str | None = None  # the separator of decimals that the operator named
    currency: str | None = None  # of the first of several prices of a product
    default: str = POINT  # where no price tells
    _seen: Counter[str] = field(default_factory=Counter)
    _ambiguous: int = 0
    _explained: bool = False

    def see(self, text: str) -> bool:
        """Look at one price; tell whether it is one."""
        if plain := _PLAIN.fullmatch(text):
            self._seen[POINT] += plain[1] is not None
            return True
        written = _written(text)
        if written is None:
            return False
        if (found := _evidence(written)) is not None:
            self._seen[found] += 1
        elif _decimal_of(written) is None:
            self._ambiguous += 1
        return True

    @property
    def decimal(self) -> str:
        """The separator of decimals: as given, else that of most prices, else the default."""
        commas, points = self._seen[COMMA], self._seen[POINT]
        if self.given or commas == points:
            return self.given or self.default
        return COMMA if commas > points else POINT

    def explain(self, text: str) -> str | None:
        """Say once how ambiguous prices were decided, unless the operator has decided it."""
        if self.given or self._explained or not is_ambiguous(text):
            return None
        self._explained = True
        name = {POINT: "point", COMMA: "comma"}[self.decimal]
        commas, points = self._seen[COMMA], self._seen[POINT]
        why = f"{commas:,} prices are written with a comma, {points:,} with a point"
        if commas == points:
            why = f"nothing in the column decides it: {why}"
        amount = read_price(text, decimal=self.decimal).amount.normalize()
        return (
            f"{text[:40]!r} is read as {amount:f}, with a decimal {name}; such prices in the "
            f"column: {self._ambiguous:,}; {why}; --decimal decides otherwise"
        )
