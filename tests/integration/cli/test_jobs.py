"""Jobs are listed and cancelled, and a command that follows one says what it waits for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from threading import Thread
from typing import Any

import pytest
import typer
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from support.servers import wait_for
from support.shop import QUICK, Shop, four_products
from typer.testing import Result

from backend import generations, jobs
from backend.cli import following
from backend.database.models import BUILDING, RETIRED, Job
from backend.jobs import CANCELLED, DONE, FAILED, RUNNING, runners
from backend.reindex import ReindexPlan, request
from backend.settings import Settings

BROKER = "redis://127.0.0.1:1/0"  # nothing here connects to it
SERVER = "http://127.0.0.1:1"

Run = Callable[..., Result]


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    with Shop(settings, **QUICK) as one:
        yield one


def test_a_job_is_listed_and_cancelled(shop: Shop, run_command: Run) -> None:
    job_id = jobs.write(shop.db, "verify")
    assert "is cancelled" in run_command("jobs", "cancel", str(job_id)).output
    (listed,) = json.loads(run_command("jobs", "list", "--json").stdout)["items"]
    assert (listed["id"], listed["state"], listed["error"]) == (job_id, FAILED, CANCELLED)
    assert listed["cancelled_at"]
    assert "verify" in run_command("jobs", "list").stdout


def test_a_running_job_ends_at_its_next_step(shop: Shop, run_command: Run) -> None:
    job_id = jobs.write(shop.db, "verify")
    shop.execute(update(Job).values(state=RUNNING))
    assert "next step" in run_command("jobs", "cancel", str(job_id)).output


def test_rest_cancels_a_job_and_says_when_there_is_none(shop: Shop) -> None:
    job_id = jobs.write(shop.db, "verify")
    answer = shop.client.post(f"/v1/admin/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.json["state"]) == (202, FAILED)
    assert answer.json["cancelled_at"]
    for id_ in ("999", "x"):
        assert shop.client.post(f"/v1/admin/jobs/{id_}/cancel").status_code == 404
    ended = jobs.write(shop.db, "verify")
    shop.execute(update(Job).where(Job.id == ended).values(state=DONE))
    assert shop.client.post(f"/v1/admin/jobs/{ended}/cancel").status_code == 409


def test_what_a_cancelled_reindex_has_built_is_dropped(shop: Shop) -> None:
    four_products(shop)
    job = request(shop.db, ReindexPlan(promote="manual", adapt="off"))
    shop.worker.work_once()
    built = read(shop, job.id).arguments["generation"]
    assert state_of(shop, built) == BUILDING
    jobs.cancel(shop.db, job.id)
    shop.worker.maintenance.clean_up()
    assert state_of(shop, built) == RETIRED
    request(shop.db, ReindexPlan(promote="manual"))  # and another one may begin


def test_a_reindex_that_was_not_cancelled_keeps_what_it_built(shop: Shop) -> None:
    four_products(shop)
    job = request(shop.db, ReindexPlan(promote="manual"))
    shop.follow(job.id)
    shop.worker.maintenance.clean_up()
    assert state_of(shop, read(shop, job.id).arguments["generation"]) == BUILDING


# --- following --------------------------------------------------------------------------------


@pytest.fixture
def follow(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Follows a job beside other processes until a line says why it waits; then cancels it."""
    monkeypatch.setattr(following, "SILENCE_SECONDS", 0.0)
    said: list[str] = []
    monkeypatch.setattr(following.err, "print", lambda *text, **_: said.extend(map(str, text)))

    def until_said(handler: jobs.Handler | None = None, **settings: Any) -> str:
        shop.services.settings = shop.settings.model_copy(update=settings)
        job_id = jobs.write(shop.db, "verify")
        if handler is not None:
            assert not jobs.run_next(shop.db, {"verify": handler})

        def run() -> None:
            with pytest.raises(typer.Exit):  # since it is cancelled
                following.follow_job(shop.services, job_id, what="Verifying")

        thread = Thread(target=run)
        thread.start()
        found: str = wait_for(lambda: next((text for text in said if "waits" in text), None))
        jobs.cancel(shop.db, job_id)
        thread.join(60)
        assert not thread.is_alive()
        return found

    return until_said


def test_a_command_says_that_nobody_is_there_to_run_its_job(follow: Callable[..., str]) -> None:
    found = follow(broker_url=BROKER, qdrant_url=SERVER)
    assert "no process that runs jobs was seen for a minute" in found
    assert "lookalike jobs cancel 1" in found


def test_a_command_says_what_its_job_waits_for(
    shop: Shop, follow: Callable[..., str], run_command: Callable[..., Result]
) -> None:
    def wait(_: Mapping[str, Any], report: jobs.Report) -> dict[str, Any]:
        raise jobs.Waiting(seconds=3600, result={"waits": "the disk is full"})

    assert "Job 1 waits: the disk is full." in follow(wait, broker_url=BROKER, qdrant_url=SERVER)
    assert "waits" not in run_command("jobs", "list").stdout  # it was cancelled
    jobs.write(shop.db, "verify")
    assert not jobs.run_next(shop.db, {"verify": wait})
    assert "waits: the disk is full" in run_command("jobs", "list").stdout


def test_a_command_names_the_job_that_runs_before_its_own(
    shop: Shop, follow: Callable[..., str]
) -> None:
    jobs.write(shop.db, "optimize")
    assert jobs.run_next(
        shop.db, {"optimize": lambda *_: {"said": follow(broker_url=BROKER, qdrant_url=SERVER)}}
    )
    assert "job 1 (optimize) is running" in (read(shop, 1).result or {})["said"]


def test_a_worker_that_was_seen_will_run_the_job(shop: Shop) -> None:
    job_id = jobs.write(shop.db, "verify")
    runners.record_presence(shop.db, embeds=True, applies=False)
    assert jobs.why_idle(shop.db, read(shop, job_id), owner=None)  # it cannot run jobs
    runners.record_presence(shop.db, embeds=True, applies=True)
    assert jobs.why_idle(shop.db, read(shop, job_id), owner=None) is None


def test_a_command_runs_its_job_itself_beside_a_dead_api(shop: Shop) -> None:
    """The index is embedded, Celery embeds, and the API that owned the index is gone."""
    shop.services.owner.release()
    shop.services.settings = shop.settings.model_copy(update={"broker_url": BROKER})
    job = following.run_job(shop.services, "verify", {}, what="Verifying")
    assert (job.state, (job.result or {})["drift"]) == (DONE, 0)


def test_a_command_goes_on_when_the_database_is_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, answers = jobs.read, [True, False, False, True]
    said: list[str] = []
    monkeypatch.setattr(following.err, "print", lambda *text, **_: said.extend(map(str, text)))

    def read_sometimes(*arguments: Any) -> Any:
        if answers and not answers.pop(0):
            raise OperationalError("SELECT", None, Exception("server closed the connection"))
        return usual(*arguments)

    monkeypatch.setattr(jobs, "read", read_sometimes)
    shop.services.owner.release()
    job = following.run_job(shop.services, "verify", {}, what="Verifying")
    assert job.state == DONE
    assert len([text for text in said if "The database does not answer" in text]) == 1


def read(shop: Shop, job_id: int) -> Job:
    job = jobs.read(shop.db, job_id)
    assert job
    return job


def state_of(shop: Shop, generation_id: int) -> str:
    with shop.db.read() as session:
        return generations.by_id(session, generation_id).state
