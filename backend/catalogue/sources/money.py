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

LONGEST: Final = 80  # characters of a price with its currency
POINT: Final = "."
COMMA: Final = ","

_CODES: Final = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN
    BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD
    FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD
    JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
    MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG
    QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS
    TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF
    YER ZAR ZMW ZWG
"""
CODES: Final = frozenset(_CODES.split())
"""The codes of ISO 4217 for money that is in use."""

SYMBOLS: Final = {
    "€": "EUR",
    "EURO": "EUR",
    "EUROS": "EUR",
    "£": "GBP",
    "$": "USD",
    "US$": "USD",
    "CA$": "CAD",
    "C$": "CAD",
    "AU$": "AUD",
    "A$": "AUD",
    "NZ$": "NZD",
    "HK$": "HKD",
    "S$": "SGD",
    "MX$": "MXN",
    "R$": "BRL",
    "NT$": "TWD",
    "¥": "JPY",
    "JP¥": "JPY",
    "CN¥": "CNY",
    "₹": "INR",
    "RS": "INR",
    "₩": "KRW",
    "₽": "RUB",
    "РУБ": "RUB",
    "₺": "TRY",
    "TL": "TRY",
    "₴": "UAH",
    "₪": "ILS",
    "₫": "VND",
    "฿": "THB",
    "₱": "PHP",
    "₦": "NGN",
    "ZŁ": "PLN",
    "KČ": "CZK",
    "FT": "HUF",
    "LEI": "RON",
    "ЛВ": "BGN",
    "FR": "CHF",
    "SFR": "CHF",
    "₸": "KZT",
    "₾": "GEL",
    "₡": "CRC",
    "₲": "PYG",
    "₵": "GHS",
    "₼": "AZN",
    "₮": "MNT",
    "₭": "LAK",
    "៛": "KHR",
    "৳": "BDT",
    "元": "CNY",
    "RMB": "CNY",
    "円": "JPY",
    "원": "KRW",
    "R": "ZAR",
    "RM": "MYR",
    "RP": "IDR",
    "S/": "PEN",
    "Q": "GTQ",
    "KSH": "KES",
    "CDN$": "CAD",
    "ZL": "PLN",
    "KC": "CZK",
    "SKR": "SEK",
    "NKR": "NOK",
    "DKR": "DKK",
    "KM": "BAM",
    "DIN": "RSD",
    "ДИН": "RSD",
    "ДЕН": "MKD",
    "ГРН": "UAH",
    "Р": "RUB",  # noqa: RUF001 - Cyrillic
    "ТГ": "KZT",
    "د.إ": "AED",
    "ر.س": "SAR",
}
"""A symbol that several currencies share ($, ¥) means the one that is most used."""

WHOLE: Final = frozenset(
    ["CLP", "COP", "HUF", "IDR", "ISK", "JPY", "KRW", "PYG", "RWF", "UGX", "VND", "XAF", "XOF"]
)
"""Money that nobody writes with three decimals: in 1.299 Ft the point divides thousands."""

NAMELESS: Final = {"KR", "¤"}
"""Symbols that several currencies share equally: the price is read, its currency stays unknown."""

_SPACES: Final = re.compile("[\\s'\N{RIGHT SINGLE QUOTATION MARK}`\N{ACUTE ACCENT}]+")
_PARTS: Final = re.compile(
    r"(?P<before>[^\d\s+-]*?)\s*(?P<sign>[-+]?)\s*(?P<before2>[^\d\s+-]*?)\s*"
    r"(?P<number>(?:(?<![^\W\d_])(?<!/)\.)?"  # in Rs.1299 the point ends an abbreviation
    r"\d(?:[\d.,\s'’`´]*\d)?)(?:(?P<none>[.,:][-–—]{1,2})|[.,])?\s*"  # noqa: RUF001
    r"(?P<after>[^\d\s+-]*)\s*(?P<after2>[^\d\s+-]*)"
)
_WIDE: Final = str.maketrans("٫٬−．，￥＄￡￦", ".'-.,¥$£₩")  # noqa: RUF001
_PLAIN: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")
"""Most prices; nothing about them needs to be found out."""
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
    text = text.removeprefix("'")  # what keeps a spreadsheet from computing
    found = _PARTS.fullmatch(text.strip())
    if found is None:
        return None
    number = _SPACES.sub(" ", found["number"])
    sides = ((found["before"], found["before2"]), (found["after"], found["after2"]))
    around = tuple(each for side in sides for each in _names_of(side))
    return _Written(number, bool(found["none"]), found["sign"], tuple(dict.fromkeys(around)))


def _names_of(side: Sequence[str]) -> list[str]:
    """Return the names of currencies on one side of a number; `$ CA` and `US $` are one name."""
    names = [name for part in side if (name := part.strip(".*").upper())]
    if len(names) > 1:
        both = next((it for it in ("".join(names), "".join(names[::-1])) if it in SYMBOLS), None)
        return [both] if both else names
    return names


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
    unknown = [name for name in names if name not in CODES | NAMELESS and name not in SYMBOLS]
    if unknown:
        name = unknown[0][:20]
        raise ValueError(f"{text[:40]!r} is not a price such as 1299.50: {name!r} is unknown")
    codes = [name for name in names if name in CODES]
    found = set(codes or (SYMBOLS[name] for name in names if name in SYMBOLS))
    if len(found) > 1:
        raise _not_a_price(text)
    return found.pop() if found else None


@dataclass
class PriceColumn:
    """How the prices of one column are written, found out by looking at all of them."""

    given: str | None = None  # the separator of decimals that the operator named
    default: str = POINT  # where no price tells
    _seen: Counter[str] = field(default_factory=Counter)
    _ambiguous: int = 0
    _explained: bool = False

    def see(self, text: str) -> None:
        """Look at one price."""
        if plain := _PLAIN.fullmatch(text):
            self._seen[POINT] += plain[1] is not None
            return
        written = _written(text)
        if written is None:
            return
        if (found := _evidence(written)) is not None:
            self._seen[found] += 1
        elif _decimal_of(written) is None:
            self._ambiguous += 1

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
