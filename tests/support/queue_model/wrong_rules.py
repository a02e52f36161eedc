"""The rules that the design rejects, each to be put in place of the right one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Final
from unittest.mock import patch

from sqlalchemy import bindparam, true, update

from backend import queue
from backend.database.models import IndexEntry as Entry
from backend.database.models import Product
from backend.indexing import apply as applying
from backend.queue import Claimed, Stage, failed_claims, requesting, settlements
from backend.vectors import Point
from support.queue_model.parts import WatchedIndex

claim, fail, request, request_anew, request_removal = (
    queue.claim,
    queue.fail,
    queue.request,
    queue.request_anew,
    queue.request_removal,
)
changes_to_reapply, upsert_entries = requesting.changes_to_reapply, requesting.upsert_entries
update_claimed = settlements.update_claimed


@dataclass(frozen=True)
class Rule:
    """A rule to be put in, the theme in which it shows, and what else may happen there.

    The right rules make no mistake under the same circumstances.
    """

    name: str
    put_in: Callable[[], AbstractContextManager[object]]
    theme: str
    reconciles: bool = True
    crashes: bool = True


@contextmanager
def _settling(module: ModuleType, which: str, where: Any) -> Iterator[None]:
    """Let one kind of settling change other rows than those whose claim is still its own."""
    right = getattr(queue, which)

    def wrong(*args: Any, **options: Any) -> int:
        def unguarded(*args: Any, **options: Any) -> int:
            return update_claimed(*args, **{**options, "where": where})

        with patch.object(module, "update_claimed", unguarded):
            return right(*args, **options)

    with patch.object(queue, which, wrong):
        yield


def settle_if_older() -> Any:
    return _settling(settlements, "settle_indexed", Entry.indexed < bindparam("b_wanted"))


def ignore_late_writers() -> Any:
    return patch.object(settlements, "request_late", lambda *_: None)


def settle_embedded_by_anyone() -> Any:
    return _settling(settlements, "settle_embedded", true())


def fail_by_anyone() -> Any:
    return _settling(failed_claims, "fail", true())


def fail_whatever_came_since() -> Any:
    return patch.object(failed_claims, "SAME_IMAGE", true())


def overwrite_newer_points() -> Any:
    def write(self: WatchedIndex, points: Sequence[Point]) -> None:
        for point in points:
            self.points.pop(point.id, None)
        super(WatchedIndex, self).upsert(points)

    return patch.object(WatchedIndex, "put", write)


def delete_newer_points() -> Any:
    def erase(self: WatchedIndex, claims: dict[int, int]) -> None:
        for id_ in claims:
            self.points.pop(id_, None)

    return patch.object(WatchedIndex, "erase", erase)


@contextmanager
def count_failures_afterwards() -> Iterator[None]:
    """Raise the counter where a failure is reported instead of where the attempt begins."""

    def _raise(session: Any, generation_id: int, rows: Sequence[Claimed], by: int) -> None:
        session.execute(
            update(Entry)
            .where(Entry.generation_id == generation_id)
            .where(Entry.product_id.in_([row.product_id for row in rows]))
            .values(failures=Entry.failures + by)
        )

    def claim_(session: Any, generation_id: int, stage: Stage, **options: Any) -> list[Claimed]:
        rows = claim(session, generation_id, stage, **options)
        if stage is Stage.EMBED:
            _raise(session, generation_id, rows, -1)
        return rows

    def fail_(session: Any, generation_id: int, failed: Any, **options: Any) -> int:
        _raise(session, generation_id, [row for row, _ in failed], 1)
        return fail(session, generation_id, failed, **options)

    with patch.object(queue, "claim", claim_), patch.object(queue, "fail", fail_):
        yield


def claim_failed_with_healthy() -> Any:
    def claim_(session: Any, *args: Any, failed_before: bool = False, **options: Any) -> Any:
        if args[1] is Stage.APPLY:
            return claim(session, *args, **options)
        if failed_before:
            return []
        healthy = claim(session, *args, **options)
        return healthy + claim(session, *args, failed_before=True, **options)

    return patch.object(queue, "claim", claim_)


def take_the_products_own_digest() -> Any:
    def claim_(session: Any, generation_id: int, stage: Stage, **options: Any) -> list[Claimed]:
        rows = claim(session, generation_id, stage, **options)
        if stage is Stage.EMBED:
            return rows
        return [
            replace(row, embedded_digest=session.get_one(Product, row.product_id).image_digest)
            for row in rows
        ]

    return patch.object(queue, "claim", claim_)


def leave_embedded_at_removals() -> Any:
    def request_(session: Any, ids: Sequence[int], changes: Any, **options: Any) -> None:
        upsert_entries(
            session, ids, {k: v for k, v in changes.items() if k != "embedded"}, **options
        )

    def removal(*args: Any, **options: Any) -> None:
        with patch.object(requesting, "upsert_entries", request_):
            request_removal(*args, **options)

    return patch.object(queue, "request_removal", removal)


def keep_the_former_vector() -> Any:
    return _beginning_anew_without("embedded_digest")


def keep_the_former_claim() -> Any:
    return _beginning_anew_without("claim")


def forget_the_former_point() -> Any:
    return patch.object(requesting, "FORMER_LIFE", None)


def _beginning_anew_without(column: str) -> Any:
    def request_(session: Any, ids: Sequence[int], changes: Any, **options: Any) -> None:
        upsert_entries(session, ids, {k: v for k, v in changes.items() if k != column}, **options)

    def anew(*args: Any, **options: Any) -> None:
        with patch.object(requesting, "upsert_entries", request_):
            request_anew(*args, **options)

    return patch.object(queue, "request_anew", anew)


def open_the_image_for_a_price() -> Any:
    def request_(*args: Any, image: bool, **options: Any) -> None:
        request(*args, **options, image=True)

    return patch.object(queue, "request", request_)


def wake_the_quarantine() -> Any:
    def wrong(now: Any) -> dict[str, Any]:
        return changes_to_reapply(now) | {"due_at": now}

    return patch.object(requesting, "changes_to_reapply", wrong)


def quarantine_no_exhausted_row() -> Any:
    return patch.object(queue, "quarantine_exhausted", lambda *_args, **_options: 0)


def forget_points_of_late_writers() -> Any:
    return patch.object(settlements, "FURTHER_MAY_BE", Entry.more_points)


def leave_points_of_removed_images() -> Any:
    return patch.object(applying, "_surplus", lambda _row: [])


RIGHT: Final = (
    Rule("the right rules", nullcontext, ""),
    Rule("the right rules, no crashes, no reconcile", nullcontext, "", False, False),
)
WRONG: Final = (
    Rule("settle if indexed < wanted", settle_if_older, "late writers", False, False),
    Rule("ignore a late writer", ignore_late_writers, "late writers", False, False),
    Rule("late writers crash, no reconcile", nullcontext, "late writers", False),
    Rule("upsert over a newer point", overwrite_newer_points, "late writers"),
    Rule("delete a newer point", delete_newer_points, "late writers"),
    Rule("settle an embedding without its claim", settle_embedded_by_anyone, "late embedders"),
    Rule("record a failure without its claim", fail_by_anyone, "late embedders"),
    Rule(
        "record a failure of an older image",
        fail_whatever_came_since,
        "late embedders",
        True,
        False,
    ),
    Rule("count a failure when it is reported", count_failures_afterwards, "deaths"),
    Rule("claim failed rows with healthy ones", claim_failed_with_healthy, "deaths"),
    Rule("leave exhausted rows in the queue", quarantine_no_exhausted_row, "deaths"),
    Rule("apply the product's own digest", take_the_products_own_digest, "bad images"),
    Rule("a removal leaves `embedded`", leave_embedded_at_removals, "bad images"),
    Rule("a new life keeps the vector", keep_the_former_vector, "lives"),
    Rule("a new life keeps the claim", keep_the_former_claim, "lives", True, False),
    Rule("a new life forgets the old point", forget_the_former_point, "lives", False),
    Rule("a price opens the image", open_the_image_for_a_price, "bad images"),
    Rule("a price wakes the quarantine", wake_the_quarantine, "bad images"),
    Rule(
        "forget the further points of a late writer",
        forget_points_of_late_writers,
        "several images",
        False,
        False,
    ),
    Rule(
        "leave the points of removed images",
        leave_points_of_removed_images,
        "several images",
        False,
        False,
    ),
)
