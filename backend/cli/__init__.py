"""The command line `lookalike`. A command imports what is heavy only when it runs."""

from __future__ import annotations

import sys
from typing import Final, NoReturn

import structlog
import typer

from backend import logs
from backend.cli import (
    adapt,
    backup,
    catalogue,
    database,
    demo,
    embedders,
    evaluate,
    evaluate_recommendations,
    events,
    experiments,
    export,
    fashion_mnist,
    feeds,
    generations,
    indexing,
    jobs,
    keys,
    placements,
    projector,
    purge,
    quarantine,
    report_recommendations,
    rules,
    server,
    similar,
    status,
    train,
    workers,
)
from backend.errors import LookalikeError

log = structlog.get_logger(__name__)

PROCESSES: Final = {"serve", "worker", "beat"}
"""The commands that run until they are stopped."""

OWN_PACKAGES: Final = {"backend", "workers", "migrations"}
"""If one of these lacks a module, the program is at fault."""

app = typer.Typer(
    name="lookalike",
    help="Visual recommendations: import a catalogue, get similar products.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="Settings: environment variables (`LOOKALIKE_…`) or `.env`; see `.env.example`.",
)
evaluation = typer.Typer(invoke_without_command=True)
evaluation.callback()(evaluate.evaluate)
evaluation.command("recommendations")(evaluate_recommendations.recommendations)

# The groups in which `lookalike --help` shows the commands.
FIRST: Final = "First steps"
CATALOGUE: Final = "The catalogue"
LISTS: Final = "Lists and shoppers"
QUALITY: Final = "Better results"
OPERATION: Final = "Operation"

app.command("demo", rich_help_panel=FIRST)(demo.demo)
app.command("import", rich_help_panel=FIRST)(catalogue.import_)
app.command("index", rich_help_panel=FIRST)(indexing.index)
app.command("serve", rich_help_panel=FIRST)(server.serve)
app.command("similar", rich_help_panel=FIRST)(similar.similar)
app.command("status", rich_help_panel=FIRST)(status.status)
app.add_typer(feeds.feeds, name="feeds", rich_help_panel=CATALOGUE)
app.add_typer(quarantine.quarantine, name="quarantine", rich_help_panel=CATALOGUE)
app.command("purge", rich_help_panel=CATALOGUE)(purge.purge)
app.add_typer(placements.placements, name="placements", rich_help_panel=LISTS)
app.add_typer(rules.rules, name="rules", rich_help_panel=LISTS)
app.add_typer(experiments.experiments, name="experiments", rich_help_panel=LISTS)
app.add_typer(events.events, name="events", rich_help_panel=LISTS)
app.add_typer(report_recommendations.report, name="report", rich_help_panel=LISTS)
app.add_typer(export.export, name="export", rich_help_panel=LISTS)
app.add_typer(evaluation, name="evaluate", rich_help_panel=QUALITY)
app.command("embedders", rich_help_panel=QUALITY)(embedders.embedders)
app.command("adapt", rich_help_panel=QUALITY)(adapt.adapt)
app.command("reindex", rich_help_panel=QUALITY)(generations.reindex)
app.add_typer(generations.generations, name="generations", rich_help_panel=QUALITY)
app.add_typer(train.train, name="train", rich_help_panel=QUALITY)
app.command("projector", rich_help_panel=QUALITY)(projector.projector)
app.command("fashion-mnist", rich_help_panel=QUALITY)(fashion_mnist.fashion_mnist)
app.add_typer(keys.keys, name="keys", rich_help_panel=OPERATION)
app.add_typer(jobs.jobs, name="jobs", rich_help_panel=OPERATION)
app.command("verify", rich_help_panel=OPERATION)(indexing.verify)
app.command("optimize", rich_help_panel=OPERATION)(indexing.optimize)
app.command("backup", rich_help_panel=OPERATION)(backup.backup)
app.command("restore", rich_help_panel=OPERATION)(backup.restore)
app.command("migrate", rich_help_panel=OPERATION)(database.migrate)
app.command("worker", rich_help_panel=OPERATION)(workers.worker)
app.command("beat", rich_help_panel=OPERATION)(workers.beat)
app.command("health", rich_help_panel=OPERATION)(workers.health)


def main() -> None:
    """Run the command line.

    A LookalikeError, a missing package, or a fault of the host or the database, becomes one line on
    stderr and exit code 1.
    """
    try:
        app()
    except LookalikeError as error:
        _end(error.message)
    except Exception as error:
        from backend.bootstrap import explain
        from backend.settings import read_settings

        said = _missing_package(error) or explain(error, read_settings())
        if said is None:
            raise
        _end(said)
    except KeyboardInterrupt:
        sys.exit(130)


def _missing_package(error: Exception) -> str | None:
    """Say which package of others is not installed; None for any other fault."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    package = (error.name or "").partition(".")[0]
    if package in {"", *OWN_PACKAGES}:
        return None
    return (
        f"the package {package} is not installed, and this command needs it: install lookalike "
        "again (docs/deploying.md)"
    )


def _end(reason: str) -> NoReturn:
    """Say why a command failed: on stderr, or as a log line for a process that runs unattended."""
    if sys.argv[1:2] and sys.argv[1] in PROCESSES and not sys.stderr.isatty():
        logs.configure("error")
        log.error("cannot start", error=reason)
    else:
        typer.secho(f"lookalike: {reason}", err=True, fg=typer.colors.RED)
    sys.exit(1)
