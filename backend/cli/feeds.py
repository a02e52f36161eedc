"""`lookalike feeds`: feeds that the server imports on a schedule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.common import AsJson, out, print_json, services
from backend.cli.feed_tables import (
    counts_of,
    due_of,
    every_of,
    outcome_of,
    print_feed,
    print_job,
    print_run,
)
from backend.cli.following import Wait, follow_job
from backend.cli.mapping_options import (
    ColumnOfField,
    CopyImages,
    Decimal,
    Delimiter,
    Encoding,
    Format,
    ImageTemplate,
    MappingFile,
    Numeric,
    Prune,
    PruneAtMost,
    read_mapping_options,
)

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from backend.bootstrap import Services
    from backend.catalogue.sources.mapping import FeedMapping
    from backend.feeds.options import FeedOptions

feeds = typer.Typer(
    help="Feeds that the server fetches and imports on a schedule.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name, as in `feeds list`.")]


Location = Annotated[
    str,
    typer.Argument(
        metavar="URL|PATH",
        help="An address on an allowed host (LOOKALIKE_FEED_HOSTS), or a file or folder that "
        "the server, or each worker, can read.",
    ),
]
NewName = Annotated[
    str | None,
    typer.Option(help="Letters, digits, `.`, `_`, `-`. Default: made from the location."),
]
Every = Annotated[
    str,
    typer.Option(metavar="30m|4h|2d|never", help="The interval; never: only by `feeds run`."),
]


@feeds.command("add")
def add(
    location: Location,
    name: NewName = None,
    every: Every = "1d",
    mapping: ColumnOfField = None,
    image: ImageTemplate = None,
    mapping_file: MappingFile = None,
    format_: Format = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    decimal: Decimal = None,
    numeric: Numeric = None,
    prune: Prune = False,
    prune_at_most: PruneAtMost = "20%",
    copy_images: CopyImages = False,
    as_json: AsJson = False,
) -> None:
    """Add a feed: the running server, or the workers, import it at once and then regularly.

    It is read like a file of `lookalike import`, with the same options. `feeds show` has the
    history. An address must not hold a user name or password; the values of its query are stored,
    but never shown.
    """
    from backend.feeds import feeds as rows
    from backend.feeds.describe import describe
    from backend.feeds.options import parse_interval

    read = read_mapping_options(
        mapping or [], image, mapping_file, format_, delimiter, encoding, decimal, numeric or []
    )
    options = _options(read, prune=prune, prune_at_most=prune_at_most, copy_images=copy_images)
    seconds = parse_interval(every)
    with services() as found:
        if not rows.is_address(location):
            location = rows.checked_path(Path(location))
        hosts = found.settings.hosts_of_feeds

        def write(session: Session) -> dict[str, Any]:
            feed = rows.add(
                session, location, hosts=hosts, name=name, every_seconds=seconds, options=options
            )
            return describe(session, feed)

        item = found.db.write(write)
        found.notify()
    print_feed(item, as_json=as_json)


def _options(
    mapping: FeedMapping, *, prune: bool, prune_at_most: str, copy_images: bool
) -> FeedOptions:
    from backend.feeds.options import FeedOptions

    return FeedOptions(
        format=mapping.format,
        map=mapping.columns,
        image=mapping.image,
        delimiter=mapping.delimiter,
        encoding=mapping.encoding,
        decimal=mapping.decimal,
        numeric=list(mapping.numeric),
        prune=prune,
        prune_at_most=prune_at_most,
        copy_images=copy_images,
    )


@feeds.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the feeds, each with its last run."""
    from backend.feeds import feeds as rows
    from backend.feeds.describe import describe_all

    with services() as found, found.db.read() as session:
        items = describe_all(session, rows.listed(session))
    if as_json:
        print_json({"items": items})
        return
    table = Table("name", "location", "every", "last run", "counts", "due")
    for item in items:
        run = item["last_run"]
        cells = [outcome_of(run), counts_of(run), due_of(item)]
        shown = [item["name"], item["location"], every_of(item), *cells]
        table.add_row(*map(escape, shown))
    out.print(table if items else "There are no feeds.")


@feeds.command("show")
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a feed and its history, the newest run first."""
    from backend.feeds import feeds as rows
    from backend.feeds import runs
    from backend.feeds.describe import describe, describe_run

    with services() as found, found.db.read() as session:
        feed = rows.by_name(session, name)
        history = runs.history(session, feed.id, limit=runs.KEPT)
        item = describe(session, feed) | {"runs": [describe_run(run) for run in history]}
    print_feed(item, as_json=as_json)


@feeds.command("run")
def run(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Import it even if it has not changed.")
    ] = False,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Import a feed now. If no server and no worker runs, this command does it.

    Exits with 1 if the run failed, ended early, or removed nothing although it should have.
    """
    from backend.feeds import feeds as rows
    from backend.feeds import schedule

    with services() as found:
        job = found.db.write(
            lambda session: schedule.request(session, rows.by_name(session, name).id, force=force)
        )
        found.notify()
        if not wait:
            print_job(job.id, as_json=as_json)
            return
        result = follow_job(found, job.id, what="Importing").result or {}
    if as_json:
        print_json(result)
    else:
        print_run(result)
    if result.get("reason"):
        raise typer.Exit(1)


@feeds.command("remove")
def remove(name: Name) -> None:
    """Remove a feed and its history; the products stay."""
    from backend.feeds import feeds as rows

    with services() as found:
        found.db.write(lambda session: rows.remove(session, name))
    out.print(f"Removed {escape(name)}.", highlight=False)


@feeds.command("pause")
def pause(name: Name, as_json: AsJson = False) -> None:
    """Stop the automatic imports of a feed; `feeds run` still imports it."""
    with services() as found:
        item = _set_paused(found, name, paused=True)
    print_feed(item, as_json=as_json)


@feeds.command("resume")
def resume(name: Name, as_json: AsJson = False) -> None:
    """Import a paused feed at once, and then regularly again."""
    with services() as found:
        item = _set_paused(found, name, paused=False)
        found.notify()
    print_feed(item, as_json=as_json)


def _set_paused(found: Services, name: str, *, paused: bool) -> dict[str, Any]:
    from backend.feeds import feeds as rows
    from backend.feeds.describe import describe

    return found.db.write(
        lambda session: describe(session, rows.change(session, name, hosts=(), paused=paused))
    )
