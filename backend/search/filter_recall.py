"""Recall by shape of filter: sums in SQL, shared by all processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.database.models import FilterShape, utcnow
from backend.database.upsert import upsert

MOST_SHAPES: Final = 500
"""Shapes counted separately in each generation: clients choose them, so there is a limit."""

OTHER: Final = "other"
LONGEST: Final = 500  # characters of a shape


class ShapeKey(NamedTuple):
    """What is counted separately."""

    generation_id: int
    shape: str  # fields and kinds of clause, such as "gender:any year:range"; "" is no filter
    mode: str  # how it was searched


@dataclass(frozen=True)
class Sums:
    """Counts to be added to the totals."""

    queries: int = 0
    compared: int = 0  # with exact search
    recall: float = 0.0  # the sum of recall@10 over those compared

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.queries + other.queries,
            self.compared + other.compared,
            self.recall + other.recall,
        )


@dataclass(frozen=True, kw_only=True)
class ShapeRecall:
    """One shape's totals. `recall` is the mean recall@10, None where nothing was compared."""

    shape: str
    mode: str
    queries: int
    compared: int
    recall: float | None


def add_sums(session: Session, sums: Mapping[ShapeKey, Sums]) -> None:
    """Add to the totals. Shapes beyond MOST_SHAPES, and overlong ones, become `other`."""
    for generation_id in sorted({key.generation_id for key in sums}):
        known = set(
            session.scalars(
                select(FilterShape.shape).where(FilterShape.generation_id == generation_id)
            )
        )
        folded: dict[ShapeKey, Sums] = {}
        for key, more in sums.items():
            if key.generation_id == generation_id:
                kept = _fold(key, known)
                folded[kept] = folded.get(kept, Sums()) + more
        _upsert(session, folded)


def by_shape(session: Session, generation_id: int | None, *, limit: int = 50) -> list[ShapeRecall]:
    """Return the totals of one generation, the most frequent shapes first."""
    rows = session.scalars(
        select(FilterShape)
        .where(FilterShape.generation_id == generation_id)
        .order_by(FilterShape.queries.desc(), FilterShape.shape, FilterShape.mode)
        .limit(limit)
    )
    return [
        ShapeRecall(
            shape=row.shape,
            mode=row.mode,
            queries=row.queries,
            compared=row.compared,
            recall=row.recall_sum / row.compared if row.compared else None,
        )
        for row in rows
    ]


def _fold(key: ShapeKey, known: set[str]) -> ShapeKey:
    """Return the key to count under, and add its shape to the known ones."""
    if key.shape not in known and (len(known) >= MOST_SHAPES or len(key.shape) > LONGEST):
        return ShapeKey(key.generation_id, OTHER, key.mode)
    known.add(key.shape)
    return key


def _upsert(session: Session, sums: Mapping[ShapeKey, Sums]) -> None:
    insert = upsert(session, FilterShape)
    new = insert.excluded
    insert = insert.on_conflict_do_update(
        index_elements=[FilterShape.generation_id, FilterShape.shape, FilterShape.mode],
        set_={
            "queries": FilterShape.queries + new.queries,
            "compared": FilterShape.compared + new.compared,
            "recall_sum": FilterShape.recall_sum + new.recall_sum,
            "updated_at": new.updated_at,
        },
    )
    now = utcnow()
    rows = [
        {
            "generation_id": key.generation_id,
            "shape": key.shape,
            "mode": key.mode,
            "queries": more.queries,
            "compared": more.compared,
            "recall_sum": more.recall,
            "updated_at": now,
        }
        for key, more in sorted(sums.items(), key=lambda item: (item[0].shape, item[0].mode))
    ]
    session.execute(insert, rows)
