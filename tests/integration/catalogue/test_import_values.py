"""Feeds with the values that people write: what a shop means is what the catalogue holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from backend import queue
from backend.catalogue import products
from backend.catalogue.import_run import import_catalogue
from backend.catalogue.report import Summary
from backend.catalogue.sources.mapping import FeedMapping
from backend.database.engine import Database
from backend.database.models import Product
from backend.errors import UnreadableCatalogue
from backend.images.store import ImageStore


class Catalogue:
    """A database, and the folder of the table that is imported into it."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db, self.folder = db, folder
        self.summary: Summary | None = None

    def run(self, text: str, name: str = "feed.csv", **options: Any) -> Summary:
        (self.folder / name).write_text(text, "utf-8")
        store = ImageStore(f"file://{self.folder}/store")
        mapping = FeedMapping(**options)
        return import_catalogue(self.db, store, self.folder / name, mapping=mapping, chunk=2)

    def all(self, *fields: str) -> dict[str, Any]:
        with self.db.read() as session:
            found = session.scalars(select(Product).where(Product.removed_at.is_(None))).all()
        return {
            it.sku: tuple(getattr(it, name) for name in fields)
            if len(fields) > 1
            else getattr(it, fields[0])
            for it in found
        }


@pytest.fixture
def feed(any_db: Database, tmp_path: Path) -> Catalogue:
    return Catalogue(any_db, tmp_path)


def kinds(summary: Summary) -> dict[str, int]:
    return {kind.value: it.count for kind, it in summary.warnings.by_kind().items()}


def test_a_bad_link_or_brand_is_left_out_and_the_row_is_kept(feed: Catalogue) -> None:
    summary = feed.run(
        "sku,brand,item_group_id,product_link\n"
        "a,Ace,g1,//shop.example/a?x=1&amp;y=2\n"
        f"b,{'x' * 256},g1,javascript:alert(1)\n"
        "c,,,\n"
    )
    assert feed.all("brand", "group_id", "link") == {
        "a": ("Ace", "g1", "https://shop.example/a?x=1&y=2"),
        "b": (None, "g1", None),
        "c": (None, None, None),
    }
    assert kinds(summary)["value"] == 2
    assert feed.all("attributes")["a"]["brand"] == "Ace", "filters may name it so"


def test_a_merchant_feed_gives_prices_currencies_and_stock(feed: Catalogue) -> None:
    feed.run(
        "id\ttitle\tavailability\tprice\n"
        "s_1\tShirt\tin_stock\t39.90 EUR\n"
        "s_2\tShirt\tout_of_stock\t1,299.00 EUR\n"
        "s_3\tCap\tout of stock\tEUR 12.50\n"
        "s_4\tHat\tpreorder\t12.50\n",
        "feed.tsv",
    )
    assert feed.all("price", "currency", "in_stock") == {
        "s_1": (39.9, "EUR", True),
        "s_2": (1299.0, "EUR", False),
        "s_3": (12.5, "EUR", False),
        "s_4": (12.5, None, False),
    }
    assert feed.all("attributes")["s_4"] == {"availability": "preorder"}


PRICES = "sku;price\na;39,90\nb;1.299,00\nc;1.299\nd;39,90 EUR\ne;€ 5\nf;39.90\ng;0\nh;19.-\n"


def test_an_ambiguous_price_is_decided_by_its_column_and_said(feed: Catalogue) -> None:
    summary = feed.run(PRICES)
    expected = {"a": 39.9, "b": 1299.0, "c": 1299.0, "d": 39.9, "e": 5.0, "f": 39.9}
    assert feed.all("price") == expected | {"g": 0.0, "h": 19.0}
    (said,) = (it for it in summary.warnings if it.kind == "decimal")
    assert (said.line, said.sku) == (4, "c")
    assert "read as 1299, with a decimal comma" in said.reason


def test_the_operator_can_decide_it(feed: Catalogue) -> None:
    summary = feed.run(PRICES, decimal=".")
    assert feed.all("price")["c"] == 1.3
    assert "decimal" not in kinds(summary)


def test_money_is_rounded_half_up_and_never_to_nothing(feed: Catalogue) -> None:
    rows = {"a": "1.005", "b": "0.004", "c": "-1", "d": "NaN", "e": "99999999999", "f": "2.675 USD"}
    summary = feed.run("sku,price\n" + "".join(f"{sku},{text}\n" for sku, text in rows.items()))
    prices = {"a": 1.01, "b": None, "c": None, "d": None, "e": None, "f": 2.68}
    assert feed.all("price") == prices
    assert kinds(summary)["price"] == 4


