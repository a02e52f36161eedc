"""The command line `lookalike`. A command imports what is heavy only when it runs."""

from __future__ import annotations

import sys

import typer

from backend.cli import (
    backup,
    catalogue,
    database,
    demo,
    evaluate,
    fashion_mnist,
    generations,
    indexing,
    keys,
    projector,
    purge,
    quarantine,
    server,
    similar,
    status,
    train,
    workers,
)
from backend.errors import LookalikeError

app = typer.Typer(
    name="lookalike",
    help="Visual recommendations: import a catalogue, get similar products.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="Settings are read from the environment (`LOOKALIKE_…`) and `.env`; see the README.",
)
app.command("demo")(demo.demo)
app.command("import")(catalogue.import_)
app.command("index")(indexing.index)
app.add_typer(train.train, name="train")
app.command("evaluate")(evaluate.evaluate)
app.command("fashion-mnist")(fashion_mnist.fashion_mnist)
app.command("projector")(projector.projector)
app.command("optimize")(indexing.optimize)
app.command("reindex")(generations.reindex)
app.add_typer(generations.generations, name="generations")
app.command("serve")(server.serve)
app.command("similar")(similar.similar)
app.command("status")(status.status)
app.command("verify")(indexing.verify)
app.add_typer(quarantine.quarantine, name="quarantine")
app.command("purge")(purge.purge)
app.add_typer(keys.keys, name="keys")
app.command("migrate")(database.migrate)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("worker")(workers.worker)
app.command("beat")(workers.beat)


def main() -> None:
    """Run the command line. A LookalikeError becomes one line on stderr and exit code 1."""
    try:
        app()
    except LookalikeError as error:
        typer.secho(f"lookalike: {error.message}", err=True, fg=typer.colors.RED)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
