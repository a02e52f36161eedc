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
    doğru, evet, stokta, да, истина, есть, в наличии, есть в наличии, на складе, в наявності,
    є в наявності, так, налично, в наличност, ναι, διαθέσιμο, σε απόθεμα, stokta var, var,
    mevcut, ab lager, in giacenza, hay stock, en existencia, en existencias, dostępna, dostępne,
    w magazynie, na stanie, dostupné, dostupný, na sklade, skladom, készleten, elérhető,
    disponibil, în stoc, finns i lager, in many, many, in store, ready to ship,
    available immediately, unlimited, unbegrenzt, illimité, illimitato, ilimitado,
    in stock online, in stock in store, back in stock, limited stock, few left, last ones,
    immediately available, lagerware, an lager, nur noch wenige, sofort versandfertig,
    sofort ab lager, dostępny od ręki, od ręki, pronta consegna, disponibilità immediata,
    disponibile subito, disponible de suite, livraison immédiate, entrega inmediata,
    pronta entrega, direct leverbaar, ihned k odeslání, ihned, в наличност,
    còn hàng, tersedia, ready stock, ada, มีสินค้า, พร้อมส่ง, स्टॉक में, उपलब्ध,
    在庫, 在庫有り, 在庫僅少, 在庫わずか, 残りわずか, 販売中, 有, 充足, 판매중, 품절임박, 재고,
    tilgjengelig, saatavilla, saatavissa, pe stoc, na zalogi, dobavljivo, dobavljivo takoj, laos,
    laos olemas, yra, yra sandėlyje, turime, ir noliktavā, ir pieejams, na stanju, dostupno,
    raspoloživo, на лагеру, på lageret, til á lager, á lager, fáanlegt, ka në stok, en magatzem,
    موجود, متاح, זמין, lieferbar in werktagen, sofort, af lager, op stock, in voorraad,
    wenige verfügbar, nur wenige, bientôt épuisé, derniers articles, dernières pièces, a la venta,
    últimas unidades, ultimi pezzi, na wyczerpaniu, tillgänglig, tillgängligt, finns, på lageret,
    άμεση παραλαβή, άμεσα διαθέσιμο, ετοιμοπαράδοτο, 有库存, 有庫存, 在库, 在庫残少, あり, 即納,
    즉시출고, 同日出荷, am lager, auf vorrat, ab lager lieferbar, beschikbaar, ships today,
    ships same day, same day dispatch, in voorraad leverbaar, i magasin, dostupné ihned,
    active, enabled, aktiv, actif, activo, attivo, limited, ok, stock ok, in stock yes,
    versandfertig, last pieces, last piece, only left in stock, last few, last items, da,
    はい, 是, 예, 네, نعم, כן, हाँ, जी हाँ, ใช่, có, ya, taip, jah, 有り, 유,
    k dispozici, 在庫あり, 有货, 有貨, 现货, 現貨, 재고있음, متوفر, במלאי
