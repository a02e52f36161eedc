"""Which column is the sku where several may be, and what an import says of skus that repeat."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from backend.catalogue.dry_run import dry_run
from backend.catalogue.import_run import import_catalogue
from backend.catalogue.sources.mapping import FeedMapping
from backend.database.engine import Database
from backend.database.models import Product
from backend.images.store import ImageStore


def write(folder: Path, *, groups: int, header: str = "article_id,product_code") -> Path:
    """Write a table of 60 articles of so many products."""
    rows = [f"0{number:03}001,P{number % groups}" for number in range(60)]
    path = folder / "articles.csv"
    path.write_text("\n".join([header, *rows, ""]))
    return path


def imported(db: Database, folder: Path, path: Path) -> tuple[dict[str, str | None], list[str]]:
    """Return the group of each sku, and what was said of skus, the same by both commands."""
    summary = import_catalogue(db, ImageStore(f"file://{folder}/store"), path)
    of_run, of_dry_run = (
        [it.reason for it in warnings if it.kind in ("sku", "duplicate")]
        for warnings in (summary.warnings, dry_run(path).warnings)
    )
    assert of_run == of_dry_run
    with db.read() as session:
        rows = session.execute(select(Product.sku, Product.group_id)).all()
        return {row.sku: row.group_id for row in rows}, of_run


def test_a_column_whose_values_repeat_is_the_group_of_one_that_is_unique(
    any_db: Database, tmp_path: Path
) -> None:
    groups, said = imported(any_db, tmp_path, write(tmp_path, groups=30))
    assert groups == {f"0{number:03}001": f"P{number % 30}" for number in range(60)}
    assert len(said) == 1
    assert "'product_code' repeats in 30 of the first 60 rows" in said[0]


def test_a_few_repeated_rows_change_nothing(any_db: Database, tmp_path: Path) -> None:
    groups, said = imported(any_db, tmp_path, write(tmp_path, groups=56))
    assert groups == {f"P{number}": None for number in range(56)}
    assert said == []


def test_a_column_that_is_mostly_empty_gives_way_to_one_that_is_filled(
    db: Database, tmp_path: Path
) -> None:
    path = tmp_path / "product.csv"
    path.write_text("Product Code,Name,Internal Reference\n,Tee,T-1\nX9,Cap,C-1\n,,\n")
    groups, said = imported(db, tmp_path, path)
    assert groups == {"T-1": None, "C-1": None}
    assert len(said) == 1
    assert "'Product Code' is empty in 1 of the first 2 rows" in said[0]


@pytest.mark.parametrize("name", ["ordernumber", "code", "stock_code", "shop_sku", "identifier"])
def test_a_barcode_is_no_sku_beside_a_number_of_the_shop(tmp_path: Path, name: str) -> None:
    path = tmp_path / "product.csv"
    path.write_text(f"ean,{name},name\n4006381333931,T-1,Tee\n4006381333932,C-1,Cap\n")
    assert [row.sku for row in dry_run(path).first] == ["T-1", "C-1"]


@pytest.mark.parametrize("header", ["sku,barcode", "id,barcode", "barcode,colour"])
def test_a_row_without_a_sku_is_a_reject_that_names_an_odd_column(
    db: Database, tmp_path: Path, header: str
) -> None:
    path = tmp_path / "product.csv"
    path.write_text(f"{header}\n,1\nA1,2\n")
    column = header.partition(",")[0]
    rejects = import_catalogue(db, ImageStore(f"file://{tmp_path}/store"), path).rejects
    where = " in the column 'barcode'" if column == "barcode" else ""
    assert [it.reason for it in rejects] == [f"the sku is empty{where}"]


def test_an_id_of_several_rows_gives_way_to_the_skus_of_the_variants(
    db: Database, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,variant_id,ean\n1,11,a\n1,12,b\n2,21,c\n2,22,d\n")
    groups, _ = imported(db, tmp_path, path)
    assert groups == {"11": "1", "12": "1", "21": "2", "22": "2"}
    path.write_text("id,ean\n1,a\n1,b\n2,c\n2,d\n")
    assert dry_run(path).counts()["products"] == 2


@pytest.mark.parametrize(
    ("groups", "said"),
    [(30, "30 of 60 rows repeat a sku of the column 'product_code' and are merged"), (56, None)],
)
def test_a_column_of_groups_that_was_taken_for_skus_is_named(
    any_db: Database, tmp_path: Path, groups: int, said: str | None
) -> None:
    path = write(tmp_path, groups=groups, header="style,product_code")
    found, duplicate = imported(any_db, tmp_path, path)
    assert len(found) == groups
    assert (duplicate[0].partition(";")[0] if duplicate else None) == said


def test_other_columns_and_known_platforms_are_not_remarked_on(tmp_path: Path) -> None:
    mapping = FeedMapping(columns={"sku": "article_id"})
    table = dry_run(write(tmp_path, groups=3), mapping)
    rows = [f"P{number % 3},simple,Default,{number}" for number in range(60)]
    path = tmp_path / "magento.csv"
    path.write_text("\n".join(["sku,product_type,attribute_set_code,name", *rows, ""]))
    magento = dry_run(path)
    assert magento.description.title.startswith("Magento")
    for found in (table, magento):
        assert not any(it.kind in ("duplicate", "sku") for it in found.warnings)


def test_a_column_that_the_operator_names_stays(tmp_path: Path) -> None:
    mapping = FeedMapping(columns={"sku": "product_code"})
    found = dry_run(write(tmp_path, groups=3), mapping)
    assert found.counts()["products"] == 3
