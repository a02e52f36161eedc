"""The pairs of products that a database holds, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.database.models import ProductPair, ProductPartners
from backend.events.partners import ROW


class StoredPair(NamedTuple):
    """A product, another one, the sum of what they did together, and how often it was."""

    product_id: int
    other_id: int
    score: float
    times: int


def stored_pairs(session: Session) -> Iterator[StoredPair]:
    """Yield all pairs: the packed ones, then those of the previous release."""
    for row in session.scalars(select(ProductPartners)):
        for other, score, times in np.frombuffer(row.packed, ROW).tolist():
            yield StoredPair(row.product_id, other, score, times)
    for pair in session.scalars(select(ProductPair)):
        yield StoredPair(pair.product_id, pair.other_id, pair.score, pair.times)
