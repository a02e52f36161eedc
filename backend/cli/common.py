"""What the commands share: settings, services, tables and JSON, a progress bar."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
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
    from backend.settings import Settings

out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all random draws.")]


def minute(at: object) -> str:
    """Return a time of a document as people read it, such as `2026-11-30 09:27`."""
    return str(at)[:16].replace("T", " ")


def print_json(value: object) -> None:
    """Print one JSON object to stdout."""
    text = json.dumps(value, indent=2, default=str, ensure_ascii=False)
    # half of a surrogate pair, which a feed may hold, has no UTF-8: it is written as an escape
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")


def settings(**overrides: object) -> Settings:
    """Read the settings and configure logging for a command, which prints its own errors.

    Below the level `error` nothing is logged, unless LOOKALIKE_LOG_LEVEL is set.
    """
    from backend import logs, variables
    from backend.settings import Settings, read_settings

    found = read_settings(**overrides)
    logs.configure("error" if found.log_level == "info" else found.log_level)
    for name, nearest in variables.unknown(Settings).items():
        hint = f"; the nearest is {nearest}" if nearest else ""
        err.print(f"[yellow]Warning:[/yellow] {name} is no setting{hint}.", soft_wrap=True)
    return found


@contextmanager
def services(found: Settings | None = None, *, is_long: bool = False) -> Iterator[Services]:
    """Build the services for one command, and close them at its end.

    A command that `is_long` logs what it does, where nobody sees its progress bar.
    """
    from backend import logs
    from workers.services import build

    found = found or settings()
    if is_long and not sys.stderr.isatty():
        logs.configure(found.log_level)
    with closing(build(found)) as built:
        yield built


@contextmanager
def bar(what: str) -> Iterator[Any]:
    """Show a progress bar with rate and remaining time on stderr; yields `report(done, total)`.

    Without a terminal nothing is shown: the bar would be half a line in somebody's log.
    The rate counts only what is done after the first report: the rest is not this run's work.
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
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        task = progress.add_task(what, total=None, rate="")

        def report(done: int, total: int | None) -> None:
            nonlocal first
            first = done if first is None else first
            rate = (done - first) / max(time.monotonic() - started, 1e-3)
            progress.update(task, completed=done, total=total, rate=f"{rate:,.0f}/s")

        yield report
