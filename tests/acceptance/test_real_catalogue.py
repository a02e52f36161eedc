"""Real products over the command line: import, a killed index run, filters, images.

By default the first 6,100 products, of which one has no image;
`make prove-catalogue PRODUCTS=40000`
takes all.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select
from support import real_catalogue
from support.installation import Installation, embedded

from backend.bootstrap import Services, build
from backend.catalogue import image_vectors
from backend.database.models import ImageVector, IndexEntry, Product
from backend.filters import Condition, Where
from backend.generations import active
from backend.settings import read_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

PRODUCTS = int(os.environ.get("PROVE_CATALOGUE_PRODUCTS", "6100"))
K = 10

FILTERS: dict[str, Where] = {
    "about 10%": {"base_colour": Condition(any_of=("Blue",))},
    "about 1%": {"article_type": Condition(any_of=("Dresses",))},
    "three clauses": {
        "gender": Condition(any_of=("Women",)),
        "season": Condition(any_of=("Summer", "Fall")),
        "year": Condition(gte=2012),
    },
}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if "LOOKALIKE_SHARED_DATA" not in os.environ:
        pytest.skip("LOOKALIKE_SHARED_DATA is not set")
    folder = tmp_path_factory.mktemp("catalogue") / "shop"
    return real_catalogue.unpack(Path(os.environ["LOOKALIKE_SHARED_DATA"]), folder, PRODUCTS)


@pytest.fixture(scope="module")
def shop(catalogue: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A shop whose index run was killed in the middle, and then done again."""
    with embedded(tmp_path_factory.mktemp("shop")) as shop:
        shop.prints_logs = False
        started = time.monotonic()
        assert shop.json("import", str(catalogue))["added"] == PRODUCTS
        print(f"\nimported in {time.monotonic() - started:.0f} s")
        killed = shop.start("index")
        while shop.json("status")["indexed"] < 1000:
            assert killed.poll() is None
            time.sleep(1)
        shop.end("index", signal.SIGKILL)
        before = shop.json("status")["indexed"]
        started = time.monotonic()
        after = shop.json("index")
        rate = (after["indexed"] - before) / (time.monotonic() - started)
        print(f"killed at {before}; the rest at {rate:.0f} products/s")
        yield shop


@pytest.fixture
def services(shop: Installation) -> Iterator[Services]:
    """The same shop from within, as the owner of its index for one test."""
    services = build(read_settings(_env_file=None, data_dir=shop.settings.data_dir))
    services.owner.acquire()
    yield services
    services.close()


def test_a_second_import_asks_for_no_work(shop: Installation, catalogue: Path) -> None:
    counts = shop.json("import", str(catalogue))

    assert counts["unchanged"] == PRODUCTS
    assert shop.json("status")["pending"] == 0


def test_every_product_is_indexed_but_those_without_an_image(
    shop: Installation, catalogue: Path
) -> None:
    status = shop.json("status")
    skus, without_image = real_catalogue.skus_of(catalogue)

    assert without_image
    indexed = len(skus) - len(without_image)
    assert (status["indexed"], status["quarantined"]) == (indexed, len(without_image))
    quarantine = shop.json("quarantine", "list")["items"]
    assert {row["sku"] for row in quarantine} == without_image
    assert {row["reason"].partition(":")[0] for row in quarantine} == {"no-image"}


def test_a_killed_run_left_nothing_out_and_nothing_twice(shop: Installation) -> None:
    assert shop.json("verify")["drift"] == 0


def test_each_image_has_one_vector_and_one_row_of_features(services: Services) -> None:
    with services.db.read() as session:
        generation = active(session)
        counted = select(ImageVector.fingerprint, func.count()).group_by(ImageVector.fingerprint)
        rows = {fingerprint: count for fingerprint, count in session.execute(counted)}  # noqa: C416
        images = session.scalar(select(func.count(func.distinct(Product.image_digest))))

    assert (rows[generation.fingerprint], rows[generation.features]) == (images, images)


def test_similar_items_of_ten_products_fill_a_contact_sheet(
    shop: Installation, catalogue: Path, tmp_path: Path
) -> None:
    skus = real_catalogue.skus_of(catalogue)[0][:10]
    sheet = tmp_path / "sheet.png"

    answers = shop.json("similar", *skus, "--where", "base_colour_not=White", "--sheet", str(sheet))

    assert sheet.stat().st_size > 100_000
    assert list(answers) == skus
    for sku, answer in answers.items():
        assert len(answer["items"]) == K
        assert sku not in {item["sku"] for item in answer["items"]}
        assert "White" not in {item["product"]["base_colour"] for item in answer["items"]}


@pytest.mark.parametrize("name", FILTERS)
def test_filtered_recall_is_that_of_a_full_scan(services: Services, name: str) -> None:
    with services.db.read() as session:
        generation = active(session)
        digests = dict(
            session.execute(
                select(IndexEntry.product_id, IndexEntry.embedded_digest).where(
                    IndexEntry.indexed_claim.is_not(None)
                )
            ).all()
        )
        allowed = set(
            session.scalars(
                select(Product.id).where(*(_sql(*one) for one in FILTERS[name].items()))
            )
        )
        stored = _all_vectors(session, generation.fingerprint)
    ids = np.array(sorted(allowed & set(digests)))
    matrix = _unit(np.stack([stored[digests[id_]] for id_ in ids]))
    queries = np.random.RandomState(0).permutation(sorted(digests))[:100]
    index = services.indexes.of(generation)

    found = [
        _recall(index, id_, stored[digests[id_]], ids, matrix, FILTERS[name]) for id_ in queries
    ]

    print(f"{name}: {len(ids) / len(digests):.1%} pass, recall@{K} {np.mean(found):.4f}")
    assert np.mean(found) >= 0.99


def _recall(index: Any, query_id: int, vector: Any, ids: Any, matrix: Any, where: Where) -> float:
    """Compare with numpy by score: equal images may come in any order."""
    hits = index.nearest(vector, limit=K, where=where, exclude=[int(query_id)])
    scores = np.where(ids == query_id, -1, matrix @ (vector / np.linalg.norm(vector)))
    least = np.sort(scores)[-K]
    true = {int(id_) for id_ in ids[scores >= least - 1e-5]}
    return sum(hit.id in true for hit in hits) / K


def _sql(field: str, condition: Condition) -> Any:
    column = getattr(Product, field)
    return column.in_(condition.any_of) if condition.any_of else column >= condition.gte


def _unit(matrix: Any) -> Any:
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def _all_vectors(session: Any, fingerprint: str) -> dict[str, Any]:
    rows = session.execute(
        select(ImageVector.image_digest, ImageVector.vector).where(
            ImageVector.fingerprint == fingerprint
        )
    )
    return {digest: image_vectors.unpack(blob) for digest, blob in rows}
