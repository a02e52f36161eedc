"""The image that a row means is found, however the row spells it, and never outside the folder."""

from __future__ import annotations

import unicodedata
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow
from backend.catalogue.sources.image_cells import split_images
from backend.catalogue.sources.mapping import DEFAULT_MAPPING, FeedMapping


def rows(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> list[FeedRow]:
    with closing(open_source(path, mapping)) as source:
        found = list(source.read())
    assert all(isinstance(row, FeedRow) for row in found)
    return [row for row in found if isinstance(row, FeedRow)]


def shop(folder: Path, cell: str, *images: str) -> FeedRow:
    """Return the row of a table with one cell for images, and images beside it."""
    for image in images:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).write_bytes(image.encode())
    quoted = cell.replace('"', '""')
    (folder / "feed.csv").write_text(f'sku,image\nA,"{quoted}"\n', encoding="utf-8")
    (row,) = rows(folder)
    return row


def content(row: FeedRow) -> str:
    assert row.image is not None, row.warnings
    return unicodedata.normalize("NFC", row.image.read(1_000).decode())


@pytest.mark.parametrize(
    ("cell", "images", "found"),
    [
        ("img/a.jpg", ["img/a.jpg", "img/A.JPG"], "img/a.jpg"),
        ("img/A.JPG", ["img/a.jpg"], "img/a.jpg"),
        ("IMG/a.jpg", ["img/a.jpg"], "img/a.jpg"),
        ("img/a.jpg", ["img/a.png"], "img/a.png"),
        ("img/a", ["img/a.webp"], "img/a.webp"),
        ("img/a.jpg", ["img/a.webp", "img/a.jpeg"], "img/a.jpeg"),
        ("img/a.12", ["img/a.12.jpg", "img/a.jpg"], "img/a.12.jpg"),
        ("img/ä.jpg", [unicodedata.normalize("NFD", "img/ä.jpg")], "img/ä.jpg"),
        ("/img/a.jpg", ["img/a.jpg"], "img/a.jpg"),
        ("./img/../img/a.jpg", ["img/a.jpg"], "img/a.jpg"),
        ("img\\a.jpg", ["img/a.jpg"], "img/a.jpg"),
        ("img/a%20b.jpg", ["img/a b.jpg"], "img/a b.jpg"),
        ("img/a%20b.jpg", ["img/a%20b.jpg", "img/a b.jpg"], "img/a%20b.jpg"),
        ("img/a&amp;b.jpg", ["img/a&b.jpg"], "img/a&b.jpg"),
        ("img/a.jpg, img/b.jpg", ["img/a.jpg", "img/b.jpg"], "img/a.jpg"),
        ("img/a, b.jpg", ["img/a, b.jpg"], "img/a, b.jpg"),
        ('["img/a.jpg", "img/b.jpg"]', ["img/a.jpg", "img/b.jpg"], "img/a.jpg"),
    ],
)
def test_the_exact_name_comes_first_then_other_spellings(
    tmp_path: Path, cell: str, images: list[str], found: str
) -> None:
    assert content(shop(tmp_path, cell, *images)) == found


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("", []),
        ("no_selection", []),
        ("https://c.example/1.jpg", ["https://c.example/1.jpg"]),
        ("HTTPS://c.example/1.jpg", ["https://c.example/1.jpg"]),
        ("//c.example/1.jpg", ["https://c.example/1.jpg"]),
        ("https://c/1.jpg?a=1&amp;b=2", ["https://c/1.jpg?a=1&b=2"]),
        ("https://c/a%20b.jpg", ["https://c/a%20b.jpg"]),
        ("https://c/w_1,h_2/1.jpg", ["https://c/w_1,h_2/1.jpg"]),
        (
            "https://c/w_1,h_2/1.jpg, https://c/2.jpg",
            ["https://c/w_1,h_2/1.jpg", "https://c/2.jpg"],
        ),
        ("https://c/1.jpg|//c/2.jpg;http://c/3.jpg", "1 2 3"),
        ("https://c/1.jpg\nhttps://c/2.jpg", ["https://c/1.jpg", "https://c/2.jpg"]),
        ("a.jpg;b.jpg|c.jpg,", ["a.jpg", "b.jpg", "c.jpg"]),
        ('[{"src": "//c/1.jpg"}, {"url": "https://c/2.jpg"}, null, 7]', "two"),
        ("[sale] a.jpg", ["[sale] a.jpg"]),
    ],
)
def test_a_cell_is_split_into_paths_and_addresses(cell: str, found: list[str] | str) -> None:
    expected = {
        "1 2 3": ["https://c/1.jpg", "https://c/2.jpg", "http://c/3.jpg"],
        "two": ["https://c/1.jpg", "https://c/2.jpg"],
    }
    assert split_images(cell) == (expected[found] if isinstance(found, str) else found)


