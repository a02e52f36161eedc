# ruff: noqa: RUF001 - letters of other scripts
"""Words, blanks and quotes of feeds in many languages, and what else a workbook or a cell holds."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from openpyxl import Workbook

from backend.catalogue.dry_run import dry_run
from backend.catalogue.sources import open_source
from backend.catalogue.sources.availability import read_availability
from backend.catalogue.sources.feed import FeedRow


def rows(folder: Path, text: str, name: str = "a.tsv") -> list[FeedRow]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    with closing(open_source(path)) as source:
        return [row for row in source.read() if isinstance(row, FeedRow)]


@pytest.mark.parametrize(
    "word",
    [
        "はい",
        "是",
        "예",
        "네",
        "نعم",
        "כן",
        "हाँ",
        "ใช่",
        "có",
        "ya",
        "taip",
        "jah",
        "da",
        "active",
        "OK",
    ],
)
def test_a_yes_is_in_stock(word: str) -> None:
    assert read_availability(word) is True


@pytest.mark.parametrize(
    "word", ["いいえ", "否", "아니오", "لا", "לא", "नहीं", "ไม่", "không", "tidak", "nu", "inaktiv"]
)
def test_a_no_is_not_in_stock(word: str) -> None:
    assert read_availability(word) is False


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Only 2 left in stock", True),
        ("last 2 pieces!", True),
        ("0 left in stock", False),
        ("In stock: yes", True),
        ("Lieferbar innerhalb 3-5 Tagen", True),
    ],
)
def test_words_around_a_quantity(text: str, found: bool) -> None:
    assert read_availability(text) is found


@pytest.mark.parametrize("word", ["None", "few weeks", "GREEN"])
def test_what_says_nothing_of_stock_is_not_guessed(word: str) -> None:
    with pytest.raises(ValueError, match="does not say whether there is stock"):
        read_availability(word)


@pytest.mark.parametrize(
    "word",
    [
        "nein",
        "non",
        "FALSCH",
        "off",
        "0.0",
        "いいえ",
        "否",
        "нет",
        "لا",
        "nej",
        "hayır",
        "não",
        "false",
        "N",
    ],
)
@pytest.mark.parametrize("column", ["published", "online_flag", "Aktiv", "is_enabled"])
def test_a_product_that_is_switched_off_is_not_in_stock(
    tmp_path: Path, column: str, word: str
) -> None:
    (row,) = rows(tmp_path, f"sku\tquantity\t{column}\nA\t5\t{word}\n")
    assert row.fields["in_stock"] is False
    assert row.warnings[0] == f"it is not published ({column} is {word}), so it is not available"


def test_a_blank_is_one_whatever_its_kind(tmp_path: Path) -> None:
    cells = ["Bleu\u00a0marine", "Bleu&nbsp;marine", "Bleu\u202fmarine", "Bleu marine"]
    text = "".join(f"{at}\t{cell}\t{cell}\n" for at, cell in enumerate(cells))
    found = rows(tmp_path, f"sku\tname\tcolor\n{text}")
    assert [(it.fields["display_name"], it.fields["base_colour"]) for it in found] == [
        ("Bleu marine", "Bleu marine")
    ] * len(cells)


def test_quotes_around_a_value_with_a_quote_are_no_part_of_it(tmp_path: Path) -> None:
    text = 'sku,name,price\nA,"Tee 5" long",9.90\nB,"Cap, blue",5\nC,Bag 10",3\n'
    found = rows(tmp_path, text, "a.csv")
    names = [it.fields["display_name"] for it in found]
    assert names == ['Tee 5" long', "Cap, blue", 'Bag 10"']
    assert "quotes that do not match were taken literally" in found[0].warnings


def test_other_sheets_with_skus_are_named(tmp_path: Path) -> None:
    book = Workbook()
    for name in ("Men", "Women", "Notes"):
        sheet = book.create_sheet(name)
        sheet.append(["sku", "name"] if name != "Notes" else ["remember", "this"])
        sheet.append(["A", name])
    book.save(tmp_path / "a.xlsx")
    said = [it.reason for it in dry_run(tmp_path / "a.xlsx").warnings if it.kind == "other"]
    assert len(said) == 1
    assert said[0].startswith(
        "only the sheet 'Men' is read; those that hold skus too are not ('Women')"
    )
