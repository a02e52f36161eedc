"""A re-index first adapts the embedder to the shop, from features that are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session
from support.shop import Shop

from backend import generations, jobs
from backend import reindex as reindexing
from backend.adaptation import adapt
from backend.adaptation.reading import read_sample
from backend.catalogue import image_vectors, word_alignments
from backend.database.engine import Database
from backend.database.models import (
    ACTIVE,
    BUILDING,
    RETIRED,
    Generation,
    ImageVector,
    Product,
    Statistics,
    utcnow,
)
from backend.embedders import FloatArray, KeepsFeatures
from backend.embedders.kept_features import COLOUR, SIZE
from backend.embedders.words import Alignment
from backend.generations.states import insert as insert_generation
from backend.indexing import kept_features
from backend.reindex import ReindexPlan
from backend.reindex.cleanup import delete_leftovers
from backend.settings import Settings

STYLES, VARIANTS = 350, 3


def features_of_a_shop() -> FloatArray:
    """Features of which 24 axes tell variants apart, and 12 others styles."""
    random = np.random.default_rng(0)
    count = STYLES * VARIANTS
    features = random.normal(0, 1e-5, (count, SIZE)).astype(np.float32)
    features[:, :24] = random.normal(0, 0.05, (count, 24))
    features[:, 24:36] = np.repeat(random.normal(0, 0.05, (STYLES, 12)), VARIANTS, axis=0)
    features[:, COLOUR] = random.normal(0, 1, (count, COLOUR.stop - COLOUR.start))
    return features


def products() -> list[dict[str, Any]]:
    """The products of a shop: eight types, and three variants of each style."""
    return [
        {
            "sku": f"p{number}",
            "group_id": f"g{number // VARIANTS}",
            "article_type": f"type {number // VARIANTS % 8}",
            "image_uri": f"file:///nowhere/{number}.jpg",
            "image_digest": f"{number:064x}",
            "attributes": {},
        }
        for number in range(STYLES * VARIANTS)
    ]


class KnownShop(Shop):
    """A shop whose images were embedded before: their features are stored."""

    def fill(self) -> None:
        generation = self.services.first_generation()
        embedder = self.services.embedders.of(generation)
        assert isinstance(embedder, KeepsFeatures)
        kept_features.store_fingerprint(self.db, generation, embedder)
        features = features_of_a_shop()
        rows = products()
        digests = [row["image_digest"] for row in rows]
        stored = dict(zip(digests, features, strict=True))
        vectors = dict(zip(digests, embedder.project(features), strict=True))

        def write(session: Session) -> None:
            session.execute(insert(Product), rows)
            image_vectors.store(session, embedder.features_fingerprint, stored)
            image_vectors.store(session, embedder.fingerprint, vectors)
            session.execute(update(Generation).values(backfilled_to=0))

        self.db.write(write)
        generations.backfill(self.db, generation.id)
        self.work()

    def adapt(self, **plan: Any) -> dict[str, Any]:
        job = self.follow(reindexing.request(self.db, ReindexPlan(**plan)).id)
        assert job.state == jobs.DONE, job.error
        return job.result or {}

    def active(self) -> Generation:
        with self.db.read() as session:
            return generations.active(session)


@pytest.fixture
def known_shop(settings: Settings) -> Iterator[KnownShop]:
    """A shop with the real embedder; its settings are those of the environment's default."""
    with KnownShop(settings, embedder="lookalike-blocks", adapt="off") as found:
        found.fill()
        yield found


@pytest.mark.slow
def test_a_complete_index_is_adapted_without_opening_an_image(known_shop: KnownShop) -> None:
    before = known_shop.active()
    assert before.features is not None
    job = reindexing.request_adaptation(known_shop.db)
    assert job is not None
    handler = known_shop.services.reindex_jobs.handlers()[reindexing.requests.REINDEX]
    with pytest.raises(jobs.Waiting):  # as if killed before the choice was recorded
        handler(job.arguments, lambda *_: None)
    result = known_shop.follow(job.id).result or {}
    after, adaptation = known_shop.active(), result["adaptation"]
    assert after.embedder == adaptation["embedder"]
    with known_shop.db.read() as session:  # the same was chosen twice
        assert session.scalar(select(func.count()).select_from(Statistics)) == 1
    assert after.embedder.startswith("lookalike-blocks?adapted=")
    assert adaptation["incomplete"] == {"images": STYLES * VARIANTS, "of": STYLES * VARIANTS}
    assert adaptation["after"]["variants"] > adaptation["before"]["variants"] + 0.05
    assert after.state == ACTIVE  # although no image exists: none is opened
    # a query image gets the same statistics, also in a process that has just begun
    known_shop.restart()
    embedder = known_shop.services.embedders.of(after)
    assert isinstance(embedder, KeepsFeatures)
    features = features_of_a_shop()[:1].astype(np.float16).astype(np.float32)
    with known_shop.db.read() as session:
        stored = image_vectors.load(session, after.fingerprint, [f"{0:064x}"])
    assert np.allclose(stored[f"{0:064x}"], embedder.project(features)[0], atol=2e-3)
    # no product has a name: what ships is moved to the vectors of the new statistics
    with known_shop.db.read() as session:
        moved = word_alignments.load(session, after.fingerprint)
    assert moved is not None
    alignment = Alignment.from_bytes(moved)
    assert (alignment.words, alignment.size) == ((), after.size)
    assert set(alignment.lengths) == {"look", "colour"}
    known_shop.db.write(lambda session: word_alignments.store(session, after.fingerprint, b"", {}))
    # what there is cannot be made better by the same data: no other index is built
    again = known_shop.adapt(adapt="only")
    assert again["adaptation"]["embedder"] is None
    assert known_shop.active().id == after.id
    with known_shop.db.read() as session:  # what was damaged is there again
        assert word_alignments.load(session, after.fingerprint) == moved


