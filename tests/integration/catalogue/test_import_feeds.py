"""Feeds of other formats are imported like any catalogue, and again for nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.deepfashion import write_deepfashion
from support.fashion_mnist import write_fashion_mnist

from backend.catalogue.import_run import import_catalogue
from backend.database.engine import Database
from backend.images.store import ImageStore


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(f"file://{tmp_path / 'store'}")


@pytest.mark.parametrize(("write", "count"), [(write_deepfashion, 4), (write_fashion_mnist, 60)])
def test_a_second_import_requests_nothing(
    tmp_path: Path, db: Database, store: ImageStore, write: Callable[[Path], Path], count: int
) -> None:
    folder = write(tmp_path / "files")

    first = import_catalogue(db, store, folder)
    again = import_catalogue(db, store, folder)

    assert (first.added, first.rejected, len(first.warnings)) == (count, 0, 0)
    assert again.counts() == {
        **dict.fromkeys(("added", "changed", "removed", "rejected"), 0),
        "unchanged": count,
    }


def test_bad_rows_of_parquet_are_rejected_with_their_number_and_reason(
    tmp_path: Path, db: Database, store: ImageStore
) -> None:
    columns = {
        "id": ["a", None, "no\ttabs", "a", "b", "c"],
        "year": ["2012", "2012", "2012", "2013", "soon", "2014"],
        "image": [None, None, None, None, None, "../secret.jpg"],
    }
    pq.write_table(pa.table(columns), tmp_path / "feed.parquet")

    summary = import_catalogue(db, store, tmp_path / "feed.parquet")

    reasons = {reject.line: reject.reason for reject in summary.rejects}
    assert summary.added == 3
    assert reasons.keys() == {1, 2, 3}
    assert reasons[1] == "line 4 has the same sku"
    assert reasons[2] == "the sku is empty"
    assert "must be a string" in reasons[3]
    assert any(w.line == 6 and "leaves" in w.reason for w in summary.warnings)
    assert any("'soon' is not a year" in warning.reason for warning in summary.warnings)
