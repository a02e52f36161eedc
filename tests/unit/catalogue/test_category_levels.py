"""Categories in columns of their own, one for each level."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from backend.catalogue.import_rows import check_row
from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import FeedRow
from backend.catalogue.sources.mapping import DEFAULT_MAPPING, FeedMapping

FIELDS = ("master_category", "sub_category", "article_type")


def categories(
    folder: Path, header: str, row: str, mapping: FeedMapping = DEFAULT_MAPPING
) -> tuple[str | None, ...]:
    """Return the three categories of a row, the uppermost first."""
    path = folder / "feed.csv"
    path.write_text(f"sku,name,{header}\n1,Tee,{row}\n", encoding="utf-8")
    with closing(open_source(path, mapping)) as source:
        (found,) = source.read()
    assert isinstance(found, FeedRow)
    values = check_row(found).draft.values
    return tuple(values.get(field) for field in FIELDS)


@pytest.mark.parametrize(
    "header",
    [
        "category1,category2,category3",
        "category_1,category_2,category_3",
        "Category Level 1,Category Level 2,Category Level 3",
        "L1 Category,L2 Category,L3 Category",
        "category_l0,category_l1,category_l2",
        "Kategorie 1,Kategorie 2,Kategorie 3",
        "Kategorie Ebene 1,Kategorie Ebene 2,Kategorie Ebene 3",
        "NL_Category_1,NL_Category_2,NL_Category_3",
        "Product Type Level 1,Product Type Level 2,Product Type Level 3",
        "department,class,subclass",
        "division,dept_name,class_name",
        "Hauptkategorie,Unterkategorie,Unterunterkategorie",
    ],
)
def test_levels_are_read_as_a_path(tmp_path: Path, header: str) -> None:
    assert categories(tmp_path, header, "Men,Tops,Tees") == ("Men", "Tops", "Tees")


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("Men,Tops,", ("Men", None, "Tops")),
        ("Men,,Tees", ("Men", None, "Tees")),
        ("Men,,", (None, None, "Men")),
        ("Men,Tops,Tops", ("Men", None, "Tops")),
        (",,", (None, None, None)),
        ("12,34,56", (None, None, "12")),
        ("Default Category,Men,Tees", ("Men", None, "Tees")),
        ("Men > Tops > Tees,Sale > Tees,", ("Men", "Tops", "Tees")),
        (f"Men,{'x' * 300},Tees", ("Men", None, "Tees")),
    ],
)
def test_levels_that_are_empty_or_no_names_are_passed_over(
    tmp_path: Path, row: str, found: tuple[str | None, ...]
) -> None:
    assert categories(tmp_path, "category_1,category_2,category_3", row) == found


def test_more_than_three_levels_give_the_first_and_the_last_two(tmp_path: Path) -> None:
    header = ",".join(f"category_{number}" for number in (3, 1, 2, 5, 4))
    assert categories(tmp_path, header, "C,A,B,E,D") == ("A", "D", "E")
    assert categories(tmp_path, header, "C,A,B,,") == ("A", "B", "C")


@pytest.mark.parametrize(
    ("header", "row", "found"),
    [
        ("department,category", "Men,Tees", ("Men", None, "Tees")),
        ("department,category", "Men,Women > Tees", ("Women", None, "Tees")),
        ("department,category", "Tees,Tees", (None, None, "Tees")),
        ("category,sub_category", "Tops,Tees", (None, "Tees", "Tops")),
        ("masterCategory,category_1,category_2", "M,A,B", ("M", None, "A")),
        ("category_1,price_2", "A,3", (None, None, "A")),
        ("class,price", "A,3", (None, None, None)),
    ],
)
def test_other_columns_are_read_as_before(
    tmp_path: Path, header: str, row: str, found: tuple[str | None, ...]
) -> None:
    assert categories(tmp_path, header, row) == found


def test_a_column_that_the_operator_names_counts_alone(tmp_path: Path) -> None:
    mapping = FeedMapping(columns={"article_type": "category_1"})
    found = categories(tmp_path, "category_1,category_2", "Men,Tees", mapping)
    assert found == (None, None, "Men")


def test_the_levels_stay_attributes_and_are_described(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("sku,category_1,category_2\n1,Men,Tees\n")
    with closing(open_source(path)) as source:
        (row,) = source.read()
        columns = source.describe().columns
    assert isinstance(row, FeedRow)
    assert row.fields["attributes"] == {"category_1": "Men", "category_2": "Tees"}
    assert columns["master_category"] == "category_1"
    assert columns["article_type"] == "category_2"
