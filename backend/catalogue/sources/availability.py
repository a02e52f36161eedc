"""Whether a product is in stock, from the words that shops and feeds use."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

_WORDS_IN: Final = """
    true, yes, y, t, on, in stock, available, available now, available for order, low stock,
    limited availability, online only, in store only, wahr, ja, j, auf lager, lagernd,
    lieferbar, sofort lieferbar, verfügbar, verfuegbar, sofort verfügbar, vorrätig, vrai, oui,
    en stock, disponible, verdadero, si, sí, vero, sì, disponibile, in magazzino, verdadeiro,
    sim, disponível, em estoque, em stock, waar, op voorraad, leverbar, prawda, tak, dostępny,
    pravda, ano, skladem, sant, i lager, på lager, kyllä, varastossa, igaz, igen, raktáron,
    doğru, evet, stokta, да, истина, есть, в наличии
"""
_WORDS_OUT: Final = """
    false, no, n, f, off, out of stock, sold out, not in stock, unavailable, not available,
    temporarily out of stock, currently unavailable, no longer available, discontinued,
    reserved, pre order, available for preorder, pre sale, coming soon, back order, back
    ordered, on back order, available on backorder, made to order, falsch, nein, nicht auf
    lager, ausverkauft, vergriffen, nicht lieferbar, nicht verfügbar, nicht vorrätig,
    vorbestellbar, faux, non, épuisé, rupture, rupture de stock, en rupture, en rupture de
    stock, indisponible, non disponible, falso, agotado, sin stock, no disponible, esaurito, non
    disponibile, não, esgotado, indisponível, sem estoque, onwaar, nee, uitverkocht, niet op
    voorraad, fałsz, nie, niedostępny, nepravda, ne, vyprodáno, není skladem, falskt, nej,
    slutsåld, nei, udsolgt, utsolgt, ei, loppu, hamis, nem, elfogyott, yanlış, hayır, tükendi,
    нет, ложь, нет в наличии
"""  # noqa: RUF001 - Turkish
_NUMBER: Final = re.compile(r"([+-]?)([0-9][0-9.,]*)")
_SCHEMA_ORG: Final = re.compile(r"(https?://(www\.)?schema\.org/|schema:)", re.IGNORECASE)


def _plain(text: str) -> str:
    """Return only the letters and digits of a text, without accents, in small letters."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if letter.isalnum())


def _words(text: str) -> frozenset[str]:
    return frozenset(_plain(word) for word in text.split(","))


IN_STOCK: Final = _words(_WORDS_IN)
NOT_IN_STOCK: Final = _words(_WORDS_OUT)


@lru_cache(maxsize=1_024)
def read_availability(text: str) -> bool | None:
    """Tell whether a cell says that its product is in stock; None for an empty cell.

    A number is a quantity: above 0 is in stock. What can only be ordered (preorder, back order) is
    not in stock. Raises ValueError for a word that is not known, which never means in stock.
    """
    text = text.strip()
    if not text:
        return None
    if number := _NUMBER.fullmatch(text.replace(" ", "").replace("\N{NO-BREAK SPACE}", "")):
        return number[1] != "-" and any(digit in "123456789" for digit in number[2])
    word = _plain(_SCHEMA_ORG.sub("", text))
    if word in IN_STOCK:
        return True
    if word in NOT_IN_STOCK:
        return False
    raise ValueError(f"{text[:40]!r} does not say whether there is stock")
