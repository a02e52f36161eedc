"""The headers of WooCommerce's export, which are in the language of the shop's administrator.

The words are those of real exports in German, French, Spanish, Italian and Dutch.
"""

from __future__ import annotations

import re
from typing import Final

from backend.catalogue.sources.column_names import plain

_WORDS: Final = {  # the header in English -> the same in other languages
    "Type": "Typ, Tipo",
    "SKU": "Artikelnummer, UGS, COD",
    "Published": "Veröffentlicht, Publié, Publicado, Pubblicato, Gepubliceerd",
    "Name": "Nom, Nombre, Nome, Naam",
    "In stock?": "Vorrätig?, En stock ?, ¿En inventario?, ¿Existencias?, Op voorraad?",
    "Stock": "Lager, Bestand, Lagerbestand, Inventario, Existencias, Magazzino, Voorraad",
    "Regular price": "Regulärer Preis, Tarif régulier, Precio normal, Prezzo di listino, "
    "Reguliere prijs, Normale prijs",
    "Categories": "Kategorien, Catégories, Categorías, Categorie, Categorieën",
    "Tags": "Schlagwörter, Étiquettes, Etiquetas, Etichette",
    "Brands": "Marken, Marques, Marcas, Marchi, Merken",
    "Images": "Bilder, Imágenes, Immagine, Immagini, Afbeeldingen",
    "Parent": "Übergeordnetes Produkt, Übergeordnet, Superior, Principal, Genitore, Hoofd",
    "Short description": "Kurzbeschreibung, Description courte, Descripción corta, "
    "Breve descrizione, Korte beschrijving",
    "Description": "Beschreibung, Descripción, Descrizione, Beschrijving",
}
_ENGLISH: Final = {
    plain(word): english for english, words in _WORDS.items() for word in words.split(",")
}
_NAME: Final = re.compile(
    r"att?ribut[eo]? (\d+) (?:name|nome)|"
    r"n(?:om|ombre|ome) (?:de|del|dell)\W+(?:l\W)?att?ribut[eo]? (\d+)",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(
    r"att?ribut[eo]? (\d+) (?:wert|value|valuta|valore)\S*|val\S+ (?:de|del|dell)\W+(?:l\W)?"
    r"att?ribut[eo]? (\d+)",
    re.IGNORECASE,
)


def in_english(name: str) -> str:
    """Return the English name of a column; any other name is returned as it is."""
    if found := _NAME.fullmatch(name):
        return f"Attribute {found[1] or found[2]} name"
    if found := _VALUE.fullmatch(name):
        return f"Attribute {found[1] or found[2]} value(s)"
    return _ENGLISH.get(plain(name), name)
