"""Files that are not Unicode are read in the encoding in which their words are words."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.import_memory import LastLines
from backend.catalogue.import_rows import CheckedRow, read_rows
from backend.catalogue.sources import open_source
from backend.catalogue.sources.legacy_text import legacy_encoding

NAMES = {
    "czech": ("Dámské tričko modré", "Pánská košile žlutá", "Péřová bunda"),
    "polish": ("Sukienka żółta", "Bluza męska z łącznikiem", "Koszula w kratę"),
    "hungarian": ("Női póló fehér", "Férfi bőrkabát", "Gyűrűs öv"),
    "croatian": ("Muška košulja žuta", "Ženska čarapa"),
    "turkish": ("Kadın gömlek şık", "Çocuk tişört", "mavi ışıltılı"),  # noqa: RUF001
    "short turkish": ("Ürün Adı", "Kadın > Etek"),  # noqa: RUF001
    "lithuanian": ("Moteriška suknelė", "vyriški marškiniai", "Žieminė striukė"),
    "greek": ("Πουκάμισο ανδρικό μπλε", "Φόρεμα κόκκινο"),
    "russian": ("Рубашка мужская", "Платье красное", "Куртка"),
    "loud russian": ("РУБАШКА МУЖСКАЯ", "ПЛАТЬЕ КРАСНОЕ"),  # noqa: RUF001
    "ukrainian": ("Сорочка чоловіча синя", "Сукня їжак"),
    "thai": ("เสื้อเชิ้ตสีแดง", "กางเกงยีนส์"),
    "short hebrew": ("שמלה אדומה", "חולצה כחולה לגבר"),
    "hebrew": ("חולצה כחולה גברים", "שמלה אדומה"),
    "arabic": ("قميص أزرق رجالي", "فستان أحمر"),
    "japanese": ("メンズ シャツ", "レディース ワンピース 花柄"),
    "chinese": ("男士衬衫", "连衣裙 红色", "运动鞋 39码"),
    "taiwanese": ("男士襯衫", "連衣裙 紅色"),
    "korean": ("남성 셔츠", "원피스 빨강", "운동화"),
    "german": ("Größe für Süße", "MÄNTEL", "Straßenschuhe"),
    "french": ("Chemise à carreaux", "Écharpe tissée façon soie", "brûlé"),
    "portuguese": ("Calções de banho", "Botões dourados", "Camisão algodão"),
    "icelandic": ("Kjóll rauður", "Þykk úlpa ýmis"),
    "of several countries": ("Größe für", "Robe brodée", "niña", "Kjole rød blå", "Calções"),
    "with signs": ("Levi’s® 501™ – „cool“", "size 10½, 5 cm², 20 °C", "café"),  # noqa: RUF001
}
WRITTEN = [
    *(("czech", "cp1250"), ("czech", "iso8859-2"), ("polish", "cp1250"), ("polish", "iso8859-2")),
    *(("hungarian", "cp1250"), ("croatian", "cp1250"), ("turkish", "cp1254")),
    *(("short turkish", "cp1254"), ("short hebrew", "cp1255"), ("thai", "cp874")),
    ("ukrainian", "koi8-u"),
    *(("lithuanian", "cp1257"), ("greek", "cp1253"), ("hebrew", "cp1255"), ("arabic", "cp1256")),
    *(("russian", "cp1251"), ("russian", "koi8-r"), ("russian", "cp866")),
    *(("loud russian", "cp1251"), ("loud russian", "koi8-r"), ("ukrainian", "cp1251")),
    *(("japanese", "cp932"), ("japanese", "euc-jp"), ("chinese", "gb18030")),
    *(("taiwanese", "cp950"), ("korean", "cp949")),
    *(("german", "cp1252"), ("german", "cp850"), ("german", "mac-roman")),
    *(("french", "cp1252"), ("french", "cp850"), ("portuguese", "cp1252")),
    *(("icelandic", "cp1252"), ("of several countries", "cp1252"), ("with signs", "cp1252")),
]


@pytest.mark.parametrize(("language", "encoding"), WRITTEN)
def test_a_file_is_read_in_the_encoding_it_was_written_in(
    tmp_path: Path, language: str, encoding: str
) -> None:
    rows = [f"A{at},{name},9.90\n" for at, name in enumerate(NAMES[language])]
    text = "sku,name,price\n" + "".join(row.replace(", ", " ") for row in rows)
    (tmp_path / "feed.csv").write_bytes(text.encode(encoding))

    with closing(open_source(tmp_path / "feed.csv")) as source:
        found = list(read_rows(source, LastLines(source.skus())))

    names = [row.draft.values["display_name"] for row in found if isinstance(row, CheckedRow)]
    assert names == [name.replace(", ", " ") for name in NAMES[language]]


@pytest.mark.parametrize(
    "text",
    [b"sku,name\nA,T\xe9e\n", b"sku,name\nA,\xd8 5 cm\n", b"sku,price\nA,5 \x80\n"],
    ids=["one letter", "a sign", "a currency"],
)
def test_a_text_with_hardly_a_letter_is_western(text: bytes) -> None:
    assert legacy_encoding(text) == "cp1252"


def test_utf_8_that_was_encoded_twice_is_decoded_once_more(tmp_path: Path) -> None:
    twice = "Größe für Süße – À la carte".encode().decode("cp1252")  # noqa: RUF001
    russian = "Платье".encode().decode("latin-1")
    names = [twice, "SÃO PAULO", "Niño", russian, "plain"]
    rows = "".join(f"A{at},{name}\n" for at, name in enumerate(names))
    (tmp_path / "feed.csv").write_text(f"sku,name\n{rows}", encoding="utf-8")

    with closing(open_source(tmp_path / "feed.csv")) as source:
        found = list(read_rows(source, LastLines(source.skus())))

    read = [row for row in found if isinstance(row, CheckedRow)]
    assert [row.draft.values["display_name"] for row in read] == [
        "Größe für Süße – À la carte",  # noqa: RUF001
        *("SÃO PAULO", "Niño", "Платье", "plain"),
    ]
    warned = [any("encoded twice" in text for _, text in row.warnings) for row in read]
    assert warned == [True, False, False, True, False]


def test_the_end_mark_of_dos_is_no_row(tmp_path: Path) -> None:
    (tmp_path / "feed.csv").write_bytes(b"sku,name\r\nA,x\r\n\x1a")
    with closing(open_source(tmp_path / "feed.csv")) as source:
        rows = list(source.read())
        assert ([row.sku for row in rows], source.cut_off()) == (["A"], None)