"""  # noqa: RUF001 - letters of other scripts
_WORDS_OUT: Final = """
    out of stock online, on order, restock, restocking, more on the way, expected, erwartet,
    awaiting stock, not stocked, verkauft, vendu, vendido, venduto, verkocht, nicht auf lager,
    disponible bajo pedido, bajo pedido, su ordinazione, na objednávku, rendelhető,
    нет на складе, на заказ, ожидается, hết hàng, habis, stok habis, kosong, สินค้าหมด, 在庫切れ,
    入荷待ち, 予約, 无, 無, 无货, 無貨, 판매중지, 입고예정,
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
    нет, ложь, нет в наличии, под заказ, предзаказ, закончился, немає, немає в наявності, ні,
    изчерпан, няма, όχι, εξαντλημένο, μη διαθέσιμο, stokta yok, yok, hayir, sold, no stock, oos,
    temporarily unavailable, currently not available, end of life, available soon, available from,
    in stock soon, derzeit nicht verfügbar, zurzeit nicht verfügbar, momentan nicht verfügbar,
    derzeit nicht lieferbar, zurzeit nicht lieferbar, momentan nicht lieferbar, auf anfrage,
    auf bestellung, vorbestellung, lieferbar ab, verfügbar ab, hors stock, plus disponible,
    sur commande, précommande, fuera de stock, sin existencias, preventa, non in stock, preordine,
    in arrivo, fora de estoque, sem stock, niet leverbaar, brak, brak w magazynie, niedostępna,
    niedostępne, wyprzedane, na zamówienie, nedostupné, nedostupný, vypredané, nincs,
    nincs raktáron, nincs készleten, indisponibil, stoc epuizat, ej i lager, slut, slut i lager,
    ikke på lager, ei varastossa, loppuunmyyty, 在庫なし, 売り切れ, 缺货, 缺貨, 售罄,
    ikke tilgjengelig, ei saatavilla, nu este pe stoc, ni na zalogi, ni dobavljivo, otsas, läbi,
    nėra, nėra sandėlyje, neturime, nav, nav noliktavā, nav pieejams, nema na stanju, nedostupno,
    rasprodano, razprodano, нема на стању, ekki til, uppselt, нет в продаже, غير موجود, غير متاح,
    לא זמין, niet in voorraad, vorbestellt, 품절, 재고없음, غير متوفر, אזל, לא במלאי,
    temporarily sold out, no longer sold, waitlist, なし, 品切れ, 品切, 完売, 欠品,
    取り寄せ, お取り寄せ, 无库存, 無庫存, 补货中, 已售罄, 일시품절, 재입고예정, หมด,
    สินค้าหมดชั่วคราว, tidak tersedia, không có sẵn, tạm hết hàng,
    nachbestellt, nicht am lager, nicht vorrätig, im zulauf, zulauf, bestellartikel, auf nachfrage,
    restnoterad, beställningsvara, tillfälligt slut, bestilles, bestillingsvare, bestillingsvara,
    midlertidig utsolgt, special order, by order, special order only, sur demande, en cours de
    réappro,
    en réapprovisionnement, por encargo, bajo demanda, próximo a llegar, in riassortimento,
    op bestelling, tijdelijk uitverkocht, chwilowo niedostępny, na dotaz, momentálně nedostupné,
    κατόπιν παραγγελίας, μη διαθέσιμος, εξαντλήθηκε, rezervovano, rezerwacja,
    unavailable online, archived, inactive, disabled, zeitweise ausverkauft, derzeit ausverkauft,
    vorübergehend ausverkauft, nicht mehr lieferbar, nicht mehr verfügbar, bald verfügbar, bald
    lieferbar, rupture temporaire, bientôt disponible, temporalmente agotado, próximamente,
    prossimamente, inaktiv, inactif, inactivo, inattivo, in stock no, stock no, nu, не,
    いいえ, 否, 아니오, 아니요, لا, לא, नहीं, ไม่, không, tidak, 무
"""  # noqa: RUF001 - letters of other scripts
_BESIDE_A_NUMBER: Final = """
    pcs, pc, piece, pieces, unit, units, item, items, left, only left, available, in stock, stück,
    stk, st, nur noch, noch, noch stück, unités, pièces, unidades, uds, ud, pezzi, pz, szt, sztuk,
    ks, db, stuks, шт, штук, adet, 点, 件, 개, ships in hours, ships within hours, ships in days,
    lieferbar in tagen, lieferzeit tage, lieferzeit werktage, more than, über, mehr als,
    stock, qty, quantity, bestand, menge, lagerbestand, disponibilità, disponibilité, h, hours,
    hour, day, days, tag, tage, werktag, werktage, wochentage, jour, jours, jours ouvrés, giorni,
    días, dias, dagen, werkdagen, dni, hodin, dnů, do hodin, do dnů, disponible sous h,
    nur, ships h, ships in h, ships within h, shipped within h, delivery in days, delivery
    days, dispatch in days, to days, in to days, business days, working days,
    versand in h, versand in tagen, versandfertig in tagen, versandfertig in h, lieferung in
    tagen, wenige,
    livraison h, livraison en h, consegna in giorni, spedizione in h, entrega en h, entrega en días,
    envío en h, dostawa w h, wysyłka w h, wysyłka w dni, levertijd dagen, leveranstid dagar,
    leveringstid dage, παράδοση σε έως ημέρες, παράδοση έως ημέρες, tilbage, kvar, restano,
    ostatnie sztuki,
    lieferbar innerhalb tagen, lieferbar innerhalb von tagen, innerhalb tagen, last,
    pieces left, left in stock,
    disponible sous jours, livraison sous jours, expédié sous h, sous h, sklad
