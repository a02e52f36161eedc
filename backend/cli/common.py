"""What the commands share: services, progress bars, JSON, and work as the owner or beside it."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from backend.bootstrap import Services
    from backend.database.models import Job
    from backend.settings import Settings

out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


def print_json(value: object) -> None:
    """Print one JSON object, as a program wants it."""
    sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")


def settings(**overrides: object) -> Settings:
    """Read the settings and set up the logs of a command: a command says itself what went wrong."""
    from backend import logs
    from backend.settings import read_settings

    found = read_settings(**overrides)
    logs.configure("error" if found.log_level == "info" else found.log_level)
    return found


@contextmanager
def services(found: Settings | None = None) -> Iterator[Services]:
    """Build the services for one command and let go of them at its end."""
    from workers.services import build

    built = build(found or settings())
    try:
        yield built
    finally:
        built.close()


@contextmanager
def bar(what: str) -> Iterator[Any]:
    """Show a bar with rate and time left on stderr; yields `report(done, total)`.

    The rate is counted from the first report on: what was done before that is not this run's work.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    first: int | None = None
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(what, total=None, rate="")

        def report(done: int, total: int | None) -> None:
            nonlocal first
            first = done if first is None else first
            rate = (done - first) / max(time.monotonic() - started, 1e-3)
            progress.update(task, completed=done, total=total, rate=f"{rate:,.0f}/s")

        yield report


def run_job(services: Services, verb: str, arguments: Mapping[str, Any], *, what: str) -> Job:
    """Run a job that needs the index and follow its progress.

    If nobody owns the index, this process becomes the owner and works itself; otherwise the owner
    runs it. Should the owner go away meanwhile, this process takes over. Exits with 1 if it failed.
    """
    from backend import jobs

    job_id = jobs.write(services.db, verb, arguments)
    return follow_job(services, job_id, what=what)


def follow_job(services: Services, job_id: int, *, what: str) -> Job:
    """Follow a job to its end, and run it where nobody else does, as `run_job` says."""
    from backend import jobs

    worker = _Assistant(services)
    try:
        with bar(what) as report:
            while (job := jobs.read(services.db, job_id)) and job.state not in jobs.ENDED:
                worker.help_out()
                if job.total is not None:
                    report(job.done, job.total)
                time.sleep(0.2)
            if job is not None and job.total:
                report(job.total, job.total)
    finally:
        worker.stop()
    if job is None or job.state == jobs.FAILED:
        typer.secho(f"lookalike: {job.error if job else 'the job is gone'}", err=True, fg="red")
        raise typer.Exit(1)
    return job


class _Assistant:
    """A worker thread in this process, from the moment the index has no other owner."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._thread: threading.Thread | None = None
        self._failed: Exception | None = None

    def help_out(self) -> None:
        """Start working if the index is free; raise what went wrong in the thread."""
        from backend.errors import IndexLocked

        if self._failed:
            raise self._failed
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
            self._failed = error

    def stop(self) -> None:
        """End the thread after what it is doing."""
        if self._thread:
            self._worker.stop()
            self._thread.join()
