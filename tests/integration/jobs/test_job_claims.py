"""A job has one runner at a time, which shows that it lives, and an operator can end it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from support.servers import wait_for

from backend import jobs
from backend.database.engine import Database
from backend.database.models import Job
from backend.errors import UnknownJob, WrongState
from backend.jobs import CANCELLED, DONE, FAILED, QUEUED, RUNNING, Report, Waiting, reporting


def read(db: Database, job_id: int) -> Job:
    job = jobs.read(db, job_id)
    assert job
    return job


def age(db: Database, job_id: int, minutes: int = 10) -> None:
    at = read(db, job_id).heartbeat_at
    assert at
    old = update(Job).values(heartbeat_at=at - timedelta(minutes=minutes))
    db.write(lambda session: session.execute(old))


def test_a_runner_that_was_thought_dead_does_not_overwrite_the_outcome(any_db: Database) -> None:
    job_id = jobs.write(any_db, "load")

    def second(_arguments: Mapping[str, Any], _report: Report) -> dict[str, Any]:
        return {"by": "second"}

    def first(_arguments: Mapping[str, Any], _report: Report) -> dict[str, Any]:
        age(any_db, job_id)
        assert jobs.run_next(any_db, {"load": second})
        return {"by": "first"}

    assert jobs.run_next(any_db, {"load": first})
    job = read(any_db, job_id)
    assert (job.state, job.result, job.claim) == (DONE, {"by": "second"}, 2)


def test_a_runner_that_was_thought_dead_stops_at_its_next_report(
    any_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "REPORT_EVERY_SECONDS", 0)
    job_id, went_on = jobs.write(any_db, "load"), []

    def second(_arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        raise Waiting(seconds=3600)

    def first(_arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        age(any_db, job_id)
        jobs.run_next(any_db, {"load": second})
        report(1, 2)
        went_on.append(1)
        return {}

    jobs.run_next(any_db, {"load": first})
    assert (read(any_db, job_id).state, read(any_db, job_id).done, went_on) == (RUNNING, 0, [])


def test_a_handler_that_loads_for_long_keeps_its_job(
    any_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reports nothing, and no second worker takes over, however often one looks."""
    monkeypatch.setattr(reporting, "HEARTBEAT_SECONDS", 0.01)
    job_id = jobs.write(any_db, "load")

    def load(_arguments: Mapping[str, Any], _report: Report) -> dict[str, Any]:
        age(any_db, job_id)
        before = read(any_db, job_id).heartbeat_at
        wait_for(lambda: read(any_db, job_id).heartbeat_at != before)
        assert not jobs.run_next(any_db, {"load": lambda *_: {"by": "second"}})
        return {"by": "first"}

    assert jobs.run_next(any_db, {"load": load})
    assert read(any_db, job_id).result == {"by": "first"}
    assert not [thread for thread in threading.enumerate() if thread.name == "job"]


# --- cancelling -------------------------------------------------------------------------------


def test_a_queued_job_is_cancelled_at_once(any_db: Database) -> None:
    job_id = jobs.write(any_db, "load")
    jobs.cancel(any_db, job_id)
    job = read(any_db, job_id)
    assert (job.state, job.error) == (FAILED, CANCELLED)
    assert job.cancelled_at == job.finished_at
    assert not jobs.run_next(any_db, {"load": lambda *_: {}})
    assert jobs.cancel(any_db, job_id).state == FAILED  # once more changes nothing


def test_a_running_job_is_cancelled_at_its_next_report(
    any_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "REPORT_EVERY_SECONDS", 0)
    job_id, went_on = jobs.write(any_db, "walk"), []

    def walk(_arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        assert jobs.cancel(any_db, job_id).state == RUNNING
        report(3, 10)
        went_on.append(1)
        return {}

    assert jobs.run_next(any_db, {"walk": walk})
    job = read(any_db, job_id)
    assert (job.state, job.error, job.done, went_on) == (FAILED, CANCELLED, 3, [])


def test_a_job_that_waits_for_the_queue_is_cancelled_at_once(any_db: Database) -> None:
    def wait(_arguments: Mapping[str, Any], _report: Report) -> dict[str, Any]:
        raise Waiting(seconds=3600)

    job_id = jobs.write(any_db, "wait")
    jobs.run_next(any_db, {"wait": wait})
    assert jobs.cancel(any_db, job_id).state == FAILED


def test_a_job_that_is_cancelled_within_a_step_does_not_wait_for_another(any_db: Database) -> None:
    def wait(_arguments: Mapping[str, Any], _report: Report) -> dict[str, Any]:
        jobs.cancel(any_db, job_id)
        raise Waiting(seconds=3600, arguments={"generation": 7})

    job_id = jobs.write(any_db, "wait")
    jobs.run_next(any_db, {"wait": wait})
    job = read(any_db, job_id)
    assert (job.state, job.error, job.arguments) == (FAILED, CANCELLED, {"generation": 7})


def test_a_cancelled_job_whose_runner_died_is_not_run_again(any_db: Database) -> None:
    job_id = jobs.write(any_db, "load")
    running = update(Job).values(state=RUNNING)
    any_db.write(lambda session: session.execute(running))
    jobs.cancel(any_db, job_id)
    jobs.free(any_db)
    assert read(any_db, job_id).state == QUEUED
    ran: list[int] = []
    jobs.run_next(any_db, {"load": lambda *_: {"ran": ran.append(1)}})
    assert (read(any_db, job_id).error, ran) == (CANCELLED, [])


def test_a_job_that_has_ended_cannot_be_cancelled(any_db: Database) -> None:
    job_id = jobs.write(any_db, "load")
    jobs.run_next(any_db, {"load": lambda *_: {}})
    with pytest.raises(WrongState, match="has ended: done"):
        jobs.cancel(any_db, job_id)
    with pytest.raises(UnknownJob):
        jobs.cancel(any_db, job_id + 1)
