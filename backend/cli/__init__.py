"""`lookalike …`: every command that a person types. Heavy imports wait until one needs them."""

from __future__ import annotations

import sys

import typer

from backend.cli import (
    backups,
    catalogue,
    demo,
    evaluate,
    fashion_mnist,
    keys,
    optimizing,
    projector,
    queue,
    reindexing,
    serving,
    similar,
    train,
    working,
)
from backend.errors import LookalikeError

app = typer.Typer(
    name="lookalike",
    help="Visual recommendations: a catalogue comes in, similar products come out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="Settings come from the environment (`LOOKALIKE_…`) and from `.env`; see the README.",
)
app.command("demo")(demo.demo)
app.command("import")(catalogue.import_)
app.command("index")(queue.index)
app.add_typer(train.train, name="train")
app.command("evaluate")(evaluate.evaluate)
app.command("fashion-mnist")(fashion_mnist.fashion_mnist)
app.command("projector")(projector.projector)
app.command("optimize")(optimizing.optimize)
app.command("reindex")(reindexing.reindex)
app.add_typer(reindexing.generations, name="generations")
app.command("serve")(serving.serve)
app.command("similar")(similar.similar)
app.command("status")(queue.status)
app.command("verify")(queue.verify)
app.add_typer(queue.quarantine, name="quarantine")
app.add_typer(keys.keys, name="keys")
app.command("migrate")(serving.migrate)
app.command("backup")(backups.backup)
app.command("restore")(backups.restore)
app.command("worker")(working.worker)
app.command("beat")(working.beat)


def main() -> None:
    """Run the command line; a domain error becomes one line on stderr and exit code 1."""
    try:
        app()
    except LookalikeError as error:
        typer.secho(f"lookalike: {error.message}", err=True, fg=typer.colors.RED)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
