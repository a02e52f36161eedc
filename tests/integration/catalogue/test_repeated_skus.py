"""An import says so where many rows of a table repeat a sku."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.catalogue.dry_run import dry_run
from backend.catalogue.import_run import import_catalogue
from backend.catalogue.sources.mapping import FeedMapping
from backend.database.engine import Database
from backend.images.store import ImageStore


def write(folder: Path, *, groups: int, header: str = "article_id,product_code") -> Path:
    """Write a table of 60 articles of so many products."""
    rows = [f"0{number:03}001,P{number % groups}" for number in range(60)]
    path = folder / "articles.csv"
    path.write_text("\n".join([header, *rows, ""]))
    return path


@pytest.mark.parametrize(
    ("groups", "said"),
    [(30, "30 of 60 rows repeat a sku of the column 'product_code' and are merged"), (45, None)],
)
def test_a_column_of_groups_that_was_taken_for_skus_is_named(
    any_db: Database, tmp_path: Path, groups: int, said: str | None
) -> None:
    path = write(tmp_path, groups=groups)
    store = ImageStore(f"file://{tmp_path}/store")
    summary = import_catalogue(any_db, store, path)
    assert summary.added == groups
    for warnings in (summary.warnings, dry_run(path).warnings):
        duplicate = [it.reason for it in warnings if it.kind == "duplicate"]
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
        assert not any(it.kind == "duplicate" for it in found.warnings)
