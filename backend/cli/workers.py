"""`lookalike worker` and `lookalike beat`: the processes beside the API when BROKER_URL is set."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from workers.names import Queue


def worker(
    queue: Annotated[
        Queue, typer.Option(help="index: products; interactive: images that shoppers send.")
    ] = Queue.INDEX,
    name: Annotated[
        str | None, typer.Option(help="Its name in logs and in flower; unique on this host.")
    ] = None,
) -> None:
    """Run one Celery worker; restart it when it dies, kill and restart it when it hangs.

    One worker process uses one network on one device; start several to use more. After SIGTERM it
    finishes its batch.
    """
    from backend import logs, variables
    from backend.settings import Settings, read_settings
    from backend.vectors.server.addresses import warn_about_plain_key
    from workers.app import make_app
    from workers.metrics_port import show_counts
    from workers.supervisor import Supervisor

    settings = read_settings()
    make_app(settings)  # raises now if a setting is missing
    logs.configure(settings.log_level)
    logs.log_uncaught_errors()
    variables.warn_about_unknown(Settings)
    warn_about_plain_key(settings.qdrant_url, settings.qdrant_api_key)
    called = name or f"{queue}-{os.getpid()}"
    command = [sys.executable, "-m", "workers.process", "--queue", queue, "--name", called]
    with show_counts(settings) as folder:
        supervisor = Supervisor(
            [*command, *(["--metrics", str(folder)] if folder else [])],
            hang_seconds=settings.hang_seconds,
            stop_seconds=settings.stop_seconds,
        )
        raise typer.Exit(supervisor.run())


def health() -> None:
    """Check the worker or scheduler of this container; exit code 1 unless it works.

    A worker shows life while it waits and with each image of a batch, the scheduler with each
    answer of the message broker. For health checks of containers; the API has `/livez`.
    """
    from workers.health import signs

    found = signs()
    for one in found:
        typer.echo(f"{one.process}: {one.age:.0f} s ago, {one.allowed:g} s are allowed")
    if not found:
        typer.echo("no worker and no scheduler runs here", err=True)
    raise typer.Exit(0 if found and all(one.is_good for one in found) else 1)


def beat() -> None:
    """Run the scheduler of the Celery workers: exactly one per installation.

    It sends the workers a message every second, so that due work is found even if all other
    messages are lost. A second scheduler does no harm, but is of no use.
    """
    from backend import logs, variables
    from backend.settings import Settings, read_settings
    from workers import scheduler

    settings = read_settings()
    logs.configure(settings.log_level)
    logs.log_uncaught_errors()
    variables.warn_about_unknown(Settings)
    scheduler.run(settings)
