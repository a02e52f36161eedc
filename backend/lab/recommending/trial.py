"""A copy of the catalogue in a database of its own, in which events can come and go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from sqlalchemy import Select, insert, select, update

from backend import generations
from backend.catalogue import image_vectors
from backend.database import migrate
from backend.database.engine import Database
from backend.database.models import Generation, ImageVector, IndexEntry, Product
from backend.embedders import FloatArray
from backend.errors import NotEvaluable
from backend.filters import Where
from backend.vectors import Hit, SearchMode, Vector

AT_ONCE: Final = 1000


class InMemory:
    """The vectors of products, each of length 1, compared one by one: exact."""

    def __init__(self, ids: Sequence[int], vectors: FloatArray) -> None:
        self.ids = np.asarray(ids, np.int64)
        lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        self.vectors = (vectors / lengths).astype(np.float32)
        self._place = {product: at for at, product in enumerate(ids)}

    def nearest(
        self,
        vector: Vector,
        *,
        limit: int,
        where: Where | None = None,
        exclude: Sequence[int] = (),
        min_score: float | None = None,
        mode: SearchMode | None = None,
        payloads: bool = True,
    ) -> list[Hit]:
        """Return the nearest, best first; filters, modes and payloads are ignored."""
        scores = self.vectors @ (vector / max(float(np.linalg.norm(vector)), 1e-12))
        scores[[self._place[it] for it in exclude if it in self._place]] = -np.inf
        many = min(limit, len(scores))
        best = np.argpartition(-scores, many - 1)[:many]
        best = best[np.lexsort((best, -scores[best]))]
        least = -np.inf if min_score is None else min_score
        found = [Hit(int(self.ids[at]), float(scores[at])) for at in best]
        return [hit for hit in found if hit.score > -np.inf and hit.score >= least]


class Trial:
    """The copy: its database, its generation, and the vectors of its products."""

    def __init__(self, db: Database, generation: Generation, index: InMemory) -> None:
        self.db, self.generation, self.index = db, generation, index

    def index_of(self, generation: Generation) -> InMemory:
        """Return the vectors; there is one generation."""
        return self.index


@contextmanager
def trial_of(db: Database) -> Iterator[Trial]:
    """Copy the products that are found by the active generation; the copy is deleted at the end.

    Raises NoGeneration, and NotEvaluable if no product has a vector.
    """
    with TemporaryDirectory(prefix="lookalike-trial-") as folder:
        copy = Database(f"sqlite:///{Path(folder) / 'trial.db'}")
        try:
            migrate.migrate(copy)
            yield _filled(db, copy)
        finally:
            copy.close()


def _filled(db: Database, copy: Database) -> Trial:
    with db.read() as session:
        generation = generations.active(session)
        entries = (
            select(IndexEntry)
            .join(Product, Product.id == IndexEntry.product_id)
            .where(
                IndexEntry.generation_id == generation.id,
                IndexEntry.embedded_digest.is_not(None),
                Product.removed_at.is_(None),
            )
        )
        products = select(Product).where(
            Product.id.in_(entries.with_only_columns(IndexEntry.product_id))
        )
        digests = entries.with_only_columns(IndexEntry.embedded_digest)
        vectors = select(ImageVector).where(
            ImageVector.fingerprint == generation.fingerprint, ImageVector.image_digest.in_(digests)
        )
        mine = select(Generation).where(Generation.id == generation.id)
        for model, query in (
            (Product, products),
            (Generation, mine),
            (IndexEntry, entries),
            (ImageVector, vectors),
        ):
            for rows in _rows(session, query):
                copy.write(lambda it, m=model, r=rows: it.execute(insert(m), r))  # type: ignore[misc]
    copy.write(lambda it: it.execute(update(Generation).values(most_images=None)))
    return _read(copy)


def _rows(session: Any, query: Select[Any]) -> Iterator[list[dict[str, Any]]]:
    found = session.scalars(query.execution_options(yield_per=AT_ONCE))
    for part in found.partitions(AT_ONCE):
        yield [{it.key: getattr(row, it.key) for it in row.__mapper__.column_attrs} for row in part]


def _read(copy: Database) -> Trial:
    with copy.read() as session:
        generation = generations.active(session)
        rows = session.execute(
            select(IndexEntry.product_id, IndexEntry.embedded_digest).order_by(
                IndexEntry.product_id
            )
        ).all()
        stored = image_vectors.load(
            session, generation.fingerprint, [str(row.embedded_digest) for row in rows]
        )
    found = [(row[0], stored[row[1]]) for row in rows if row[1] in stored]
    if not found:
        raise NotEvaluable("no product has a vector: run `lookalike index` first")
    ids, vectors = zip(*found, strict=True)
    return Trial(copy, generation, InMemory(ids, np.stack(vectors)))
