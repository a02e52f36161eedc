"""A catalogue of images and labels of the sample, and a plain numpy search of its vectors."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from backend.catalogue.image_vectors import unpack
from backend.database.models import ImageVector, Product
from support.places import ROOT
from support.shop import Shop

SAMPLE: Final = Path(ROOT) / "backend" / "catalogue" / "data" / "sample-catalogue.zip"
COUNT: Final = 120
ONE_GROUP: Final = "Apparel"
"""All products of this category are one group of variants, and those of Footwear come in threes;
the others have no group."""


def fill(shop: Shop) -> None:
    """Index the first products of the sample by their images."""
    with zipfile.ZipFile(SAMPLE) as archive:
        name = next(it for it in archive.namelist() if it.endswith("styles.csv"))
        rows = list(csv.DictReader(io.StringIO(archive.read(name).decode())))[:COUNT]
        for number, row in enumerate(rows):
            shop.save(row["id"], archive.read(f"images/{row['id']}.jpg"), **_values(row, number))
    shop.work()


def _values(row: Mapping[str, str], number: int) -> dict[str, Any]:
    category = row["masterCategory"]
    groups = {ONE_GROUP: "variants", "Footwear": f"shoe-{number // 9}"}
    return {
        "display_name": row["productDisplayName"],
        "gender": row["gender"],
        "master_category": category,
        "sub_category": row["subCategory"],
        "article_type": row["articleType"],
        "base_colour": row["baseColour"],
        "year": int(row["year"]),
        "price": float(5 + number * 7 % 90),
        "in_stock": number % 4 != 0,
        "brand": row["productDisplayName"].split()[0] if number % 5 else None,
        "group_id": groups.get(category),
        "attributes": {"rating": number % 6, "fit": "slim" if number % 3 else "loose"},
    }


@dataclass
class Oracle:
    """All products and vectors in memory, by sku; each question compares all of them."""

    rows: dict[str, Product] = field(default_factory=dict)
    vectors: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def of(cls, shop: Shop) -> Oracle:
        made = cls()
        with shop.db.read() as session:
            stored = {
                row.image_digest: unpack(row.vector) for row in session.scalars(select(ImageVector))
            }
            for product in session.scalars(select(Product)):
                vector = stored[product.image_digest]
                made.rows[product.sku] = product
                made.vectors[product.sku] = vector / np.linalg.norm(vector)
            session.expunge_all()
        return made

    def score(self, query: str, sku: str) -> float:
        return float(self.vectors[query] @ self.vectors[sku])

    def ranked(
        self, query: str, passes: Callable[[Product], bool] = lambda _: True
    ) -> list[tuple[str, float]]:
        """Return all other products that pass, best first, with their scores."""
        found = [
            (sku, self.score(query, sku))
            for sku, row in self.rows.items()
            if sku != query and passes(row)
        ]
        return sorted(found, key=lambda it: -it[1])

    def grouped(self, ranked: list[tuple[str, float]], by: str) -> list[tuple[str, float]]:
        """Return the best product of each value, and all that have none."""
        taken: set[Any] = set()
        found = []
        for sku, score in ranked:
            value = getattr(self.rows[sku], by)
            if value is None or value not in taken:
                taken.add(value)
                found.append((sku, score))
        return found

    def size(self, sku: str, by: str, passes: Callable[[Product], bool] = lambda _: True) -> int:
        """Return how many products that pass are in the group of a product."""
        value = getattr(self.rows[sku], by)
        if value is None:
            return 1
        return sum(getattr(row, by) == value and passes(row) for row in self.rows.values())
