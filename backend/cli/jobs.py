"""Jobs, as the commands use them: write one and follow it, or run it in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from backend.cli.common import bar

if TYPE_CHECKING:
    from backend.bootstrap import Services
    from backend.database.models import Job


def run_job(services: Services, verb: str, arguments: Mapping[str, Any], *, what: str) -> Job:
    """Run a job that needs the index and show its progress under the title `what`.

    If no process owns the index, this process becomes the owner and does the work. Otherwise the
    owner runs the job; if the owner ends meanwhile, this process goes on. Exits with 1 if the job
    failed.
    """
    from backend import jobs

    job_id = jobs.write(services.db, verb, arguments)
    return follow_job(services, job_id, what=what)


def follow_job(services: Services, job_id: int, *, what: str) -> Job:
    """Show a job's progress until it ends; run it here if no process owns the index."""
    from backend import jobs

    worker = _LocalWorker(services)
    try:
        with bar(what) as report:
            while (job := jobs.read(services.db, job_id)) and job.state not in jobs.ENDED:
                worker.start_if_index_is_free()
                if job.total is not None:
                    report(job.done, job.total)
                time.sleep(0.2)
            if job is not None and job.total:
                report(job.total, job.total)
    finally:
        worker.stop()
    if job is None or job.state == jobs.FAILED:
        reason = job.error if job else "the job no longer exists"
        typer.secho(f"lookalike: {reason}", err=True, fg="red")
        raise typer.Exit(1)
    return job


class _LocalWorker:
    """A worker thread in this process, which starts as soon as no other process owns the index."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def start_if_index_is_free(self) -> None:
        """Start the worker if this process can own the index; raise what the thread raised."""
        from backend.errors import IndexLocked

        if self._error:
            raise self._error
        if self._thread or self._services.settings.broker_url:
            return
        try:
            self._services.owner.acquire()
        except IndexLocked:
            return
        from backend.worker.loop import Worker

        self._worker = Worker(self._services)
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

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
