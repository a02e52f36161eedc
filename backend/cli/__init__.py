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

app = typer.Typer(
    name="lookalike",
    help="Visual recommendations: import a catalogue, get similar products.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="Settings: environment variables (`LOOKALIKE_…`) or `.env`; see `.env.example`.",
)
app.command("demo")(demo.demo)
app.command("import")(catalogue.import_)
app.command("index")(indexing.index)
app.add_typer(train.train, name="train")
evaluation = typer.Typer(invoke_without_command=True)
evaluation.callback()(evaluate.evaluate)
evaluation.command("recommendations")(evaluate_recommendations.recommendations)
app.add_typer(evaluation, name="evaluate")
app.command("fashion-mnist")(fashion_mnist.fashion_mnist)
app.command("projector")(projector.projector)
app.command("optimize")(indexing.optimize)
app.command("reindex")(generations.reindex)
app.command("adapt")(adapt.adapt)
app.command("embedders")(embedders.embedders)
app.add_typer(generations.generations, name="generations")
app.command("serve")(server.serve)
app.command("similar")(similar.similar)
app.add_typer(export.export, name="export")
app.command("status")(status.status)
app.command("verify")(indexing.verify)
app.add_typer(feeds.feeds, name="feeds")
app.add_typer(placements.placements, name="placements")
app.add_typer(experiments.experiments, name="experiments")
app.add_typer(rules.rules, name="rules")
app.add_typer(events.events, name="events")
app.add_typer(report_recommendations.report, name="report")
app.add_typer(quarantine.quarantine, name="quarantine")
app.command("purge")(purge.purge)
app.add_typer(jobs.jobs, name="jobs")
app.add_typer(keys.keys, name="keys")
app.command("migrate")(database.migrate)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("worker")(workers.worker)
app.command("beat")(workers.beat)
app.command("health")(workers.health)


def main() -> None:
    """Run the command line.

    A LookalikeError, or a fault of the host or the database, becomes one line on stderr and exit
    code 1.
    """
    try:
        app()
    except LookalikeError as error:
        _end(error.message)
    except Exception as error:
        from backend.bootstrap import explain
        from backend.settings import read_settings

        said = explain(error, read_settings())
        if said is None:
            raise
        _end(said)
    except KeyboardInterrupt:
        sys.exit(130)


def _end(reason: str) -> NoReturn:
    """Say why a command failed: on stderr, or as a log line for a process that runs unattended."""
    if sys.argv[1:2] and sys.argv[1] in PROCESSES and not sys.stderr.isatty():
        logs.configure("error")
        log.error("cannot start", error=reason)
    else:
        typer.secho(f"lookalike: {reason}", err=True, fg=typer.colors.RED)
    sys.exit(1)
