"""`lookalike events`: what shoppers do, from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from backend.cli.common import AsJson, bar, err, out, print_json, services
from backend.events.kinds import Kind

if TYPE_CHECKING:
    from backend.database.engine import Database
    from backend.events.importing import EventReport

events = typer.Typer(help="What shoppers do: views, carts, purchases.", no_args_is_help=True)


EventsFile = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="CSV, JSON lines or Parquet.")
]
ColumnOfMember = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="MEMBER=COLUMN", help="Such as user=customer_id."),
]
KindOfAll = Annotated[
    Kind | None, typer.Option(help="The kind of all events, if no column has it.")
]


@events.command("import")
def import_(
    file: EventsFile,
    mapping: ColumnOfMember = None,
    kind: KindOfAll = None,
    as_json: AsJson = False,
) -> None:
    """Store the events of a file, each once: the same file again changes nothing.

    Columns with the usual names are recognised. Times are ISO 8601, or seconds or milliseconds
    since 1970; without a zone they are UTC. Bad rows are listed, the others are stored. The running
    server, or the workers, count pairs and trends from them; without one, this command does.
    """
    from backend.events.event_file import EventFile
    from backend.events.importing import import_events

    source = EventFile(file, columns=columns_of(mapping), kind=kind)
    with services(is_long=True) as found:
        with bar("Importing") as progress:
            report = import_events(
                found.db, source.read(), days=found.settings.event_days, report_to=progress
            )
        _count(found.db)
    if as_json:
        print_json(asdict(report))
    else:
        _show(report)
    raise typer.Exit(1 if report.rows and report.rejected == report.rows else 0)


def _count(db: Database) -> None:
    from backend.events import counting

    counted = 0
    with bar("Counting") as progress:
        while some := counting.count_some(db):
            counted += some
            progress(counted, None)


def _show(report: EventReport) -> None:
    out.print(
        f"{report.rows:,} rows: {report.stored:,} stored, {report.duplicates:,} were stored "
        f"before, {report.unknown:,} wait for their product, {report.rejected:,} rejected.",
        highlight=False,
    )
    for reject in report.rejects:
        err.print(escape(f"line {reject['line']}: {reject['reason']}"), highlight=False)


def columns_of(mapping: Sequence[str] | None) -> dict[str, str]:
    """Return {our member: their column} of `--map`; raises ConfigurationError."""
    from backend.errors import ConfigurationError

    pairs = [text.partition("=") for text in mapping or ()]
    if wrong := [member for member, equals, column in pairs if not (equals and column)]:
        raise ConfigurationError(f"--map {wrong[0]}: write member=column")
    return {member: name for member, _, name in pairs}
