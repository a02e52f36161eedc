"""XML feeds with the faults that real ones have, which a strict parser would not forgive."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow
from backend.catalogue.sources.xml_text import XmlText
from backend.errors import UnreadableCatalogue

GOOGLE = 'xmlns:g="http://base.google.com/ns/1.0"'


def item(sku: str, inside: str = "") -> str:
    return f"<item><g:id>{sku}</g:id>{inside}</item>"


def rss(items: str, *, declaration: str = "", spaces: str = GOOGLE) -> str:
    return f"{declaration}<rss {spaces}><channel>{items}</channel></rss>"


def read(folder: Path, content: str | bytes) -> list[FeedRow]:
    path = folder / "feed.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with closing(open_source(path)) as source:
        rows = list(source.read())
        assert source.cut_off() is None
    return [row for row in rows if isinstance(row, FeedRow)]


@pytest.mark.parametrize("above", ["\n", "\r\n \t", "\ufeff\n"], ids=["line", "blanks", "mark"])
def test_blank_lines_may_stand_above_the_declaration(tmp_path: Path, above: str) -> None:
    declaration = f'{above}<?xml version="1.0" encoding="UTF-8"?>\n'
    assert [row.sku for row in read(tmp_path, rss(item("A"), declaration=declaration))] == ["A"]


@pytest.mark.parametrize(
    ("inside", "title"),
    [
        ("<title>Cap & hat</title>", "Cap & hat"),
        ("<title>a&b;c &amp; d</title>", "a&b;c & d"),
        ("<title><![CDATA[Cap & hat &amp; x]]></title>", "Cap & hat & x"),
        ("<title>Cap\x0bhat</title>", "Cap hat"),
        ("<title>Cap&#11;hat</title>", "Cap hat"),
        ("<title>Cap&#xe9;</title>", "Capé"),
    ],
    ids=["and", "no-entity", "cdata", "control", "control-reference", "reference"],
)
def test_a_wrong_character_costs_no_item(tmp_path: Path, inside: str, title: str) -> None:
    first, second = read(tmp_path, rss(item("A", inside) + item("B")))
    assert (first.fields["display_name"], second.sku) == (title, "B")


def test_what_chunks_divide_is_mended_as_in_one(tmp_path: Path) -> None:
    text = "<a>x & y &#11; &amp; <![CDATA[ & ]]> &b; & <![CDATA[]] & ]]>&</a>"
    whole = XmlText(b"").translate(text.encode(), is_last=True)
    by_one = XmlText(b"")
    parts = [by_one.translate(bytes([byte]), is_last=False) for byte in text.encode()]
    assert b"".join([*parts, by_one.translate(b"", is_last=True)]) == whole
    assert whole.count(b"&amp;") == 4
    assert b"[ & ]" in whole


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("Shift_JIS", "shift_jis"),
        ("GBK", "gbk"),
        ("utf-16", "utf-16"),
        ("utf-16", "utf-8"),
        ("utf-8", "utf-16-le"),
        ("utf-8", "utf-8-sig"),
    ],
)
def test_every_encoding_of_python_is_read(tmp_path: Path, declared: str, encoding: str) -> None:
    declaration = f'<?xml version="1.0" encoding="{declared}"?>'
    text = rss(item("A", "<title>中</title>"), declaration=declaration)
    (row,) = read(tmp_path, text.encode(encoding))
    assert row.fields["display_name"] == "中"


def test_an_unknown_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCatalogue, match="no text encoding 'x-none'"):
        read(tmp_path, rss(item("A"), declaration='<?xml version="1.0" encoding="x-none"?>'))


def test_bytes_in_another_encoding_are_read_and_said(tmp_path: Path) -> None:
    both = item("A", "<title>Gr\xfcn</title>") + "\n" + item("B", "<title>BLAU</title>")
    text = rss(both).encode("latin-1").replace(b"BLAU", "Bläu".encode())
    first, second = read(tmp_path, text)
    assert [it.fields["display_name"] for it in (first, second)] == ["Grün", "Bläu"]
    assert any("UTF-8 in parts only" in text for text in first.warnings)


@pytest.mark.parametrize(
    ("title", "encoding"),
    [("Größe", "cp1252"), ("Dámské tričko, žluté", "cp1250"), ("メンズ シャツ", "cp932")],
)
def test_a_file_without_any_utf_8_is_read_by_its_words(
    tmp_path: Path, title: str, encoding: str
) -> None:
    text = rss(item("A", f"<title>{title}</title>") + item("B"))
    first, _ = read(tmp_path, text.encode(encoding))
    assert first.fields["display_name"] == title
    assert any("the file is not UTF-8" in text for text in first.warnings)


def test_of_an_element_that_comes_again_the_deepest_path_or_the_first_counts(
    tmp_path: Path,
) -> None:
    types = ("Sale", "Home &gt; Women &gt; Tops")
    inside = "<title>T</title>" + "".join(
        f"<g:product_type>{each}</g:product_type><g:color>{colour}</g:color>"
        for each, colour in zip(types, ("Red", "Blue"), strict=True)
    )
    (row,) = read(
        tmp_path, rss(item("A", f"{inside}<g:price>9 EUR</g:price><g:image_link>x</g:image_link>"))
    )
    expected = {"master_category": "Home", "sub_category": "Women", "article_type": "Tops"}
    assert row.fields | expected | {"base_colour": "Red"} == row.fields


def test_only_googles_names_count_more_than_plain_ones(tmp_path: Path) -> None:
    others = (
        "<media:title>M</media:title><dc:title>D</dc:title><c:id>77</c:id><wp:price>1</wp:price>"
    )
    inside = f"<title>T</title><link>https://s/1</link><a:link href='https://s/feed'/>{others}"
    (row,) = read(tmp_path, rss(item("A", f"{inside}<g:price>9 EUR</g:price>")))
    fields = row.fields
    assert (row.sku, fields["display_name"], fields["price"]) == ("A", "T", 9)
    assert fields["link"] == "https://s/1"
    assert fields["attributes"]["media:title"] == "M"


def test_googles_names_may_have_any_prefix(tmp_path: Path) -> None:
    text = rss(
        item("A", "<id>https://s/1</id>").replace("g:", "x:"), spaces=GOOGLE.replace("g=", "x=")
    )
    assert [row.sku for row in read(tmp_path, text)] == ["A"]


def test_of_several_links_of_atom_that_to_the_page_counts(tmp_path: Path) -> None:
    links = "<link rel='self' href='https://s/x.xml'/><link rel='alternate' href='https://s/1'/>"
    links += "<link rel='enclosure' href='https://c/1.jpg'/>"
    entry = f"<entry><g:id>A</g:id>{links}</entry>"
    (row,) = read(tmp_path, f"<feed xmlns='http://www.w3.org/2005/Atom' {GOOGLE}>{entry}</feed>")
    assert row.fields["link"] == "https://s/1"


def test_an_item_of_a_list_may_hold_several_addresses(tmp_path: Path) -> None:
    name = "g:additional_image_link"
    inside = f"<g:image_link>https://c/1.jpg</g:image_link><{name}>https://c/2.jpg</{name}>"
    inside += f"<{name}>https://c/3.jpg,https://c/4.jpg</{name}>"
    (row,) = read(tmp_path, rss(item("A", inside)))
    assert row.further == ("https://c/2.jpg", "https://c/3.jpg", "https://c/4.jpg")


@pytest.mark.parametrize(
    ("price", "amount"),
    [
        ({"value": "12.50", "currency": "EUR"}, 12.5),
        ({"amount": 5, "currencyCode": "EUR"}, 5),
    ],
    ids=["value", "amount"],
)
def test_a_price_may_be_an_object(tmp_path: Path, price: dict[str, object], amount: float) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_text(json.dumps({"sku": "A", "price": price}) + "\n")
    with closing(open_source(path)) as source:
        (row,) = source.read()
    assert isinstance(row, FeedRow)
    assert (row.fields["price"], row.fields["currency"]) == (amount, "EUR")