def test_an_unknown_word_leaves_the_stock_as_it_was_and_a_new_product_without(
    feed: Catalogue,
) -> None:
    feed.run("sku,stock_status\na,instock\nb,outofstock\n")
    summary = feed.run("sku,stock_status\na,perhaps\nb,perhaps\nc,perhaps\n")
    assert feed.all("in_stock") == {"a": True, "b": False, "c": False}
    assert kinds(summary)["availability"] == 3


@pytest.mark.parametrize("name", ["availability", "is_in_stock", "quantity", "qty", "stock"])
def test_a_column_of_stock_is_found_by_its_name(feed: Catalogue, name: str) -> None:
    feed.run(f"sku,{name}\na,0\nb,3\n")
    assert feed.all("in_stock") == {"a": False, "b": True}


def test_an_attribute_that_cannot_be_stored_is_left_out_alone(feed: Catalogue) -> None:
    feed.run("sku,brand,text,size\na,Ace,short,M\n")
    summary = feed.run(f"sku,brand,text,size\na,Ace,{'é' * 20_000},L\n")
    assert feed.all("attributes") == {"a": {"brand": "Ace", "size": "L"}}, "nothing stale stays"
    (warning,) = (it for it in summary.warnings if it.kind == "attribute")
    assert warning.reason.startswith("attribute text: 40,")


def test_declared_numbers_are_stored_as_numbers(feed: Catalogue) -> None:
    text = "sku;size;rating\na;40;4,5\nb;XL;1.299\nc;;3\n"
    summary = feed.run(text, numeric=("size", "rating"))
    assert feed.all("attributes") == {
        "a": {"size": 40, "rating": 4.5},
        "b": {"rating": 1.299},
        "c": {"rating": 3},
    }
    warned = summary.warnings_by_kind()["attribute"]
    assert (warned["count"], warned["first"][0]["line"]) == (1, 3)
    assert warned["first"][0]["reason"] == "attributes.size: 'XL' is not a number"
    feed.run(text, numeric=("rating",), decimal=",")
    assert feed.all("attributes")["b"] == {"size": "XL", "rating": 1299}
    with pytest.raises(UnreadableCatalogue, match="no column 'sise'"):
        feed.run(text, numeric=("sise",))


def test_empty_attributes_count_for_no_limit(feed: Catalogue) -> None:
    names = [f"option {number}" for number in range(300)]
    summary = feed.run(
        f"sku,{','.join(names)}\na,{','.join('x' for _ in names[:200])}{',' * 100}\n"
    )
    assert len(feed.all("attributes")["a"]) == 200
    assert "attribute" not in kinds(summary)


SKUS = [
    *("AB 12", "AB/12", "CLE-0566/6", "A+B", "Größe-42", "#77", "TEE(old)", "abc", "ABC"),
    *("00123", "123", "1.23457E+12", "A,B", "null", "NA", "similar", "日本-1"),
]


def test_skus_are_what_shops_have(feed: Catalogue) -> None:
    lines = "".join(f'"{sku}",x\n' for sku in SKUS)
    summary = feed.run(f"sku,name\n{lines}..,y\n.,z\n{'x' * 129},w\n")
    assert feed.all("sku").keys() == set(SKUS)
    assert summary.rejected == 3
    assert [it.sku for it in summary.warnings if it.kind == "sku"] == ["1.23457E+12"]


def test_two_spellings_of_one_sku_are_one_product(feed: Catalogue) -> None:
    feed.run("sku,name\nGröße,a\nGro\u0308ße,b\n")
    assert feed.all("display_name") == {"Größe": "b"}


@pytest.mark.parametrize("column", ["../../secret/{sku}.jpg", "images/{sku}.jpg"])
def test_a_sku_with_slashes_names_no_image_outside(feed: Catalogue, column: str) -> None:
    (feed.folder / "secret.jpg").write_bytes(b"secret")
    folder = feed.folder / "shop" / "images"
    folder.mkdir(parents=True)
    (folder / "a").mkdir()
    (folder / "a" / "b.jpg").write_bytes(b"image")
    text = "sku,name\na/b,in\n../../secret,out\n/../../secret,out\n"
    feed.run(text, "shop/feed.csv", image="images/{sku}.jpg")
    uris = feed.all("image_uri")
    assert uris["a/b"].endswith("/shop/images/a/b.jpg")
    assert uris["../../secret"] is uris["/../../secret"] is None


