"""XML feeds whose products have other names, prefixes and shapes than those of the big formats."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow
from backend.errors import UnreadableCatalogue


def read(folder: Path, text: str) -> list[FeedRow]:
    path = folder / "feed.xml"
    path.write_text(text, encoding="utf-8")
    with closing(open_source(path)) as source:
        rows = [*source.read()]
    assert all(isinstance(row, FeedRow) for row in rows)
    return [row for row in rows if isinstance(row, FeedRow)]


def fields(folder: Path, text: str) -> dict[str, Any]:
    """Return the fields of the only product."""
    (row,) = read(folder, text)
    return {"sku": row.sku, **row.fields}


TWO = "<{0}><{1}>A</{1}><{2}>Tee</{2}></{0}><{0}><{1}>B</{1}><{2}>Cap</{2}></{0}>"


@pytest.mark.parametrize(
    "text",
    [
        f"<katalog>{TWO.format('ware', 'sku', 'name')}</katalog>",
        (
            f"<Export><Kopf><A>1</A></Kopf>{TWO.format('Position', 'Artikelnummer', 'Name')}"
            "</Export>"
        ),
        f'<c:list xmlns:c="u:c">{TWO.format("c:product", "c:sku", "c:name")}</c:list>',
        f'<list xmlns:c="u:c">{TWO.format("product", "c:sku", "c:name")}</list>',
        f'<a:feed xmlns:a="u:a">{TWO.format("a:entry", "a:id", "a:title")}</a:feed>',
        '<items><item sku="A" name="Tee"/><item sku="B" name="Cap"/></items>',
        f"<shop><menu><item>Home</item></menu>{TWO.format('product', 'sku', 'name')}</shop>",
        (
            "<list><product><sku>A</sku><name>Tee</name><items><item><sku>x</sku></item></items>"
            "</product><product><sku>B</sku><name>Cap</name></product></list>"
        ),
        (
            '<rows><row><field name="sku">A</field><field name="name">Tee</field></row>'
            '<row><field name="sku">B</field><field name="name">Cap</field></row></rows>'
        ),
    ],
    ids=[
        *("unknown", "unknown-with-head", "prefix", "prefix-inside", "prefix-of-atom"),
        *("attributes", "other-items", "items-within", "fields"),
    ],
)
def test_xml_gives_its_products_whatever_its_elements_are_called(tmp_path: Path, text: str) -> None:
    rows = read(tmp_path, text)
    assert [(row.sku, row.fields["display_name"]) for row in rows] == [("A", "Tee"), ("B", "Cap")]


def product(inside: str) -> str:
    return f"<products><product><sku>A</sku>{inside}</product></products>"


@pytest.mark.parametrize(
    ("inside", "field", "value"),
    [
        ('<price currency="EUR">9.90</price>', "currency", "EUR"),
        ('<price waehrung="CHF">9.90</price>', "currency", "CHF"),
        ('<price amount="9.90" currency="EUR"/>', "price", 9.9),
        ('<price amount="9.90" currency="EUR"/>', "currency", "EUR"),
        ('<stock quantity="0"/>', "in_stock", False),
        ('<color name="Red"/>', "base_colour", "Red"),
        (
            "<name><language id='1'>Tee</language><language id='2'>T</language></name>",
            "display_name",
            "Tee",
        ),
        ("<details><name>Tee</name><id>7</id></details>", "display_name", "Tee"),
        ("<attributes><color>Red</color></attributes>", "base_colour", "Red"),
        (
            '<imgs><main url="https://s.example/1"/></imgs>',
            "image_uri",
            "https://s.example/1",
        ),
        (
            '<images><image large="https://s.example/1" alt="x"/></images>',
            "image_uri",
            "https://s.example/1",
        ),
        ("<name><![CDATA[<b>Tee</b> & cap]]></name>", "display_name", "Tee & cap"),
    ],
)
def test_a_value_is_found_where_a_shop_writes_it(
    tmp_path: Path, inside: str, field: str, value: object
) -> None:
    assert fields(tmp_path, product(inside))[field] == value


@pytest.mark.parametrize(
    "inside",
    [
        '<price>9.90</price><shipping><price currency="USD">4</price></shipping>',
        '<price>9.90</price><size currency="USD">4</size>',
    ],
)
def test_a_currency_of_something_else_is_not_that_of_the_price(tmp_path: Path, inside: str) -> None:
    assert fields(tmp_path, product(inside)).get("currency") is None


def test_variants_of_a_product_with_an_id_are_products_of_its_group(tmp_path: Path) -> None:
    variant = "<variant><sku>{}</sku></variant>"
    rows = read(
        tmp_path,
        f"<products><product><id>A</id><name>Tee</name><variants>{variant.format('A-1')}"
        f"{variant.format('A-2')}</variants></product><product><id>B</id></product></products>",
    )
    assert [row.sku for row in rows] == ["A", "A-1", "A-2", "B"]
    assert [row.fields["group_id"] for row in rows] == ["A", "A", "A", None]
    assert [row.fields["display_name"] for row in rows] == ["Tee", "Tee", "Tee", None]


def test_variants_of_a_product_without_sku_and_id_are_products(tmp_path: Path) -> None:
    variant = "<variant><sku>{}</sku></variant>"
    rows = read(
        tmp_path,
        f"<products><product><name>Tee</name><variants>{variant.format('A')}{variant.format('B')}"
        "</variants></product></products>",
    )
    assert [(row.sku, row.fields["display_name"]) for row in rows] == [("A", "Tee"), ("B", "Tee")]


def test_items_of_a_product_with_an_id_stay_products_and_take_its_name(tmp_path: Path) -> None:
    item = "<item><sku>{}</sku></item>"
    rows = read(
        tmp_path,
        f"<products><product><id>P</id><name>Tee</name><items>{item.format('A')}{item.format('B')}"
        "</items></product></products>",
    )
    assert [(row.sku, row.fields["display_name"]) for row in rows] == [("A", "Tee"), ("B", "Tee")]
    assert {row.fields["group_id"] for row in rows} == {"P"}


def test_bmecat_is_read(tmp_path: Path) -> None:
    found = fields(
        tmp_path,
        "<BMECAT><HEADER><CATALOG/></HEADER><T_NEW_CATALOG><ARTICLE><SUPPLIER_AID>A</SUPPLIER_AID>"
        "<ARTICLE_DETAILS><DESCRIPTION_SHORT>Tee</DESCRIPTION_SHORT></ARTICLE_DETAILS>"
        "<ARTICLE_FEATURES><FEATURE><FNAME>Farbe</FNAME><FVALUE>rot</FVALUE></FEATURE>"
        "</ARTICLE_FEATURES><ARTICLE_PRICE_DETAILS><ARTICLE_PRICE><PRICE_AMOUNT>9.90</PRICE_AMOUNT>"
        "<PRICE_CURRENCY>EUR</PRICE_CURRENCY></ARTICLE_PRICE></ARTICLE_PRICE_DETAILS><MIME_INFO>"
        "<MIME><MIME_TYPE>image/jpeg</MIME_TYPE><MIME_SOURCE>https://s.example/1</MIME_SOURCE>"
        "</MIME></MIME_INFO></ARTICLE></T_NEW_CATALOG></BMECAT>",
    )
    assert found["sku"] == "A"
    assert (found["display_name"], found["base_colour"]) == ("Tee", "rot")
    assert (found["price"], found["currency"]) == (9.9, "EUR")
    assert found["image_uri"] == "https://s.example/1"


def test_xml_without_a_product_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCatalogue, match="no item"):
        read(tmp_path, "<config><a><b>1</b></a></config>")


def test_entities_that_expand_are_refused_before_they_do(tmp_path: Path) -> None:
    bomb = "".join(f'<!ENTITY e{at} "{f"&e{at - 1};" * 50}">' for at in range(1, 20))
    with pytest.raises(UnreadableCatalogue, match="DTD"):
        read(tmp_path, f'<!DOCTYPE x [<!ENTITY e0 "x">{bomb}]><x><item>&e19;</item></x>')
