"""An entry: what one generation still has to do for one product.

An entry goes through two stages. While `embedded < wanted`, its image has to be turned into a
vector. While `embedded = wanted > indexed`, the result has to be written to the index.

A claim takes a row: it raises the row's `claim` number and moves `due_at` to the end of a lease.
Only the holder of the newest claim may record a result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Insert,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    null,
    update,
)
from sqlalchemy.orm import Session

from backend.database.models import IndexEntry
from backend.database.upsert import upsert

SINGLE: Final = 0
IMPORT: Final = 1
REINDEX: Final = 2
"""Priorities: a single write goes before an import, an import before a re-index."""

Entry = IndexEntry  # the shorter name keeps the SQL of this package readable

IS_OUR_CLAIM: Final = Entry.claim == bindparam("b_claim")
"""Whether the row's newest claim is still the one that is being settled."""

NOT_AWAITED: Final = {"image_awaited_since": null(), "image_retry_at": null()}
"""The changes that end the wait for an image."""

SAME_IMAGE: Final = Entry.failures > 0
"""Whether the image is still that of our claim: the claim raised the failures, and only a request
with another image, or a removal, resets them."""

IMAGE_ERRORS: Final = bindparam("b_image_errors", type_=Entry.image_errors.type)
RETRY_AT: Final = bindparam("b_retry_at", type_=Entry.image_retry_at.type)
"""Parameters of a row: why single images have no point, and when to look for one again."""

NEW_ENTRY: Final = [
    *("generation_id", "product_id", "wanted", "embedded", "indexed", "claim"),
    *("failures", "priority", "requested_at", "due_at"),
]
"""The columns of a new entry, in the order in which `insert_entries` expects them."""


class Stage(StrEnum):
    """What an entry waits for."""

    EMBED = "embed"
    APPLY = "apply"


@dataclass(frozen=True)
class Claimed:
    """A row taken for work. Settling it needs the same `claim`; `wanted` is what it was then."""

    product_id: int
    claim: int
    wanted: int
    failures: int
    embedded_digest: str | None
    more_digests: tuple[str, ...] = ()  # of the images of its points beyond the first
    more_points: int = 0  # how many points beyond the first the index may hold
    image_awaited_since: datetime | None = None

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Claimed:
        """Return a row as the statement of a claim returns it."""
        *numbers, digest, more_digests, more_points, since = row
        product_id, claim, wanted, failures = numbers
        more = tuple(more_digests or ())
        return cls(product_id, claim, wanted, failures, digest, more, more_points or 0, since)


@dataclass(frozen=True, kw_only=True)
class FurtherImages:
    """The outcome of a product's images beyond the one that settles or fails its entry."""

    digests: Sequence[str] = ()  # of the points beyond the first
    errors: Mapping[str, str] = field(default_factory=dict)  # address of an image -> reason


NO_FURTHER: Final = FurtherImages()


def waits_for(stage: Stage) -> ColumnElement[bool]:
    """Return the condition under which an entry waits for a stage."""
    if stage is Stage.EMBED:
        return Entry.embedded < Entry.wanted
    return and_(Entry.embedded == Entry.wanted, Entry.indexed < Entry.wanted)


def insert_entries(
    session: Session,
    rows: Select[Any],
    changes: dict[str, Any] | None,
    *,
    columns: Sequence[str] = NEW_ENTRY,
) -> Insert:
    """Insert entries from a select; one that exists already gets `changes`, or stays as it is."""
    keys = ["generation_id", "product_id"]
    insert = upsert(session, Entry).from_select(columns, rows, include_defaults=False)
    if changes is None:
        return insert.on_conflict_do_nothing(index_elements=keys)
    return insert.on_conflict_do_update(index_elements=keys, set_=changes)


def update_claimed(
    session: Session,
    generation_id: int,
    rows: Sequence[Claimed],
    values: dict[str, Any],
    *,
    extra: Sequence[dict[str, Any]] | None = None,
    where: ColumnElement[bool] = IS_OUR_CLAIM,
) -> int:
    """Update rows in id order, by default only where the claim is still ours; return how many.

    `values` may use the parameters b_claim and b_wanted of each row, and those in `extra`.
    """
    if not rows:
        return 0
    statement = (
        update(cast("Table", Entry.__table__))
        .where(
            Entry.generation_id == generation_id,
            Entry.product_id == bindparam("b_id"),
            where,
        )
        .values(values)
    )
    parameters = [
        {"b_id": row.product_id, "b_claim": row.claim, "b_wanted": row.wanted} | more
        for row, more in zip(rows, extra or [{}] * len(rows), strict=True)
    ]
    parameters.sort(key=lambda row: row["b_id"])
    return update_and_count(session, statement, parameters)


def update_and_count(session: Session, statement: Update, parameters: Any = None) -> int:
    """Run an update and return how many rows it changed."""
    result = session.execute(
        statement, parameters, execution_options={"synchronize_session": False}
    )
    return cast("CursorResult[Any]", result).rowcount
