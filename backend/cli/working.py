"""`lookalike worker` and `lookalike beat`: what runs beside the API when BROKER_URL is set."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from workers.names import Queue


def worker(
    queue: Annotated[
        Queue, typer.Option(help="index: products; interactive: pictures that shoppers send.")
    ] = Queue.INDEX,
    name: Annotated[
        str | None, typer.Option(help="Its name in logs and in flower; unique on this host.")
    ] = None,
) -> None:
    """Run one Celery worker and keep it alive: restarted when it dies, killed when it hangs.

    One process is one network on one device; start several to use more. SIGTERM lets it finish its
    batch.
    """
    from backend import logs
    from backend.settings import read_settings
    from workers.app import make_app
    from workers.supervisor import Supervisor

    settings = read_settings()
    make_app(settings)  # says at once what is missing
    logs.configure(settings.log_level)
    called = name or f"{queue}-{os.getpid()}"
    supervisor = Supervisor(
        [sys.executable, "-m", "workers.process", "--queue", queue, "--name", called],
        hang_seconds=settings.hang_seconds,
        stop_seconds=settings.stop_seconds,
    )
    raise typer.Exit(supervisor.run())


def beat() -> None:
    """Run the workers' clock: exactly one per installation.

    It sends a knock every second, so that due work is found even if every other knock is lost. A
    second clock is harmless but useless.
    """
    from backend import logs
    from backend.settings import read_settings
    from workers import scheduler as clock

    settings = read_settings()
    logs.configure(settings.log_level)
    clock.run(settings)
