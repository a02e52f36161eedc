"""The ways in which an index can differ from SQL, and the comparison of one range of ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from backend.database.models import Product
from backend.indexing.payload import payload, payload_digest
from backend.vectors import StoredPoint


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
    """What was found: product ids by kind.

    A point without a claim may not be a product's, so its id is the text that the index shows.
    """

    checked: int = 0  # products
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
        self.compared += other.compared
        self.counts.update(other.counts)
        for kind in KINDS:
            mine: list[Any] = getattr(self, kind)
            mine.extend(getattr(other, kind)[: max(0, KEPT - len(mine))])

    def confirmed_by(self, again: Drift) -> Drift:
        """Return what a second comparison shows too; the rest were writes under way."""
        both = Drift(checked=self.checked, compared=self.compared)
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
        """Return as JSON the count of each kind, and the first few ids of each."""
        found = {kind.key: getattr(self, name)[:10] for name, kind in KINDS.items()}
        return {
            "checked": self.checked,
            "compared": self.compared,
            "drift": self.total,
            **{kind.key: self.counts[name] for name, kind in KINDS.items()},
            "examples": {key: ids for key, ids in found.items() if ids},
        }


@dataclass(frozen=True)
class ProductState:
    """What the comparison needs of one product and its entry."""

    product: Product
    known: bool  # whether the product has an entry
    at_rest: bool
    quarantined: bool
    indexed_claim: int | None  # None: there should be no point
    digest: str | None  # of the image that the point's vector came from
    stored: bool  # whether SQL holds that vector


def compare(
    records: Mapping[int, StoredPoint],
    rows: Mapping[int, ProductState],
    *,
    backfilled_to: int | None,
) -> Drift:
    """Compare one range. Rows that are due are skipped: the queue will write them.

    Of a generation that is still being built, products beyond `backfilled_to` have no entry yet.
    """
    drift = Drift(checked=len(rows))
    for id_ in records.keys() - rows.keys():
        drift.note("unexpected_point", id_)
    for id_, row in sorted(rows.items()):
        if row.known and row.at_rest:
            _compare_one(id_, records.get(id_), row, drift)
        elif not row.known and row.product.removed_at is not None:
            if id_ in records:
                drift.note("unexpected_point", id_)
        elif not row.known and (backfilled_to is None or id_ <= backfilled_to):
            drift.note("no_entry", id_)
    drift.unexpected_point.sort()
    return drift


def _compare_one(id_: int, record: StoredPoint | None, row: ProductState, drift: Drift) -> None:
    if record is None:
        # A quarantined product without a stored vector cannot be written without its image.
        if row.indexed_claim is not None and (row.stored or not row.quarantined):
            drift.note("missing_point", id_)
    elif row.indexed_claim is None:
        drift.note("unexpected_point", id_)
    elif record.claim != row.indexed_claim:
        drift.note("other_claim", id_)
    else:
        if not row.stored:
            drift.note("vector_not_in_sql", id_)
        if payload_digest(record.payload) != payload_digest(payload(row.product)):
            drift.note("different_payload", id_)
