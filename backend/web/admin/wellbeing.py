"""Is all well? What an operator should look at, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from backend.api.readiness import Checked
from backend.monitoring.disks import Disk

LATE_SECONDS: Final = 600
"""A product that waits longer than this is late."""

SCARCE, FULL = 0.1, 0.03
"""Shares of a disk that are free, below which it is scarce or as good as full."""

LOW_RECALL: Final = 0.9
ENOUGH: Final = 20
"""Searches of one shape that have to be compared before their recall means something."""


class Level(StrEnum):
    """How bad something is."""

    BAD = "bad"  # shoppers or the shop notice it
    WARNING = "warning"


@dataclass(frozen=True)
class Concern:
    """Something that an operator should look at."""

    level: Level
    says: str
    view: str | None = None  # the page that shows more
    about: str = ""  # what that page shows


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of an installation at one moment."""

    status: Mapping[str, Any]  # `backend.status.status`
    checks: Mapping[str, Checked]  # those of /readyz
    stores: Mapping[str, str | None]  # store -> why it is not asked now
    outages: Mapping[str, str]  # what does not work -> why
    disks: Sequence[Disk]
    needs_workers: bool  # whether Celery workers do the work
    failing_feeds: Sequence[str]
    failed_jobs: int  # of the last day


def concerns(facts: Facts) -> list[Concern]:
    """Return what is not as it should be, the worst first."""
    found = [
        *_of_parts(facts),
        *_of_workers(facts),
        *_of_products(facts.status),
        *_of_disks(facts.disks),
        *_of_tasks(facts),
        *_of_searches(facts.status),
    ]
    return sorted(found, key=lambda one: list(Level).index(one.level))


def _of_parts(facts: Facts) -> Iterator[Concern]:
    for name, checked in facts.checks.items():
        if not checked.is_ok:
            yield Concern(Level.BAD, f"{name}: {checked.found}")
    for store, problem in facts.stores.items():
        if problem is not None and facts.checks.get(store, OK_CHECK).is_ok:
            yield Concern(Level.BAD, f"{store}: {problem}")
    for what, reason in facts.outages.items():
        yield Concern(Level.WARNING, f"{what} does not work at the moment: {reason}")
    for said in facts.status["warnings"]:
        yield Concern(Level.WARNING, said)


OK_CHECK: Final = Checked("ok", None)


def _of_workers(facts: Facts) -> Iterator[Concern]:
    if not facts.needs_workers:
        return
    workers = facts.status["workers"]
    if not any(one["embeds"] for one in workers):
        yield Concern(Level.BAD, "no worker that embeds images was seen for a minute")
    if not any(one["applies"] for one in workers):
        yield Concern(Level.BAD, "no worker that writes the index was seen for a minute")


def _of_products(status: Mapping[str, Any]) -> Iterator[Concern]:
    if status["generation"] is None:
        yield Concern(Level.WARNING, "there is no index yet: import a catalogue")
    oldest = status["oldest_pending_seconds"] or 0
    if oldest > LATE_SECONDS:
        waiting = status["pending"] - status["awaited"]
        says = f"the index is {oldest / 60:,.0f} minutes behind: {waiting:,} products wait"
        yield Concern(Level.WARNING, says)
    for row in status["waiting"]:
        says = f"{row['products']:,} products wait for the host: {row['reason']}"
        yield Concern(Level.WARNING, says)
    if count := status["quarantined"]:
        yield Concern(
            Level.WARNING, f"{_products(count)} in quarantine", "show_quarantine", "the quarantine"
        )
    failure = (status["shard"] or {}).get("failure")
    if failure:
        yield Concern(Level.WARNING, f"the graph of the index was not built: {failure['reason']}")


def _of_disks(disks: Sequence[Disk]) -> Iterator[Concern]:
    for disk in disks:
        free = disk.free_bytes / max(1, disk.capacity_bytes)
        if free < SCARCE:
            level = Level.BAD if free < FULL else Level.WARNING
            yield Concern(level, f"the disk of the {disk.store} has {free:.0%} left")


def _of_tasks(facts: Facts) -> Iterator[Concern]:
    for name in facts.failing_feeds:
        yield Concern(
            Level.WARNING, f"the last run of the feed {name} failed", "show_feeds", "the feeds"
        )
    if facts.failed_jobs:
        many = "1 job" if facts.failed_jobs == 1 else f"{facts.failed_jobs} jobs"
        yield Concern(Level.WARNING, f"{many} failed in the last day", "show_jobs", "the jobs")


def _of_searches(status: Mapping[str, Any]) -> Iterator[Concern]:
    for one in status["filter_recall"]:
        if one["compared"] >= ENOUGH and one["recall"] < LOW_RECALL:
            shape = one["shape"] or "no filter"
            says = f"searches by {shape} find {one['recall']:.0%} of what exact search finds"
            yield Concern(Level.WARNING, says, "show_searches", "recall")


def _products(count: int) -> str:
    return "1 product is" if count == 1 else f"{count:,} products are"
