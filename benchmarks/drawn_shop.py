"""A shop with the labels of a real catalogue and drawn vectors, for `shaped_http.py`.

    python benchmarks/drawn_shop.py catalogue.zip /tmp/shaped_data --products 20000

The zip holds a `styles.csv`; no image is read. A vector is the sum of three drawn ones: of the
product's type, of its group of three variants, and its own. The folder is as `similar_http.py
prepare` leaves it, with 508 dimensions and a graph.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import typer
from similar_http import EMBEDDER, create_key, lookalike
from sqlalchemy import insert

from backend.bootstrap import Services, build
from backend.catalogue import image_vectors
from backend.database.models import Generation, IndexEntry, Product
from backend.indexing.payload import COLUMNS, payload
from backend.settings import read_settings
from backend.vectors import Point

EACH: Final = 1000
VARIANTS: Final = 3
OWN, OF_GROUP = 0.3, 0.6
NAMES: Final = {
    "gender": "gender",
    "master_category": "masterCategory",
    "sub_category": "subCategory",
    "article_type": "articleType",
    "base_colour": "baseColour",
    "season": "season",
    "usage": "usage",
    "display_name": "productDisplayName",
}


def read_rows(catalogue: Path, products: int) -> list[dict[str, Any]]:
    """Return the columns of the first products."""
    with zipfile.ZipFile(catalogue) as archive:
        text = archive.read("styles.csv").decode()
    labels = list(csv.DictReader(io.StringIO(text)))[:products]
    labels.sort(key=lambda it: str(it["articleType"]))
    return [_columns(at, each) for at, each in enumerate(labels)]


def _columns(at: int, labels: Mapping[str, str]) -> dict[str, Any]:
    named = {column: labels[name] or None for column, name in NAMES.items()}
    year = labels["year"]
    return {
        **named,
        "id": at + 1,
        "sku": labels["id"],
        "year": int(year) if year.isdecimal() else None,
        "group_id": f"g{at // VARIANTS}",
        "in_stock": at % 20 > 0,
    }


def draw(rows: Sequence[Mapping[str, Any]], size: int) -> np.ndarray:
    """Return the vectors, (products, size) float32, of length 1."""
    rng = np.random.default_rng(1)
    types = {it: rng.normal(size=size) for it in sorted({str(row["article_type"]) for row in rows})}
    groups = {it: rng.normal(size=size) for it in dict.fromkeys(row["group_id"] for row in rows)}
    found = np.stack(
        [types[str(it["article_type"])] + OF_GROUP * groups[it["group_id"]] for it in rows]
    )
    found += OWN * rng.normal(size=found.shape)
    units: np.ndarray = found / np.linalg.norm(found, axis=1, keepdims=True)
    return units.astype(np.float32)


def fill(services: Services, generation: Generation, rows: Sequence[dict[str, Any]]) -> None:
    """Store the products, their vectors and their points."""
    vectors = draw(rows, generation.size)
    for start in range(0, len(rows), EACH):
        part = rows[start : start + EACH]
        digests = {f"d{it['id']}": vectors[it["id"] - 1] for it in part}
        done = {"wanted": 1, "embedded": 1, "indexed": 1, "claim": 1, "indexed_claim": 1}
        entry = {"generation_id": generation.id, "requested_at": datetime.now(UTC), **done}
        entries = [
            entry | {"product_id": it["id"], "embedded_digest": f"d{it['id']}"} for it in part
        ]
        services.db.write(lambda session, it=part: session.execute(insert(Product), it))  # type: ignore[misc]
        services.db.write(lambda session, it=entries: session.execute(insert(IndexEntry), it))  # type: ignore[misc]
        services.db.write(
            lambda session, it=digests: image_vectors.store(session, generation.fingerprint, it)  # type: ignore[misc]
        )
        points = [
            Point(id=it["id"], vector=vectors[it["id"] - 1], payload=payload(_product(it)), claim=1)
            for it in part
        ]
        services.indexes.of(generation).upsert(points)


def _product(columns: Mapping[str, Any]) -> Product:
    return Product(**{name: columns.get(name) for name in ("sku", *COLUMNS)})


def main(catalogue: Path, folder: Path, products: int = 20_000) -> None:
    """Make the shop in an empty folder."""
    services = build(read_settings(_env_file=None, data_dir=folder / "ours", embedder=EMBEDDER))
    services.owner.acquire()
    fill(services, services.first_generation(), read_rows(catalogue, products))
    services.close()
    lookalike(folder / "ours", "optimize")
    create_key(folder)


if __name__ == "__main__":
    typer.run(main)
