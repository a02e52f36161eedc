"""A job is run once, survives the death of its runner, and tells how it ended."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import make_url, text, update
from sqlalchemy.exc import DatabaseError, InternalError, OperationalError
from support.host_faults import full_disk
from support.proxy import proxy
from support.servers import migrated, wait_for

from backend import jobs
from backend.database.engine import Database
from backend.database.models import Job, Product, utcnow
from backend.errors import DatabaseUnavailable, NoGeneration
from backend.jobs import DONE, FAILED, QUEUED, RUNNING, Interrupted, Report, Waiting, reporting


def double(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    return {"doubled": 2 * arguments["number"]}


HANDLERS: Mapping[str, jobs.Handler] = {"double": double}


def read(db: Database, job_id: int) -> Job:
    job = jobs.read(db, job_id)
    assert job
    return job


def test_a_job_is_run_with_its_arguments_and_keeps_its_result(any_db: Database) -> None:
    job_id = jobs.write(any_db, "double", {"number": 21})
    assert read(any_db, job_id).state == QUEUED
    assert jobs.run_next(any_db, HANDLERS)
    job = read(any_db, job_id)
    assert (job.state, job.result, job.error) == (DONE, {"doubled": 42}, None)
    assert job.created_at <= job.started_at <= job.finished_at


def test_a_job_whose_database_was_restarted_is_run_again(pg_db: Database) -> None:
    """The server ends the connection that the handler uses, as a restart does."""
    runs = []

    def lose_the_connection_once(_: Mapping[str, Any], report: Report) -> dict[str, Any]:
        runs.append(1)
        if len(runs) == 1:
            with pg_db.read() as session:
                session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return {}

    job_id = jobs.write(pg_db, "verb", {})
    with pytest.raises(OperationalError):
        jobs.run_next(pg_db, {"verb": lose_the_connection_once})
    assert (read(pg_db, job_id).state, read(pg_db, job_id).error) == (QUEUED, None)
    assert jobs.run_next(pg_db, {"verb": lose_the_connection_once})
    assert read(pg_db, job_id).state == DONE


def test_a_job_whose_database_is_away_for_a_while_is_queued_again_when_it_answers(
    pg_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "AGAIN_SECONDS", 0.05)
    url = make_url(migrated(pg_url))
    with proxy(f"{url.query['host']}/.s.PGSQL.5432") as between:
        behind = url.set(host="127.0.0.1", port=between.port, query={})
        db = Database(behind.render_as_string(hide_password=False))

        def lose_the_database(_: Mapping[str, Any], report: Report) -> dict[str, Any]:
            between.stop()
            report(1, 2)
            with db.read() as session:
                session.execute(text("SELECT 1"))
            return {}

        job_id = jobs.write(db, "verb", {})
        with pytest.raises(OperationalError):
            jobs.run_next(db, {"verb": lose_the_database})
        direct = Database(pg_url)
        assert read(direct, job_id).state == RUNNING
        between.start()
        assert wait_for(lambda: read(direct, job_id).state == QUEUED)
        direct.close()
        db.close()


def test_a_job_that_is_refused_while_its_database_is_away_is_run_again(db: Database) -> None:
    def refuse(_: Mapping[str, Any], report: Report) -> dict[str, Any]:
        raise DatabaseUnavailable

    job_id = jobs.write(db, "verb", {})
    with pytest.raises(DatabaseUnavailable):
        jobs.run_next(db, {"verb": refuse})
    assert read(db, job_id).state == QUEUED


def test_a_job_whose_server_can_only_be_read_for_a_while_is_run_again(
    pg_db: Database,
) -> None:
    def write(_: Mapping[str, Any], report: Report) -> dict[str, Any]:
        with pg_db.read() as session:
            session.execute(text("SET TRANSACTION READ ONLY"))
            session.execute(text("CREATE TABLE one (number integer)"))
        return {}

    job_id = jobs.write(pg_db, "write", {})
    with pytest.raises(InternalError, match="read-only transaction"):
        jobs.run_next(pg_db, {"write": write})
    assert read(pg_db, job_id).state == QUEUED


def test_a_job_whose_database_has_no_room_is_run_again(db: Database) -> None:
    job_id = jobs.write(db, "double", {"number": 7})

    def write_much(_: Mapping[str, Any], report: Report) -> dict[str, Any]:
        rows = [Product(sku=str(number), display_name="y" * 900) for number in range(99)]
        with full_disk(db):
            db.write(lambda session: session.add_all(rows))
        return {}

    with pytest.raises(OperationalError, match="full"):
        jobs.run_next(db, {"double": write_much})
    assert read(db, job_id).state == QUEUED
    assert jobs.run_next(db, HANDLERS)
    assert read(db, job_id).result == {"doubled": 14}


def test_without_a_job_there_is_nothing_to_run(any_db: Database) -> None:
    assert not jobs.run_next(any_db, HANDLERS)
    assert jobs.read(any_db, 7) is None


def test_the_oldest_job_comes_first_and_each_is_run_once(any_db: Database) -> None:
    ran = []

    def note(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        ran.append(arguments["number"])
        return {}

    for number in range(3):
        jobs.write(any_db, "note", {"number": number})
    while jobs.run_next(any_db, {"note": note}):
        pass
    assert ran == [0, 1, 2]


def test_a_job_waits_for_a_runner_that_knows_its_verb(any_db: Database) -> None:
    job_id = jobs.write(any_db, "train")
    assert not jobs.run_next(any_db, HANDLERS)
    assert read(any_db, job_id).state == QUEUED


def test_a_domain_error_ends_the_job_with_its_code_and_message(any_db: Database) -> None:
    def refuse(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        raise NoGeneration

    job_id = jobs.write(any_db, "refuse")
    assert jobs.run_next(any_db, {"refuse": refuse})
    job = read(any_db, job_id)
    assert job.state == FAILED
    assert (job.error or "").startswith("no-generation: No index generation is active yet")
    assert job.finished_at


def test_a_damaged_database_ends_the_job_with_what_helps(any_db: Database) -> None:
    said = sqlite3.DatabaseError("database disk image is malformed")
    said.sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    def handler(_arguments: Any, _report: Any) -> dict[str, Any]:
        raise DatabaseError("SELECT 1", {}, said)

    job_id = jobs.write(any_db, "verify", {})
    with pytest.raises(DatabaseError):
        jobs.run_next(any_db, {"verify": handler})
    job = jobs.read(any_db, job_id)
    assert job is not None
    assert (job.error or "").startswith("database-damaged: ")
    assert "lookalike restore" in (job.error or "")


def test_any_other_error_ends_the_job_too_and_goes_on_to_the_caller(any_db: Database) -> None:
    def break_(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        raise KeyError("sku")

    job_id = jobs.write(any_db, "break")
    with pytest.raises(KeyError):
        jobs.run_next(any_db, {"break": break_})
    assert (read(any_db, job_id).state, read(any_db, job_id).error) == (FAILED, "KeyError: 'sku'")


def test_an_interrupted_job_is_left_to_the_next_runner_with_its_progress(
    any_db: Database,
) -> None:
    def stop(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        report(3, 10)
        raise Interrupted

    job_id = jobs.write(any_db, "double", {"number": 1})
    jobs.run_next(any_db, {"double": stop})
    job = read(any_db, job_id)
    assert (job.state, job.done, job.total, job.finished_at) == (QUEUED, 3, 10, None)
    first_start = job.started_at
    jobs.run_next(any_db, HANDLERS)
    assert (read(any_db, job_id).state, read(any_db, job_id).started_at) == (DONE, first_start)


def test_progress_is_written_no_more_often_than_anyone_looks(
    any_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    job_id = jobs.write(any_db, "walk")

    def walk(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        for done in range(100):
            report(done, 100)
            shown.append(read(any_db, job_id).done)
        monkeypatch.setattr(reporting, "REPORT_EVERY_SECONDS", 0)
        report(100, 100)
        shown.append(read(any_db, job_id).done)
        return {}

    monkeypatch.setattr(reporting, "REPORT_EVERY_SECONDS", 3600)
    jobs.run_next(any_db, {"walk": walk})
    assert set(shown[:-1]) == {0}
    assert shown[-1] == 100


def test_the_last_progress_is_kept_when_a_job_ends(any_db: Database) -> None:
    def walk(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        report(5, 5)
        return {}

    job_id = jobs.write(any_db, "walk")
    jobs.run_next(any_db, {"walk": walk})
    assert (read(any_db, job_id).done, read(any_db, job_id).total) == (5, 5)


@pytest.mark.parametrize(("silence", "taken"), [(59, False), (61, True)])
def test_a_running_job_is_taken_over_when_its_runner_has_been_silent_for_a_minute(
    any_db: Database, silence: int, taken: bool
) -> None:
    job_id = jobs.write(any_db, "double", {"number": 1})
    heard = utcnow() - timedelta(seconds=silence)
    running = update(Job).values(state=RUNNING, heartbeat_at=heard, started_at=heard)
    any_db.write(lambda session: session.execute(running))
    assert jobs.run_next(any_db, HANDLERS) == taken
    assert read(any_db, job_id).state == (DONE if taken else RUNNING)


def test_a_runner_that_is_alone_frees_what_a_killed_one_was_running(any_db: Database) -> None:
    ids = [jobs.write(any_db, "double", {"number": number}) for number in range(2)]
    jobs.run_next(any_db, HANDLERS)
    running = update(Job).where(Job.id == ids[1]).values(state=RUNNING, heartbeat_at=utcnow())
    any_db.write(lambda session: session.execute(running))
    jobs.free(any_db)
    assert [read(any_db, id_).state for id_ in ids] == [DONE, QUEUED]


def test_two_runners_never_run_the_same_job(any_db: Database) -> None:
    ran, barrier = [], threading.Barrier(3)

    def note(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        ran.append(arguments["number"])
        return {}

    for number in range(12):
        jobs.write(any_db, "note", {"number": number})

    def run() -> None:
        barrier.wait()
        for _ in range(12):
            jobs.run_next(any_db, {"note": note})

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(run) for _ in range(3)]:
            done.result()
    assert sorted(ran) == list(range(12))


def test_a_runner_does_not_wait_for_a_job_that_another_is_about_to_take(pg_db: Database) -> None:
    first, second = (jobs.write(pg_db, "double", {"number": number}) for number in range(2))
    with pg_db.read() as session:
        session.execute(text(f"SELECT * FROM jobs WHERE id = {first} FOR UPDATE"))
        jobs.run_next(pg_db, HANDLERS)
    assert [read(pg_db, id_).state for id_ in (first, second)] == [QUEUED, DONE]


# --- jobs that wait for the queue ------------------------------------------------------------


def wait_twice(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
    step = arguments.get("step", 0)
    report(10 * step, 20)
    if step < 2:
        raise Waiting(seconds=0, arguments={"step": step + 1}, result={"so": "far"})
    return {"steps": step}


def test_a_job_that_waits_is_looked_at_again_and_remembers_where_it_was(any_db: Database) -> None:
    job_id = jobs.write(any_db, "wait")
    assert not jobs.run_next(any_db, {"wait": wait_twice})  # its runner may rest, or do other work
    job = read(any_db, job_id)
    assert (job.state, job.arguments, job.result) == (RUNNING, {"step": 1}, {"so": "far"})
    while read(any_db, job_id).state != DONE:
        jobs.run_next(any_db, {"wait": wait_twice})
    assert read(any_db, job_id).result == {"steps": 2}


def test_a_job_that_waits_keeps_no_other_job_waiting(any_db: Database) -> None:
    def wait(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        raise Waiting(seconds=3600)

    waiting = jobs.write(any_db, "wait")
    other = jobs.write(any_db, "double", {"number": 2})
    handlers = {"wait": wait, **HANDLERS}
    assert not jobs.run_next(any_db, handlers)
    assert jobs.run_next(any_db, handlers)
    assert not jobs.run_next(any_db, handlers)
    assert [read(any_db, id_).state for id_ in (waiting, other)] == [RUNNING, DONE]


def test_a_waiting_job_whose_process_was_killed_is_taken_by_the_next_one(any_db: Database) -> None:
    def wait(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        raise Waiting(seconds=3600)

    job_id = jobs.write(any_db, "wait")
    jobs.run_next(any_db, {"wait": wait})
    jobs.free(any_db)
    assert jobs.run_next(any_db, {"wait": lambda arguments, report: {}})
    assert read(any_db, job_id).state == DONE


def test_a_job_knows_its_rate_and_how_long_it_will_take(any_db: Database) -> None:
    def walk(arguments: Mapping[str, Any], report: Report) -> dict[str, Any]:
        report(arguments["done"], 1000)
        raise Waiting(seconds=0, arguments={"done": arguments["done"] + 100})

    job_id = jobs.write(any_db, "walk", {"done": 100})
    jobs.run_next(any_db, {"walk": walk})
    assert read(any_db, job_id).rate is None
    assert jobs.seconds_left(read(any_db, job_id)) is None
    ago = update(Job).values(heartbeat_at=utcnow() - timedelta(seconds=10))
    any_db.write(lambda session: session.execute(ago))
    jobs.run_next(any_db, {"walk": walk})
    job = read(any_db, job_id)
    assert job.rate == pytest.approx(10, rel=0.5)  # 100 in the 10 seconds since the last look
    assert jobs.seconds_left(job) == pytest.approx(80, rel=0.5)
    job.rate = 1e-9
    assert jobs.seconds_left(job) is None, "it stands still"


def test_jobs_are_listed_the_newest_first(any_db: Database) -> None:
    ids = [jobs.write(any_db, "double", {"number": number}) for number in range(3)]
    with any_db.read() as session:
        assert [job.id for job in jobs.newest(session, limit=2)] == ids[:0:-1]
        assert [job.id for job in jobs.newest(session, before_id=ids[1])] == ids[:1]