"""
_SIGNS: Final = {
    **dict.fromkeys("✓✔☑✅○◎◯△●", True),
    **dict.fromkeys("✗✘❌☒×✕✖", False),  # noqa: RUF001
}
_CLAUSES: Final = re.compile(r"\s*[,;|(–—]\s*|\s+[-/]\s+|[.!]\s+")  # noqa: RUF001
_NUMBER: Final = re.compile(r"([>≥~]?)([+-]?)(\d[\d.,]*)\+?")
_RANGE: Final = re.compile(r"[1-9]\d*\s*[-–]\s*[1-9]\d*")  # noqa: RUF001
_SCHEMA_ORG: Final = re.compile(r"((https?://)?(www\.)?schema\.org/|schema:)", re.IGNORECASE)


def _plain(text: str) -> str:
    """Return only the letters and digits of a text, without accents, in small letters."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if letter.isalnum())


def _words(text: str) -> frozenset[str]:
    return frozenset(_plain(word) for word in text.split(","))


IN_STOCK: Final = _words(_WORDS_IN)
NOT_IN_STOCK: Final = _words(_WORDS_OUT)
COUNTED: Final = _words(_BESIDE_A_NUMBER) | IN_STOCK
"""Words that say nothing against the quantity beside them: `5 pcs`, `in stock (5)`."""


@lru_cache(maxsize=1_024)
def read_availability(text: str) -> bool | None:
    """Tell whether a cell says that its product is in stock; None for an empty cell.

    A number is a quantity: above 0 is in stock. What can only be ordered (preorder, back order) is
    not in stock. Raises ValueError for a word that is not known, which never means in stock.
    """
    text = text.strip().removeprefix("'")  # spreadsheets and WooCommerce write '-3
    if not text:
        return None
    if number := _NUMBER.fullmatch(re.sub(r"\s", "", text.replace("\N{MINUS SIGN}", "-"))):
        return number[2] != "-" and (number[1] == ">" or _is_above_0(number[3]))
    word = _plain(_SCHEMA_ORG.sub("", text.replace("∞", "unlimited")))
    letters = "".join(letter for letter in word if not letter.isdecimal())
    if letters in NOT_IN_STOCK:
        return False
    if word in IN_STOCK:
        return True
    if (letters in COUNTED and letters != word) or _RANGE.fullmatch(text):
        return _is_above_0(word)
    for read in (_SIGNS.get, _beside_a_number, _of_clauses):
        if (found := read(text)) is not None:
            return found
    raise ValueError(f"{text[:40]!r} does not say whether there is stock")


def _beside_a_number(text: str) -> bool | None:
    """Read words around a quantity, without those that only count: `Skladem > 5 ks`."""
    words = [_plain(word) for word in re.findall(r"[^\W\d_]+", text)]
    rest = "".join(word for word in words if word not in COUNTED - IN_STOCK)
    if rest in NOT_IN_STOCK:
        return False
    has_digit = any(letter.isdecimal() for letter in text)
    return _is_above_0(text) if rest in IN_STOCK and has_digit else None


def _of_clauses(text: str) -> bool | None:
    """Read several clauses, of which each has to say it: `In stock - ships in 2 days`."""
    parts = [part for part in _CLAUSES.split(text.strip(" .!()")) if part.strip(" )")]
    if len(parts) < 2:
        return None
    try:
        return all(read_availability(part.strip(" )")) for part in parts)
    except ValueError:
        return None


def _is_above_0(text: str) -> bool:
    return any(unicodedata.decimal(letter, 0) for letter in text)
