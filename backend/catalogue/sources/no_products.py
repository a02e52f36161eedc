"""Lines of a table that hold no product: rules, comments, totals, remarks at the end."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

from backend.catalogue.sources.cell_texts import as_text

_RULE: Final = re.compile(
    r"[\s|+:,;*=_\-─━═┼╪╋┿│┃├┤]*(?:-{2}|={2}|─|━|═)[\s|+:,;*=_\-─━═┼╪╋┿│┃├┤]*"
)
"""The line below the header of Markdown, and those around tables of psql and MySQL."""
RULE_BEGINS: Final = frozenset("-=:+─━═")
_TOTALS: Final = """
    total, totals, grand total, sub total, sum, totale, totaal, totalt, summe, gesamt, gesamtsumme,
    zwischensumme, endsumme, somme, total général, sous total, suma, total general, somma, totais,
    soma, razem, łącznie, celkem, spolu, összesen, итого, всего, разом, yhteensä, summa, i alt,
    toplam, genel toplam, σύνολο, ukupno, skupaj, viso, kopā, kokku, jumlah, tổng, tổng cộng, 合計,
    総計, 小計, 总计, 合计, 小计, 總計, 합계, 총계, المجموع, סך הכל
"""
_ENDS: Final = "end, eof, end of file, ende, dateiende, fin, fine, koniec, konec"
_WRITTEN: Final = re.compile(
    r"\b(?:export|generat|creat|erstell|erzeugt|exporté|généré|creado|generad|generato|créé)\w*\b"
    r"|\b\d+\s+(?:rows?|records?|lines?|items?|products?|zeilen|datensätze|artikel|produkte|"
    r"lignes?|produits?|filas?|productos?|righe|prodotti|wierszy|строк)\b",
    re.IGNORECASE,
)


_TECHNICAL: Final = re.compile(r"[a-z_]+(?:\[[^\]]*\])*#\d+\.value")
"""A name such as `contribution_sku#1.value`, which Amazon's templates have below the header."""


def _plain(text: str) -> str:
    return "".join(
        letter for letter in unicodedata.normalize("NFKC", text.casefold()) if letter.isalpha()
    )


_TOTAL_WORDS: Final = frozenset(_plain(word) for word in _TOTALS.split(","))
_END_WORDS: Final = frozenset(_plain(word) for word in _ENDS.split(","))


def is_rule(values: Sequence[str]) -> bool:
    """Tell a line that only draws a table, such as `|---|:--:|`, from a record."""
    return bool(_RULE.fullmatch("|".join(values)))


def why_no_product(values: Sequence[Any], sku: str) -> str | None:
    """Say why a row is no product: it is a comment, holds totals, or ends the file.

    `sku` is what its column of skus says, and nothing names the product. None for a row that may be
    a product.
    """
    if _TECHNICAL.fullmatch(sku):
        return f"{sku[:40]!r} is the technical name of the column, not a product"
    if sku.startswith("# "):
        return f"{sku[:40]!r} is a comment, not a product"
    label = _plain(sku.partition(":")[0])
    if label in _TOTAL_WORDS:
        return f"{sku[:40]!r} is a row of totals, not a product"
    is_alone = sum(bool(as_text(value)) for value in values) == 1
    if is_alone and (label in _END_WORDS or (" " in sku and _WRITTEN.search(sku))):
        return f"{sku[:80]!r} is a remark, not a product"
    return None


def is_remark(text: str) -> bool:
    """Tell whether a line that does not fit the header is a remark, such as `# 12 rows exported`.

    Such a line is whole, so it does not mean that the file was cut off.
    """
    text = text.strip(' \t\r\n"')
    bare = text.strip("()[]# -")
    is_comment = text.startswith(("#", "--", "//")) and " " in text
    return is_comment or _plain(bare) in _END_WORDS or bool(" " in bare and _WRITTEN.search(bare))
