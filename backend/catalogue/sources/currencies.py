"""The codes, symbols and names of currencies, as shops write them beside a price."""

from __future__ import annotations

from typing import Final

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
    "RUR": "RUB",
    "₺": "TRY",
    "TL": "TRY",
    "₴": "UAH",
    "₪": "ILS",
    "₫": "VND",
    "Đ": "VND",
    "VNĐ": "VND",
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