# --- rows of one sku -----------------------------------------------------------------------


def test_a_later_row_fills_and_does_not_erase(feed: Catalogue) -> None:
    (feed.folder / "front.jpg").write_bytes(b"front")
    text = (
        "id,title,article_type,price,size,image\n"
        "tee,Tee,Tshirts,19.90,S,front.jpg\n"
        "cap,Cap,Caps,9.90,,front.jpg\n"
        "tee,,,21.50,M,\n"
        "tee,,,,,gone.jpg\n"
    )
    for added in (2, 0):
        summary = feed.run(text)
        assert (summary.added, summary.changed, summary.rejected) == (added, 0, 0)
    fields = ("display_name", "article_type", "price", "attributes")
    assert feed.all(*fields)["tee"] == ("Tee", "Tshirts", 21.5, {"size": "M"})
    assert feed.all("image_uri")["tee"].endswith("/front.jpg")
    assert [it.line for it in summary.warnings] == [5], "the row without an image is no fault"


def test_the_last_valid_row_of_a_sku_wins(feed: Catalogue) -> None:
    summary = feed.run("sku,name,price\na,First,5\na,Second,6\na,Third\n")
    assert feed.all("display_name", "price") == {"a": ("Second", 6.0)}
    assert sorted(reject.line for reject in summary.rejects) == [2, 4]


def test_a_cell_that_is_left_out_does_not_hide_the_one_before(feed: Catalogue) -> None:
    feed.run(f"sku,name,gender,price\na,A,Men,5\na,B,{'x' * 300},cheap\n")
    assert feed.all("display_name", "gender", "price") == {"a": ("B", "Men", 5.0)}


def test_the_report_counts_warnings_by_kind(feed: Catalogue, tmp_path: Path) -> None:
    summary = feed.run("sku,year,price\n" + "".join(f"{n},soon,cheap\n" for n in range(5)))
    summary.write_report(tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    found = report["warnings_by_kind"]
    assert {kind: it["count"] for kind, it in found.items()} == {
        "value": 5,
        "price": 5,
        "no-image": 5,
    }
    assert [it["line"] for it in found["price"]["first"]] == [2, 3, 4]
    assert {it["kind"] for it in report["warnings"]} == set(found)


def test_a_patch_of_the_price_rounds_half_up(any_db: Database) -> None:
    draft = products.parse({"sku": "a", "price": 1.005, "currency": "eur"})
    any_db.write(lambda session: products.save(session, [draft], priority=queue.SINGLE))
    with any_db.read() as session:
        product = products.get(session, "a")
        assert (product.price, product.currency) == (1.01, "EUR")


def test_entities_of_html_are_characters_in_fields_of_text(feed: Catalogue) -> None:
    feed.run("sku,name,brand,color\nA,Men&#39;s T&eacute;e,H&amp;M,Rot &amp; Blau\nB,AT&T R&D,,\n")
    assert feed.all("display_name", "brand", "base_colour") == {
        "A": ("Men's Tée", "H&M", "Rot & Blau"),
        "B": ("AT&T R&D", None, None),
    }


def test_lists_and_objects_give_the_value_that_people_read(feed: Catalogue) -> None:
    item = {
        "id": "A",
        "title": {"en": "Shirt", "de": "Hemd"},
        "brand": {"name": "Ace"},
        "color": ["Red", "Blue"],
        "price": {"gross": 20, "currency": "EUR"},
    }
    feed.run(json.dumps(item) + "\n", "feed.jsonl")
    found = feed.all("display_name", "brand", "base_colour", "price", "currency")
    assert found == {"A": ("Shirt", "Ace", "Red", 20.0, "EUR")}


def test_years_are_found_in_dates_and_seasons_of_two_years(feed: Catalogue) -> None:
    summary = feed.run("sku,year\nA,2024-03-01\nB,2024/25\nC,2012.0\nD,SS24\n")
    assert feed.all("year") == {"A": 2024, "B": 2024, "C": 2012, "D": None}
    assert kinds(summary)["value"] == 1


def test_what_cannot_be_seen_around_a_sku_does_not_count(feed: Catalogue) -> None:
    feed.run("sku,name\n\u200bA1\ufeff,x\u200b\n")
    assert feed.all("display_name") == {"A1": "x"}
