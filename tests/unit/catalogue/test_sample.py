"""The sample that ships with the package, as `lookalike demo` unpacks it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from backend.catalogue.sample import PRODUCTS, unpack_sample
from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow


def products(folder: Path) -> list[FeedRow]:
    with closing(open_source(folder)) as source:
        rows = list(source.read())
    assert all(isinstance(row, FeedRow) for row in rows)
    return [row for row in rows if isinstance(row, FeedRow)]


def files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def test_all_products_are_there_and_all_but_one_have_an_image(tmp_path: Path) -> None:
    unpack_sample(tmp_path)
    found = products(tmp_path)
    assert len({row.sku for row in found}) == PRODUCTS
    assert sum(row.image is not None for row in found) == PRODUCTS - 1
    assert sum(row.fields.get("price") is not None for row in found) == PRODUCTS * 2 // 3


def test_a_few_products_are_the_first_ones(tmp_path: Path) -> None:
    unpack_sample(tmp_path / "all")
    unpack_sample(tmp_path / "few", products=21)
    few = products(tmp_path / "few")
    assert [row.fields for row in few] == [row.fields for row in products(tmp_path / "all")[:21]]
    assert all(row.image for row in few)
    assert files(tmp_path / "few") == 1 + 21 + 14