def test_the_first_image_is_taken_and_the_others_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text(
        "sku,image_link,additional_image_link,colour\n"
        'A,"https://c/1.jpg, https://c/2.jpg","https://c/3.jpg,https://c/1.jpg",red\n'
    )
    (row,) = rows(path)
    assert row.fields == {"base_colour": "red", "image_uri": "https://c/1.jpg"}
    assert row.more_images == ("https://c/2.jpg", "https://c/3.jpg")


def test_a_second_column_of_the_same_name_holds_another_image(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("sku,image_link,image_link\nA,https://c/1.jpg,https://c/2.jpg\n")
    (row,) = rows(path)
    assert (row.fields["image_uri"], row.more_images) == ("https://c/1.jpg", ("https://c/2.jpg",))


@pytest.mark.parametrize("cell", ["ftp://c/1.jpg", "../a.jpg", "..%2Fa.jpg", "..\\a.jpg", "img/.."])
def test_a_bad_path_or_address_costs_the_image_alone(tmp_path: Path, cell: str) -> None:
    (tmp_path / "a.jpg").write_bytes(b"secret")
    (tmp_path / "shop").mkdir()
    row = shop(tmp_path / "shop", cell, "img/b.jpg")
    assert (row.image, row.fields.get("image_uri"), len(row.warnings)) == (None, None, 1)


# --- folders ---------------------------------------------------------------------------------


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A shop whose folder of images is the operator's link to another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "A.jpg").write_bytes(b"from the disk")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "images").symlink_to("../disk")
    (tmp_path / "shop" / "feed.csv").write_text("sku,image\nA,images/a.JPG\n")
    return tmp_path / "shop"


def test_a_linked_folder_is_followed_by_column_and_by_template(linked: Path) -> None:
    (by_column,) = rows(linked)
    (by_template,) = rows(linked, FeedMapping(image="images/{sku}.jpg"))
    assert content(by_column) == content(by_template) == "from the disk"


def test_images_are_found_beside_a_table_that_is_a_link(linked: Path, tmp_path: Path) -> None:
    (tmp_path / "today").mkdir()
    (tmp_path / "today" / "feed.csv").symlink_to(linked / "feed.csv")
    (row,) = rows(tmp_path / "today" / "feed.csv")
    assert content(row) == "from the disk"


def test_a_linked_folder_lets_no_row_leave_it(linked: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "disk" / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    table = "sku,image\nA,images/../../secret.jpg\nB,images/out.jpg\n"
    (linked / "feed.csv").write_text(table)
    assert [row.image for row in rows(linked)] == [None, None]


def test_links_in_a_circle_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("a.jpg")
    (tmp_path / "img").symlink_to("img")
    assert shop(tmp_path, "a.jpg").image is None
    assert shop(tmp_path, "img/b.jpg").image is None


def test_a_folder_whose_only_folder_has_the_table_is_read(tmp_path: Path) -> None:
    row = tmp_path / "unpacked" / "fashion-dataset"
    row.mkdir(parents=True)
    shop(row, "img/a.jpg", "img/a.jpg")
    (tmp_path / "unpacked" / ".DS_Store").write_bytes(b"")
    (found,) = rows(tmp_path / "unpacked")
    assert content(found) == "img/a.jpg"


def test_a_zip_finds_images_by_the_same_rules(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "shop.zip", "w") as archive:
        cells = ["img/a.jpg", "/IMG/B", "img/c%20d.jpg", "../img/a.jpg"]
        archive.writestr("shop/feed.csv", "sku,image\n" + "".join(f"x,{cell}\n" for cell in cells))
        for name in ("a.JPG", "b.png", "c d.jpg"):
            archive.writestr(f"shop/img/{name}", b"x")
    found = [row.image is not None for row in rows(tmp_path / "shop.zip")]
    assert found == [True, True, True, False]


@pytest.mark.parametrize(
    ("cell", "images", "found"),
    [
        (r"C:\Users\Anna\img\a.jpg", ["images/a.jpg"], "images/a.jpg"),
        ("D:/fotos/a.JPG", ["Bilder/a.jpg"], "Bilder/a.jpg"),
        (r"\\nas\shop\a.jpg", ["a.jpg"], "a.jpg"),
        ("/home/anna/shop/a.jpg", ["images/a.jpg"], "images/a.jpg"),
        ("file:///C:/shop/a%20b.jpg", ["images/a b.jpg"], "images/a b.jpg"),
        (r"C:\shop\red\a.jpg", ["red/a.jpg", "blue/a.jpg", "images/a.jpg"], "red/a.jpg"),
        ("a.jpg", ["images/a.jpg"], "images/a.jpg"),
        ("a.jpg", ["a.jpg", "images/a.jpg"], "a.jpg"),
        ("red/a.jpg", ["img/red/a.jpg"], "img/red/a.jpg"),
    ],
)
def test_a_path_of_another_computer_is_looked_for_here(
    tmp_path: Path, cell: str, images: list[str], found: str
) -> None:
    assert content(shop(tmp_path, cell, *images)) == found


@pytest.mark.parametrize("cell", [r"C:\shop\..\a.jpg", "red/a.jpg", "file:///etc/hostname"])
def test_another_file_of_the_name_is_not_taken(tmp_path: Path, cell: str) -> None:
    """A path below the folder names one file; a name alone would do for several products."""
    row = shop(tmp_path, cell, "images/a.jpg")
    assert row.image is None
    assert row.warnings


@pytest.mark.parametrize(
    ("cell", "images", "found", "further"),
    [
        ("a%2520b.jpg", ["a b.jpg"], "a b.jpg", 0),
        ("a+b.jpg", ["a b.jpg"], "a b.jpg", 0),
        ("a+b.jpg", ["a b.jpg", "a+b.jpg"], "a+b.jpg", 0),
        ("gr%FC%DFe.jpg", ["grüße.jpg"], "grüße.jpg", 0),
        ("a,b.jpg", ["images/a,b.jpg"], "images/a,b.jpg", 0),
        ("a b,c.jpg, d.jpg", ["a b,c.jpg", "d.jpg"], "a b,c.jpg", 1),
        ("a b, d.jpg", ["a b.jpg", "d.jpg"], "a b.jpg", 1),
        ("a.jpg d.jpg", ["a.jpg", "d.jpg"], "a.jpg", 1),
        ("a.jpg d.jpg", ["a.jpg d.jpg", "a.jpg"], "a.jpg d.jpg", 0),
        ("'a.jpg'", ["a.jpg"], "a.jpg", 0),
        ("'a.jpg','d.jpg'", ["a.jpg", "d.jpg"], "a.jpg", 1),
    ],
)
def test_names_that_hold_separators_or_odd_codes_are_found(
    tmp_path: Path, cell: str, images: list[str], found: str, further: int
) -> None:
    row = shop(tmp_path, cell, *images)
    assert content(row) == found
    assert len(row.further or ()) == further
    assert not row.warnings


@pytest.mark.parametrize("cell", ["..%252Fa.jpg", "%252E%252E/a.jpg", "..+/../a.jpg"])
def test_odd_codes_do_not_lead_out_of_the_folder(tmp_path: Path, cell: str) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    row = shop(tmp_path / "shop", cell, "b.jpg")
    assert row.image is None


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("https:\\/\\/c.example\\/1.jpg", ["https://c.example/1.jpg"]),
        ("https://c.example/1.jpg|a tee", ["https://c.example/1.jpg"]),
        (
            "https://c.example/1.jpg ! alt : x ! title : y | https://c.example/2.jpg ! alt : z",
            ["https://c.example/1.jpg", "https://c.example/2.jpg"],
        ),
        ("https://c.example/a|b.jpg", ["https://c.example/a|b.jpg"]),
        ("https://c.example/1.jpg|s/2.jpg", ["https://c.example/1.jpg|s/2.jpg"]),
    ],
)
def test_remarks_behind_an_address_are_no_part_of_it(cell: str, found: list[str]) -> None:
    assert split_images(cell) == found


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (["images/0108.jpg"], "images/0108.jpg"),
        (["Photos/0108.PNG"], "Photos/0108.PNG"),
        (["images/010/0108.jpg"], "images/010/0108.jpg"),
        (["images/01/0108.png"], "images/01/0108.png"),
        (["images/108.jpg", "0108.jpg", "images/108/0108.jpg"], None),
    ],
)
def test_where_no_column_names_images_the_file_named_by_the_sku_is_found(
    tmp_path: Path, images: list[str], found: str | None
) -> None:
    for image in images:
        (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / image).write_bytes(image.encode())
    (tmp_path / "feed.csv").write_text("article_id,prod_name,colour_group_name\n0108,Tee,Blue\n")
    (row,) = rows(tmp_path)
    assert (row.fields["display_name"], row.fields["base_colour"]) == ("Tee", "Blue")
    assert (row.image and content(row)) == found


def test_a_sku_leads_out_of_no_folder_and_a_column_of_images_counts_alone(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/A.jpg").write_bytes(b"A")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "feed.csv").write_text("sku\n../secret\nA\n")
    outside, inside = rows(tmp_path)
    assert (outside.image, content(inside)) == (None, "A")
    (tmp_path / "feed.csv").write_text("sku,image\nA,\n")
    (row,) = rows(tmp_path)
    assert row.image is None
