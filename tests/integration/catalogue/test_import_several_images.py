"""Feeds that name several images of a product fill them all, and again for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from support.rows import statements_of

from backend.catalogue import product_images, products
from backend.catalogue.import_images import ImageReferrer
from backend.catalogue.import_run import import_catalogue
from backend.catalogue.product_images import Images
from backend.catalogue.products import ImageRef
from backend.catalogue.report import Summary
from backend.database.engine import Database
from backend.database.models import Product
from backend.images.store import ImageStore


class Feed:
    """A table with images beside it, and the database that it is imported into."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db, self.folder = db, folder
        self.store = ImageStore(f"file://{folder}/store")

    def run(self, *lines: str, copy: bool = False) -> Summary:
        (self.folder / "feed.csv").write_text("\n".join([*lines, ""]))
        return import_catalogue(self.db, self.store, self.folder / "feed.csv", copy_images=copy)

    def draw(self, *names: str) -> None:
        for name in names:
            (self.folder / name).write_bytes(f"content of {name}".encode())

    def images(self, sku: str = "1") -> Images:
        with self.db.read() as session:
            rows = session.scalars(select(Product).where(Product.sku == sku)).all()
            return product_images.load_all(session, rows)[rows[0].id]

    def names(self, sku: str = "1") -> list[str]:
        return [(image.uri or "").rpartition("/")[2] for image in self.images(sku)]


@pytest.fixture
def feed(db: Database, tmp_path: Path) -> Feed:
    return Feed(db, tmp_path)


HEADER = "id,title,image_link,additional_image_link"


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [
        (HEADER, '1,Hat,https://c/a,"https://c/b,https://c/d"', ["a", "b", "d"]),
        ("SKU,Name,Images", '1,Hat,"https://c/a, https://c/b"', ["a", "b"]),
        ("sku,image", "1,https://c/a;https://c/b", ["a", "b"]),
        (HEADER, "1,Hat,,https://c/b", ["b"]),
        (HEADER, "1,Hat,ftp://c/a,https://c/b", ["b"]),
        (HEADER, '1,Hat,https://c/a,"https://c/b,https://c/a"', ["a", "b"]),
    ],
    ids=["google", "woo", "one-cell", "no-first", "bad-first", "double"],
)
def test_all_images_are_stored_and_a_second_import_changes_nothing(
    feed: Feed, header: str, row: str, names: list[str]
) -> None:
    assert feed.run(header, row).added == 1
    assert feed.names() == names
    again = feed.run(header, row)
    assert (again.changed, again.unchanged) == (0, 1)


def test_shopifys_rows_of_images_are_those_of_every_variant(feed: Feed) -> None:
    feed.run(
        "Handle,Title,Variant SKU,Variant Price,Image Src,Image Position,Variant Image",
        "coat,Coat,C-S,9,https://c/1,1,",
        "coat,,C-M,9,https://c/2,2,https://c/3",
        "coat,,,,https://c/4,3,",
    )
    assert feed.names("C-S") == ["1", "2", "4"]
    assert feed.names("C-M") == ["3", "1", "2", "4"]


def test_files_are_read_once_and_one_that_is_missing_costs_itself(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.draw("a.jpg", "b.jpg", "c.jpg")
    row = '1,Hat,a.jpg,"b.jpg,none.jpg,c.jpg"'
    first = feed.run(HEADER, row)
    assert feed.names() == ["a.jpg", "b.jpg", "c.jpg"]
    assert ["none.jpg" in warning.reason for warning in first.warnings] == [True]
    assert all(image.digest and image.bytes for image in feed.images())

    monkeypatch.setattr(ImageReferrer, "_digest", lambda *_: pytest.fail("a file was opened"))
    assert feed.run(HEADER, row).unchanged == 1
    reordered = feed.run(HEADER, '1,Hat,c.jpg,"a.jpg,b.jpg"')
    assert reordered.changed == 1
    assert feed.names() == ["c.jpg", "a.jpg", "b.jpg"]


def test_copied_images_are_copied_once(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    feed.draw("a.jpg", "b.jpg")
    feed.run(HEADER, "1,Hat,a.jpg,b.jpg", copy=True)
    assert [(image.uri or "").startswith("store://") for image in feed.images()] == [True, True]
    monkeypatch.setattr(ImageStore, "put", lambda *_: pytest.fail("an image was copied again"))
    assert feed.run(HEADER, "1,Hat,a.jpg,b.jpg", copy=True).unchanged == 1


def test_an_empty_list_removes_images_but_a_feed_of_single_images_does_not(feed: Feed) -> None:
    feed.run(HEADER, "1,Hat,https://c/a,https://c/b")
    feed.run("id,title,image_link", "1,Cap,https://c/a")
    assert feed.names() == ["a", "b"]
    feed.run("id,title,image_link", "1,Cap,https://c/z")
    assert feed.names() == ["z", "b"]
    feed.run(HEADER, "1,Hat,,")
    assert feed.names() == ["z", "b"]
    feed.run(HEADER, "1,Hat,https://c/z,")
    assert feed.names() == ["z"]


def test_an_import_leaves_the_roles_that_a_shop_has_given(feed: Feed, db: Database) -> None:
    feed.run(HEADER, "1,Hat,https://c/a,https://c/b")
    images = [ImageRef(uri=f"https://c/{name}", role=f"role of {name}") for name in "ab"]
    db.write(lambda session: products.set_images(session, "1", images, priority=1))
    assert feed.run(HEADER, "1,Hat,https://c/a,https://c/b").unchanged == 1
    feed.run(HEADER, "1,Hat,https://c/b,https://c/a")
    assert [image.role for image in feed.images()] == ["role of b", "role of a"]


def test_a_later_row_of_a_sku_leaves_the_images_that_it_does_not_name(feed: Feed) -> None:
    feed.run(HEADER, "1,Hat,https://c/a,https://c/b", "1,Red hat,,")
    assert feed.names() == ["a", "b"]


def test_more_than_sixteen_images_are_cut_with_a_warning(feed: Feed) -> None:
    more = ",".join(f"https://c/{number}" for number in range(2, 20))
    summary = feed.run(HEADER, f'1,Hat,https://c/1,"{more}"')
    assert feed.names() == [str(number) for number in range(1, 17)]
    assert ["19 images" in warning.reason for warning in summary.warnings] == [True]


def test_single_images_cost_no_statement_more(feed: Feed, db: Database) -> None:
    with statements_of(db) as statements:
        feed.run("id,title,image_link", "1,Hat,https://c/a", "2,Cap,https://c/b")
        feed.run("id,title,image_link", "1,Hat,https://c/a", "2,Cap,https://c/c")
    assert not [text for text in statements if "product_images" in text]
