"""A job, as the commands use it: write one and follow it, or run it in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from sqlalchemy.exc import OperationalError

from backend.cli.common import bar, err

if TYPE_CHECKING:
    from backend.bootstrap import Services
    from backend.database.models import Job

Wait = Annotated[bool, typer.Option(help="Show the progress until it ends.")]

LOOK_SECONDS: Final = 0.2
SILENCE_SECONDS = 10.0
"""After this time without progress, the command looks for a process that could run the job."""


def run_job(services: Services, verb: str, arguments: Mapping[str, Any], *, what: str) -> Job:
    """Run a job that needs the index and show its progress under the title `what`.

    If no process owns the index, this process becomes the owner and does the work. Otherwise the
    owner runs the job; if the owner ends meanwhile, this process goes on. Exits with 1 if the job
    failed.
    """
    from backend import jobs

    job_id = jobs.write(services.db, verb, arguments)
    services.notify()
    return follow_job(services, job_id, what=what)


def follow_job(services: Services, job_id: int, *, what: str) -> Job:
    """Show a job's progress until it ends; run it here if no process owns the index.

    While the database does not answer, it waits, and says so. It also says when no process is
    there that could run the job.
    """
    from backend import jobs

    worker, watch = _LocalWorker(services), _Watch(services, job_id)
    try:
        with bar(what) as report:
            while (job := watch.read()) and job.state not in jobs.ENDED:
                watch.has_runner = worker.start_if_index_is_free()
                if job.total is not None:
                    report(job.done, job.total)
                time.sleep(LOOK_SECONDS)
            if job is not None and job.total:
                report(job.total, job.total)
    finally:
        worker.stop()
    if job is None or job.state == jobs.FAILED:
        reason = job.error if job else "the job no longer exists"
        typer.secho(f"lookalike: {reason}", err=True, fg="red")
        raise typer.Exit(1)
    return job


class _Watch:
    """Reads a job again and again, and says once what keeps it waiting."""

    def __init__(self, services: Services, job_id: int) -> None:
        self._services = services
        self._job_id = job_id
        self._changed_at = time.monotonic()
        self._last: tuple[object, ...] = ()
        self._said = ""
        self.has_runner = False  # this process itself

    def read(self) -> Job | None:
        """Return the job in its present state, as soon as the database answers."""
        from backend import jobs

        while True:
            try:
                job = jobs.read(self._services.db, self._job_id)
                if job is not None and job.state not in jobs.ENDED:
                    self._explain(job)
            except OperationalError:
                self._say("The database does not answer; waiting for it.")
                time.sleep(LOOK_SECONDS)
            else:
                return job

    def _explain(self, job: Job) -> None:
        """Say what the job waits for, or what is wrong if it shows no life for long."""
        from backend import jobs

        if waits := (job.result or {}).get("waits"):
            self._say(f"Job {job.id} waits: {waits}.")
        now = (job.state, job.claim, job.done, job.heartbeat_at, job.wake_at)
        if now != self._last or self.has_runner:
            self._last, self._changed_at = now, time.monotonic()
        elif time.monotonic() - self._changed_at > SILENCE_SECONDS:
            reason = jobs.why_idle(self._services.db, job, owner=self._owner())
            if reason is not None:
                self._say(f"Job {job.id} waits: {reason}.")

    def _owner(self) -> str | None:
        settings, owner = self._services.settings, self._services.owner
        return None if settings.broker_url and settings.qdrant_url else owner.describe()

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            err.print(
                f"{text} Ctrl-C leaves the job in the queue; `lookalike jobs cancel "
                f"{self._job_id}` ends it.",
                soft_wrap=True,
                highlight=False,
            )


class _LocalWorker:
    """A worker thread in this process, which starts as soon as no other process owns the index."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def start_if_index_is_free(self) -> bool:
        """Start the worker if this process can own the index; tell whether it runs.

        Raises what the thread raised. The index on a Qdrant server is the Celery workers' matter.
        """
        from backend.errors import IndexLocked

        settings = self._services.settings
        if self._error:
            raise self._error
        if self._thread:
            return True
        if settings.broker_url and settings.qdrant_url:
            return False
        try:
            self._services.owner.acquire()
        except IndexLocked:
            return False
        from backend.worker.loop import Worker

        self._worker = Worker(self._services)
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()
        return True

    def _run(self) -> None:
        try:
            self._worker.recover()
            self._worker.run()
        except Exception as error:  # noqa: BLE001  (raised again in the main thread)
            self._error = error

    def stop(self) -> None:
        """End the thread after its current round."""
        if self._thread:
            self._worker.stop()
            self._thread.join()