# --- without an index ------------------------------------------------------------------------


def store_shop(db: Database, count: int, *, alike: bool = False, **fields: Any) -> None:
    """Store the first products of the shop, and their features, all of the first if `alike`."""
    features = features_of_a_shop()[:count]
    if alike:
        features[:] = features[0]
    rows = [{**row, **fields} for row in products()[:count]]
    stored = {row["image_digest"]: each for row, each in zip(rows, features, strict=True)}

    def write(session: Session) -> None:
        session.execute(insert(Product), rows)
        image_vectors.store(session, "features", stored)

    db.write(write)


def test_a_shop_without_labels_is_left_alone(db: Database) -> None:
    store_shop(db, 1_000, article_type=None, group_id=None)
    found = adapt(db, spec="lookalike-blocks", features="features")
    assert found.spec is None
    assert "nothing can be judged" in found.reason


def test_nothing_is_fitted_to_products_that_were_removed(db: Database) -> None:
    store_shop(db, 1_040, article_type=None, group_id=None)
    left = [row["sku"] for row in products()[:1_000]]
    gone = update(Product).where(Product.sku.not_in(left)).values(removed_at=utcnow())
    db.write(lambda session: session.execute(gone))
    with db.read() as session:
        sample = read_sample(session, "features")
    assert sample is not None
    assert (sample.drawn, len(sample.shop.features)) == (1_000, 1_000)


def test_a_shop_that_has_removed_a_third_of_its_products_is_adapted(db: Database) -> None:
    """The features of removed products are deleted, and say nothing of those that are left."""
    store_shop(db, 1_040, article_type=None, group_id=None)
    row = {"attributes": {}, "removed_at": utcnow()}
    gone = [{**row, "sku": f"old-{each}", "image_digest": f"f{each:063x}"} for each in range(500)]
    db.write(lambda session: session.execute(insert(Product), gone))
    found = adapt(db, spec="lookalike-blocks", features="features")
    assert "nothing can be judged" in found.reason  # not: that features are missing


def test_a_shop_whose_images_are_all_the_same_is_left_alone(db: Database) -> None:
    store_shop(db, 1_000, alike=True)
    found = adapt(db, spec="lookalike-blocks", features="features")
    assert found.spec is None
    assert "look the same" in found.reason


@pytest.mark.parametrize(
    ("spec", "features", "reason"),
    [
        ("lookalike-blocks", "features", "1,000 are needed"),
        ("lookalike-blocks", "others", "not stored yet"),
        ("lookalike-blocks", None, "not stored yet"),
        ("efficientnet-lite0", None, "keeps no features"),
    ],
)
def test_why_a_shop_is_not_adapted(
    db: Database, spec: str, features: str | None, reason: str
) -> None:
    store_shop(db, 999)
    found = adapt(db, spec=spec, features=features)
    assert found.spec is None
    assert reason in found.reason


def test_features_go_with_the_last_generation_that_uses_them(db: Database) -> None:
    store_shop(db, 2)
    for fingerprint in ("plain", "adapted"):
        made = generations.EmbedderIdentity(spec="x", fingerprint=fingerprint, size=3)
        generation = insert_generation(db, made, state=BUILDING)
        ended = update(Generation).where(Generation.id == generation.id)
        ended = ended.values(state=RETIRED, retired_at=utcnow(), features="features")
        db.write(lambda session, ended=ended: session.execute(ended))
    first, second = delete_next(db), delete_next(db)
    assert (first, second) == (2, 0)


def test_statistics_go_with_the_last_generation_that_names_them(db: Database) -> None:
    spec = "lookalike-blocks?adapted=abc"
    db.write(lambda session: session.add(Statistics(digest="abc", content=b"")))
    for fingerprint in ("first", "second"):
        made = generations.EmbedderIdentity(spec=spec, fingerprint=fingerprint, size=3)
        generation = insert_generation(db, made, state=BUILDING)
        ended = update(Generation).where(Generation.id == generation.id)
        ended = ended.values(state=RETIRED, retired_at=utcnow())
        db.write(lambda session, ended=ended: session.execute(ended))
    left = []
    for _ in range(2):
        delete_next(db)
        with db.read() as session:
            left.append(session.get(Statistics, "abc") is not None)
    assert left == [True, False]


def delete_next(db: Database) -> int:
    """Delete what the next retired generation left; return how many features there are then."""
    dropped: list[int] = []

    def drop(generation: Generation) -> None:
        if dropped and generation.id not in dropped:
            raise StopIteration
        dropped.append(generation.id)

    with suppress(StopIteration):
        while delete_leftovers(db, after=timedelta(0), drop_index=drop):
            pass
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(ImageVector)) or 0
