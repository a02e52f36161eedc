"""The ways in which an index can differ from SQL, and the comparison of one range of ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from backend.database.models import Product
from backend.indexing.payload import payload, payload_digest
from backend.vectors import StoredPoint
from backend.vectors.image_points import point_id, product_of, slot_of


@dataclass(frozen=True)
class DriftKind:
    """One way in which an index can differ from SQL."""

    key: str  # its name in JSON, which clients read
    meaning: str


KINDS: Final = {
    "missing_point": DriftKind("missing", "SQL says indexed, the index has no point"),
    "other_claim": DriftKind("stale", "the point was written by another claim"),
    "different_payload": DriftKind("altered", "the point's payload is not the product's"),
    "different_vector": DriftKind("moved", "the point's vector is not the one SQL holds"),
    "unexpected_point": DriftKind("stray", "a point that should not be there"),
    "point_without_claim": DriftKind("foreign", "a point without a claim or a vector"),
    "no_entry": DriftKind("unqueued", "a product that the queue does not know"),
    "vector_not_in_sql": DriftKind("lost", "SQL lacks the vector of a point"),
}
"""Each kind by the name of its list in `Drift`."""

KEPT: Final = 10_000
"""Ids of one kind that a sum keeps; its counts include all."""


@dataclass(kw_only=True)
class Drift:
    """What was found: ids of points by kind; a product's first point has the product's id.

    A point without a claim may not be a product's, so its id is the text that the index shows.
    """

    checked: int = 0  # products, those that wait included
    waiting: int = 0  # products that the queue will write, so that nothing of them was compared
    compared: int = 0  # vectors
    missing_point: list[int] = field(default_factory=list)
    other_claim: list[int] = field(default_factory=list)
    different_payload: list[int] = field(default_factory=list)
    different_vector: list[int] = field(default_factory=list)
    unexpected_point: list[int] = field(default_factory=list)
    point_without_claim: list[str] = field(default_factory=list)
    no_entry: list[int] = field(default_factory=list)
    vector_not_in_sql: list[int] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, id: int | str) -> None:
        """Add one finding; `kind` is a name in KINDS."""
        getattr(self, kind).append(id)
        self.counts[kind] += 1

    def add(self, other: Drift) -> None:
        """Add the findings of another range; only the first KEPT ids of a kind are kept."""
        self.checked += other.checked
        self.waiting += other.waiting
        self.compared += other.compared
        self.counts.update(other.counts)
        for kind in KINDS:
            mine: list[Any] = getattr(self, kind)
            mine.extend(getattr(other, kind)[: max(0, KEPT - len(mine))])

    def confirmed_by(self, again: Drift) -> Drift:
        """Return what a second comparison shows too; the rest were writes under way."""
        both = Drift(checked=self.checked, waiting=self.waiting, compared=self.compared)
        for kind in KINDS:
            still = set(getattr(again, kind))
            for id_ in getattr(self, kind):
                if id_ in still:
                    both.note(kind, id_)
        return both

    @property
    def total(self) -> int:
        """The number of findings of all kinds."""
        return self.counts.total()

    def summary(self) -> dict[str, Any]:
        """Return as JSON the count of each kind, and the ids of the first few products of each."""
        found = {kind.key: _products(getattr(self, name))[:10] for name, kind in KINDS.items()}
        return {
            "checked": self.checked,
            "waiting": self.waiting,
            "compared": self.compared,
            "drift": self.total,
            **{kind.key: self.counts[name] for name, kind in KINDS.items()},
            "examples": {key: ids for key, ids in found.items() if ids},
        }


def _products(ids: Sequence[int | str]) -> list[int | str]:
    """Return the products that points belong to, each once."""
    return list(dict.fromkeys(product_of(id_) if isinstance(id_, int) else id_ for id_ in ids))


@dataclass(frozen=True)
class ProductState:
    """What the comparison needs of one product and its entry."""

    product: Product
    known: bool  # whether the product has an entry
    at_rest: bool
    quarantined: bool
    indexed_claim: int | None  # None: there should be no point
    digests: tuple[str | None, ...]  # of the images that its points' vectors came from
    stored: tuple[bool, ...]  # whether SQL holds each of these vectors

    @property
    def expected(self) -> int:
        """How many points there should be."""
        return len(self.digests) if self.indexed_claim is not None else 0

    def digest_of(self, slot: int) -> str | None:
        """Return the image of one of its points; None if there is no such point."""
        return self.digests[slot] if slot < len(self.digests) else None

    def holds(self, slot: int) -> bool:
        """Tell whether SQL holds the vector of one of its points."""
        return slot < len(self.stored) and self.stored[slot]


def compare(
    records: Mapping[int, StoredPoint],
    rows: Mapping[int, ProductState],
    *,
    backfilled_to: int | None,
) -> Drift:
    """Compare the points of one range of products; `records` has them by their own ids.

    Rows that are due are only counted: the queue will write them. Of a generation that is still
    being built, products beyond `backfilled_to` have no entry yet.
    """
    drift = Drift(checked=len(rows))
    slots: dict[int, list[int]] = {}
    for id_ in sorted(records):
        if product_of(id_) in rows:
            slots.setdefault(product_of(id_), []).append(slot_of(id_))
        else:
            drift.note("unexpected_point", id_)
    for id_, row in sorted(rows.items()):
        there = slots.get(id_, [])
        if row.known and row.at_rest:
            for slot in sorted({*range(max(1, row.expected)), *there}):
                _compare_one(point_id(id_, slot), records.get(point_id(id_, slot)), row, drift)
        elif row.known:
            drift.waiting += 1
        elif row.product.removed_at is not None:
            for slot in there:
                drift.note("unexpected_point", point_id(id_, slot))
        elif backfilled_to is None or id_ <= backfilled_to:
            drift.note("no_entry", id_)
    drift.unexpected_point.sort()
    return drift


def _compare_one(id_: int, record: StoredPoint | None, row: ProductState, drift: Drift) -> None:
    slot = slot_of(id_)
    if record is None:
        # A quarantined product without a stored vector cannot be written without its image.
        if slot < row.expected and (row.holds(slot) or not row.quarantined):
            drift.note("missing_point", id_)
    elif slot >= row.expected:
        drift.note("unexpected_point", id_)
    elif record.claim != row.indexed_claim:
        drift.note("other_claim", id_)
    else:
        if not row.holds(slot):
            drift.note("vector_not_in_sql", id_)
        expected = payload(row.product, slot=slot)
        if payload_digest(record.payload) != payload_digest(expected):
            drift.note("different_payload", id_)
