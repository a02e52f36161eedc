"""What can be wrong between SQL and an index, kind by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from backend.database.models import Product
from backend.indexing.payload import payload, payload_digest
from backend.vectors import StoredPoint

KINDS: Final = {
    "missing": "SQL says indexed, the index has no point",
    "stale": "the point was written by another claim",
    "altered": "the point's payload is not the product's",
    "moved": "the point's vector is not the one SQL holds",
    "stray": "a point that should not be there",
    "foreign": "a point without a claim or a vector",
    "unqueued": "a product that the queue does not know",
    "lost": "SQL lacks the vector of a point",
}

KEPT: Final = 10_000
"""Ids of a kind that a sum remembers; it counts all."""


@dataclass(kw_only=True)
class Drift:
    """What was found; each list holds product ids, the foreign one what the index calls them."""

    checked: int = 0  # products
    compared: int = 0  # vectors
    missing: list[int] = field(default_factory=list)
    stale: list[int] = field(default_factory=list)
    altered: list[int] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)
    stray: list[int] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    unqueued: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, id: int | str) -> None:
        """Add one finding."""
        getattr(self, kind).append(id)
        self.counts[kind] += 1

    def add(self, other: Drift) -> None:
        """Add what another range showed; of very many ids only the first are remembered."""
        self.checked += other.checked
        self.compared += other.compared
        self.counts.update(other.counts)
        for kind in KINDS:
            mine: list[Any] = getattr(self, kind)
            mine.extend(getattr(other, kind)[: max(0, KEPT - len(mine))])

    def confirmed_by(self, again: Drift) -> Drift:
        """Return what a second look shows too: what only passed between two writes is no drift."""
        both = Drift(checked=self.checked, compared=self.compared)
        for kind in KINDS:
            still = set(getattr(again, kind))
            for id_ in getattr(self, kind):
                if id_ in still:
                    both.note(kind, id_)
        return both

    @property
    def total(self) -> int:
        """How many findings there are."""
        return self.counts.total()

    def summary(self) -> dict[str, Any]:
        """Count each kind, and name the first few ids of each."""
        found = {kind: getattr(self, kind)[:10] for kind in KINDS}
        return {
            "checked": self.checked,
            "compared": self.compared,
            "drift": self.total,
            **{kind: self.counts[kind] for kind in KINDS},
            "examples": {kind: ids for kind, ids in found.items() if ids},
        }


@dataclass(frozen=True)
class ProductState:
    """One product and its entry, as far as the comparison needs them."""

    product: Product
    known: bool  # whether the product has an entry
    at_rest: bool
    quarantined: bool
    indexed_claim: int | None  # None: there is to be no point
    digest: str | None  # of the image that the point's vector came from
    stored: bool  # whether SQL holds that vector


def compare(
    records: Mapping[int, StoredPoint],
    rows: Mapping[int, ProductState],
    *,
    backfilled_to: int | None,
) -> Drift:
    """Compare one range. What is due is left to the queue.

    Of a generation that is still being built, products beyond `backfilled_to` have no entry yet.
    """
    drift = Drift(checked=len(rows))
    for id_ in records.keys() - rows.keys():
        drift.note("stray", id_)
    for id_, row in sorted(rows.items()):
        if row.known and row.at_rest:
            _compare_one(id_, records.get(id_), row, drift)
        elif not row.known and row.product.removed_at is not None:
            if id_ in records:
                drift.note("stray", id_)
        elif not row.known and (backfilled_to is None or id_ <= backfilled_to):
            drift.note("unqueued", id_)
    drift.stray.sort()
    return drift


def _compare_one(id_: int, record: StoredPoint | None, row: ProductState, drift: Drift) -> None:
    if record is None:
        # What is quarantined without a stored vector could only come back through its image.
        if row.indexed_claim is not None and (row.stored or not row.quarantined):
            drift.note("missing", id_)
    elif row.indexed_claim is None:
        drift.note("stray", id_)
    elif record.claim != row.indexed_claim:
        drift.note("stale", id_)
    else:
        if not row.stored:
            drift.note("lost", id_)
        if payload_digest(record.payload) != payload_digest(payload(row.product)):
            drift.note("altered", id_)
