"""Category paths as any shop writes them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow


def levels(folder: Path, cell: str) -> list[str]:
    """Return the categories of a row, the uppermost first."""
    quoted = cell.replace('"', '""')
    (folder / "feed.csv").write_text(f'sku,category\n1,"{quoted}"\n', encoding="utf-8")
    with closing(open_source(folder)) as source:
        (row,) = source.read()
    assert isinstance(row, FeedRow)
    names = (row.fields.get(it) for it in ("master_category", "sub_category", "article_type"))
    return [name for name in names if name]


@pytest.mark.parametrize(
    "cell",
    [
        "Men > Shoes > Boots",
        "Men>Shoes>Boots",
        "Men/Shoes/Boots",
        "/Men/Shoes/Boots/",
        "Men / Shoes / Boots",
        "Men|Shoes|Boots",
        "Men » Shoes » Boots",
        "Men → Shoes → Boots",
        "Men -> Shoes -> Boots",
        "Men :: Shoes :: Boots",
        "Men\\Shoes\\Boots",
        "Men &gt; Shoes &gt; Boots",
        "Default Category/Men/Shoes/Boots",
        "Men > Boots, Men > Shoes > Boots",
        "Sale/Winter/Boots;Root Catalog/Men/Shoes/Boots",
        "Sale > Boots | Men > Shoes > Boots",
        "Sale > Boots\nMen > Shoes > Boots",
        "Men > Shoes > Boots | Sale",
        "Men > Shoes > Boots;",
    ],
)
def test_a_path_is_split_whatever_divides_it(tmp_path: Path, cell: str) -> None:
    assert levels(tmp_path, cell) == ["Men", "Shoes", "Boots"]


@pytest.mark.parametrize(
    "cell", ["T-Shirts/Tops", "Coats, jackets", "T-Shirts", "A-B", "1/2 sleeve"]
)
def test_a_name_of_one_category_is_not_divided(tmp_path: Path, cell: str) -> None:
    assert levels(tmp_path, cell) == [cell]


def test_a_comma_within_a_name_divides_no_paths(tmp_path: Path) -> None:
    found = levels(tmp_path, "Women > Hats, Gloves > Gloves")
    assert found == ["Women", "Hats, Gloves", "Gloves"]
