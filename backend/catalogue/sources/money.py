"""Prices as people write them -> decimal numbers and currencies. No binary float is involved."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
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
}
"""A symbol that several currencies share ($, ¥) means the one that is most used."""

NAMELESS: Final = {"KR", "¤"}
"""Symbols that several currencies share equally: the price is read, its currency stays unknown."""

_SPACES: Final = re.compile("[\\s'\N{RIGHT SINGLE QUOTATION MARK}`\N{ACUTE ACCENT}]+")
_PARTS: Final = re.compile(
    r"(?P<before>[^\d\s+-]*?)\s*(?P<sign>[-+]?)\s*(?P<before2>[^\d\s+-]*?)\s*"
    r"(?P<number>\.?\d(?:[\d.,\s'’`´]*\d)?)(?:(?P<none>[.,][-–—]{1,2})|[.,])?\s*"  # noqa: RUF001
    r"(?P<after>[^\d\s+-]*)"
)
_PLAIN: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")
"""Most prices; nothing about them needs to be found out."""
_GROUPS: Final = re.compile(r"\d{1,3}(?:[., ](?:\d{2}|\d{3}))*[., ]\d{3}")


class Price(NamedTuple):
    """An amount and, where the text says it, the code of its currency."""

    amount: Decimal
    currency: str | None


class _Written(NamedTuple):
    """The parts of a price: digits and separators, and what stands around them."""

    number: str
    sign: str
    currency: str


def read_price(text: str, *, decimal: str = POINT) -> Price:
    """Read a price. `decimal` is the separator of decimals where the text alone does not tell.

    Raises ValueError for everything that is not one price, and for one below 0.
    """
    if _PLAIN.fullmatch(text):
        return Price(Decimal(text), None)
    written = _written(text)
    if written is None:
        raise _not_a_price(text)
    amount = Decimal(_digits(text, written.number, decimal))
    if written.sign == "-" and amount:
        raise ValueError(f"{text[:40]!r} is below 0")
    return Price(amount, _currency(text, written.currency))


def is_ambiguous(text: str) -> bool:
    """Tell whether a price such as 1.299 can be a thousand, or one with three decimals."""
    if _PLAIN.fullmatch(text):
        return False
    written = _written(text)
    return written is not None and _decimal_of(written.number) is None


def _not_a_price(text: str) -> ValueError:
    return ValueError(f"{text[:40]!r} is not a price such as 1299.50")


def _written(text: str) -> _Written | None:
    if len(text) > LONGEST:
        return None
    if not text.isascii():
        text = _ascii_digits(text)
    found = _PARTS.fullmatch(text.strip())
    if found is None:
        return None
    around = [found["before"], found["before2"], found["after"]]
    currencies = [part.strip(".").upper() for part in around if part]
    if len(currencies) > 1 and len(set(currencies)) > 1:
        return None
    number = _SPACES.sub(" ", found["number"])
    return _Written(number, found["sign"], currencies[0] if currencies else "")


def _ascii_digits(text: str) -> str:
    """Replace digits and separators of other scripts, and wide ones, by those of ASCII."""
    text = text.translate({0x066B: ".", 0x066C: "'", 0x2212: "-"})
    text = "".join(
        str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in text
    )
    return text.replace("\N{FULLWIDTH FULL STOP}", ".").replace("\N{FULLWIDTH COMMA}", ",")


def _decimal_of(number: str) -> str | None:
    """Return the separator of a number's decimals; "" if it has none; None if both are possible."""
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


def _evidence(number: str) -> str | None:
    """Return which separator of decimals a number is written with, as far as it tells."""
    found = _decimal_of(number)
    if found == "":
        grouped = [letter for letter in number if letter in ".,"]
        return None if not grouped else COMMA if grouped[0] == POINT else POINT
    return found


def _digits(text: str, number: str, decimal: str) -> str:
    """Return a number with a point before its decimals, and no other separator."""
    found = _decimal_of(number)
    separator = decimal if found is None else found
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


def _currency(text: str, written: str) -> str | None:
    if not written or written in NAMELESS:
        return None
    if written in CODES:
        return written
    if written in SYMBOLS:
        return SYMBOLS[written]
    raise ValueError(f"{text[:40]!r} is not a price such as 1299.50: {written[:20]!r} is unknown")


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
        if (found := _evidence(written.number)) is not None:
            self._seen[found] += 1
        elif _decimal_of(written.number) is None:
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
