"""Which facts are concerns of an operator, and which of them comes first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from backend.api.readiness import Checked
from backend.monitoring.disks import Disk
from backend.web.admin.wellbeing import Concern, Facts, Level, concerns

CALM: Mapping[str, Any] = {
    "generation": {"id": 1},
    "oldest_pending_seconds": None,
    "pending": 0,
    "awaited": 0,
    "quarantined": 0,
    "waiting": [],
    "shard": None,
    "filter_recall": [],
    "workers": [],
    "warnings": [],
}


def facts(**changes: Any) -> Facts:
    ours: dict[str, Any] = {
        "status": CALM,
        "checks": {"database": Checked("ok", 0.1)},
        "stores": {"database": None},
        "outages": {},
        "disks": [],
        "needs_workers": False,
        "failing_feeds": [],
        "failed_jobs": 0,
    }
    return Facts(**(ours | changes))


def status(**changes: Any) -> Facts:
    return facts(status={**CALM, **changes})


def test_nothing_is_a_concern_where_all_is_well() -> None:
    assert concerns(facts()) == []


WORKER = {"name": "a:1", "embeds": True, "applies": False}
LOW = {"shape": "", "mode": "hnsw", "queries": 500, "compared": 20, "recall": 0.5}


@pytest.mark.parametrize(
    ("found", "level", "says"),
    [
        (facts(checks={"index": Checked("lost", 1)}), Level.BAD, "index: lost"),
        (facts(stores={"images": "silent"}), Level.BAD, "images: silent"),
        (facts(outages={"a host": "503"}), Level.WARNING, "a host does not work"),
        (status(warnings=["the clock is wrong"]), Level.WARNING, "the clock is wrong"),
        (status(generation=None), Level.WARNING, "there is no index yet"),
        (
            status(oldest_pending_seconds=1200, pending=9, awaited=2),
            Level.WARNING,
            "the index is 20 minutes behind: 7 products wait",
        ),
        (
            status(waiting=[{"reason": "disk-full: no", "products": 3}]),
            Level.WARNING,
            "3 products wait for the host: disk-full",
        ),
        (status(quarantined=2), Level.WARNING, "2 products are in quarantine"),
        (
            status(shard={"failure": {"at": "", "reason": "killed"}}),
            Level.WARNING,
            "the graph of the index was not built: killed",
        ),
        (facts(failing_feeds=["g"]), Level.WARNING, "the last run of the feed g failed"),
        (facts(failed_jobs=2), Level.WARNING, "2 jobs failed in the last day"),
        (status(filter_recall=[LOW]), Level.WARNING, "searches by no filter find 50%"),
        (
            facts(disks=[Disk(store="index", free_bytes=5, capacity_bytes=100)]),
            Level.WARNING,
            "the disk of the index has 5% left",
        ),
        (
            facts(disks=[Disk(store="index", free_bytes=2, capacity_bytes=100)]),
            Level.BAD,
            "the disk of the index has 2% left",
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_what_is_not_as_it_should_be_is_a_concern(found: Facts, level: Level, says: str) -> None:
    [one] = concerns(found)
    assert (one.level, says in one.says) == (level, True), one


def test_workers_are_missed_only_where_there_should_be_some() -> None:
    assert len(concerns(facts(needs_workers=True))) == 2
    [missing] = concerns(facts(needs_workers=True, status={**CALM, "workers": [WORKER]}))
    assert missing == Concern(Level.BAD, "no worker that writes the index was seen for a minute")


def test_few_comparisons_and_short_waits_are_no_concern() -> None:
    rare = {**LOW, "compared": 19}
    assert concerns(status(filter_recall=[rare], oldest_pending_seconds=600)) == []


def test_what_is_broken_comes_before_what_can_wait() -> None:
    mixed = facts(
        status={**CALM, "quarantined": 1}, disks=[Disk(store="a", free_bytes=0, capacity_bytes=9)]
    )
    assert [one.level for one in concerns(mixed)] == [Level.BAD, Level.WARNING]


def test_a_store_is_named_once() -> None:
    silent = facts(
        checks={"database": Checked("does not answer", 1)}, stores={"database": "does not answer"}
    )
    assert len(concerns(silent)) == 1
