"""The sample catalogue: the same bytes for the same seed, a file like a shop's, and as shipped."""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image, ImageStat

from sample_catalogue import COLUMNS, draw, jpeg, make_sample, pack
from sample_catalogue import PRODUCTS as SHIPPED_PRODUCTS
from sample_catalogue.__main__ import SHIPPED
from sample_catalogue.assortment import PAINTERS, Kind, kinds
from sample_catalogue.colours import PALETTE
from sample_catalogue.fabric import PATTERNS
from sample_catalogue.styles import invent

PRODUCTS = 60


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    make_sample(folder, products=PRODUCTS)
    return folder


def lines(folder: Path) -> list[list[str]]:
    text = (folder / "styles.csv").read_text(encoding="utf-8")
    return [line.split(",") for line in text.splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        make_sample(tmp_path / name, products=8, seed=seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_the_columns_are_those_of_the_data_set(sample: Path) -> None:
    header, *rows = lines(sample)
    assert header == COLUMNS.split(",")
    assert len(rows) == PRODUCTS
    with (sample / "styles.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            assert 10_000 < int(row["id"]) < 60_000
            assert row["gender"] in {"Men", "Women", "Unisex", "Boys", "Girls"}
            assert row["masterCategory"] in {"Apparel", "Accessories", "Footwear"}
            assert row["articleType"] in PAINTERS
            assert row["baseColour"] in PALETTE
            assert row["season"] in {"Summer", "Fall", "Winter", "Spring"}
            assert 2007 <= int(row["year"]) <= 2019
            assert row["usage"] in {"Casual", "Sports", "Formal", "Ethnic", "Party", "NA"}
            assert row["baseColour"] in row["productDisplayName"]


def test_ids_are_unique(sample: Path) -> None:
    _, *rows = lines(sample)
    assert len({row[0] for row in rows}) == PRODUCTS


def test_every_article_type_occurs(sample: Path) -> None:
    _, *rows = lines(sample)
    assert {row[4] for row in rows} == set(PAINTERS)


def test_exactly_one_name_holds_an_unquoted_comma(sample: Path) -> None:
    _, *rows = lines(sample)
    overflowing = [i for i, row in enumerate(rows) if len(row) == 11]
    assert overflowing == [PRODUCTS // 4]
    assert Counter(map(len, rows)) == {10: PRODUCTS - 1, 11: 1}


def test_exactly_one_product_has_no_image(sample: Path) -> None:
    _, *rows = lines(sample)
    missing = [i for i, r in enumerate(rows) if not (sample / "images" / f"{r[0]}.jpg").exists()]
    assert missing == [PRODUCTS // 2]
    assert len(list((sample / "images").iterdir())) == PRODUCTS - 1


def test_exactly_one_usage_is_na(sample: Path) -> None:
    _, *rows = lines(sample)
    assert [i for i, row in enumerate(rows) if row[8] == "NA"] == [PRODUCTS * 3 // 4]


def test_every_image_is_a_studio_shot_on_white(sample: Path) -> None:
    for path in (sample / "images").iterdir():
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (240, 320))
            corners = [image.getpixel(at) for at in ((0, 0), (239, 0), (0, 319), (239, 319))]
            assert all(min(corner) > 240 for corner in corners if isinstance(corner, tuple))
            ink = image.convert("L").point([255 if v < 235 else 0 for v in range(256)])
            assert 0.04 < ImageStat.Stat(ink).mean[0] / 255 < 0.7


def test_most_products_have_a_json_file_with_a_price(sample: Path) -> None:
    names = {row[0]: row[9] for row in lines(sample)[1:]}
    files = list((sample / "styles").iterdir())
    assert len(files) == PRODUCTS - len(range(0, PRODUCTS, 3))
    for path in files:
        style = json.loads(path.read_text(encoding="utf-8"))["data"]
        assert str(style["id"]) == path.stem
        assert 99 <= style["price"] < 15_000
        assert names[path.stem].startswith(style["brandName"])


def test_the_main_colour_of_the_image_is_the_colour_in_the_file() -> None:
    plain = [
        item
        for item in invent(200, seed=0)
        if item.kind.noun in {"T-shirt", "Top", "Skirt"} and item.design.fabric.pattern == "plain"
    ]
    assert len(plain) > 5
    for item in plain:
        cloth = ImageStat.Stat(draw(item).crop((90, 180, 110, 190))).mean
        assert min(PALETTE, key=lambda name: math.dist(PALETTE[name], cloth)) == item.base_colour


def test_progress_is_told_for_every_product(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    make_sample(tmp_path, products=5, progress=lambda done, total: told.append((done, total)))
    assert told == [(i, 5) for i in range(1, 6)]


def test_too_few_products_for_the_defects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="four"):
        make_sample(tmp_path / "sample", products=3)
    assert not (tmp_path / "sample").exists()


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.noun)
def test_the_assortment_names_only_what_can_be_drawn(kind: Kind) -> None:
    assert set(kind.colours) | set(kind.accents) <= set(PALETTE)
    assert set(kind.patterns) <= set(PATTERNS)
    assert not kind.spoken or kind.spoken in kind.cut
    assert kind.prices[0] < kind.prices[1]


def test_every_cut_of_every_kind_can_be_drawn() -> None:
    wanted = {(k.noun, p, v) for k in kinds() for p, values in k.cut.items() for v in values}
    for item in invent(2000, seed=1):
        fresh = {(item.kind.noun, part, value) for part, value in item.design.cut.items()} & wanted
        if fresh:
            draw(item)
            wanted -= fresh
    assert not wanted


# --- the file that ships -----------------------------------------------------------------------


def shipped() -> dict[str, bytes]:
    with zipfile.ZipFile(SHIPPED) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_shipped_file_is_small() -> None:
    assert SHIPPED.stat().st_size <= 3_000_000


def test_the_first_products_drawn_anew_are_those_in_the_shipped_file() -> None:
    """`make sample` draws the file again, after a change of the drawing or of Pillow."""
    found = shipped()
    for item in invent(SHIPPED_PRODUCTS, seed=0)[:12]:
        assert jpeg(draw(item)) == found[f"images/{item.id}.jpg"]


@pytest.mark.slow
def test_the_whole_catalogue_drawn_anew_is_the_shipped_file(tmp_path: Path) -> None:
    make_sample(tmp_path / "sample")
    pack(tmp_path / "sample", tmp_path / "sample.zip")
    assert (tmp_path / "sample.zip").read_bytes() == SHIPPED.read_bytes()
