"""`lookalike feeds`: feeds that are imported by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.catalogue import (
    ColumnOfField,
    Decimal,
    Delimiter,
    Encoding,
    Format,
    ImageTemplate,
    MappingFile,
    PruneAtMost,
    read_mapping_options,
)
from backend.cli.common import AsJson, err, out, print_json, services
from backend.cli.following import follow_job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend.bootstrap import Services
    from backend.catalogue.sources.mapping import FeedMapping
    from backend.feeds.options import FeedOptions

feeds = typer.Typer(
    help="Feeds that are fetched and imported by themselves, again and again.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `feeds list` shows it.")]


@feeds.command("add")
def add(
    location: Annotated[
        str,
        typer.Argument(
            metavar="URL|PATH",
            help="An address on an allowed host (LOOKALIKE_FEED_HOSTS), or a file or folder that "
            "the server, or each worker, can read.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Letters, digits, `.`, `_`, `-`; absent: after the location.")
    ] = None,
    every: Annotated[
        str, typer.Option(metavar="30m|4h|2d|never", help="never: only by `feeds run`.")
    ] = "1d",
    mapping: ColumnOfField = None,
    image: ImageTemplate = None,
    mapping_file: MappingFile = None,
    format_: Format = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    decimal: Decimal = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove products that the feed does not hold.")
    ] = False,
    prune_at_most: PruneAtMost = "20%",
    copy_images: Annotated[
        bool, typer.Option("--copy-images", help="Copy a folder's images to the image store.")
    ] = False,
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
        mapping or [], image, mapping_file, format_, delimiter, encoding, decimal
    )
    options = _options(read, prune=prune, prune_at_most=prune_at_most, copy_images=copy_images)
    seconds = parse_interval(every)
    with services() as found:
        if not rows.is_address(location):
            location = rows.checked_path(Path(location))
        hosts = found.settings.hosts_of_feeds
        item = found.db.write(
            lambda session: describe(
                session,
                rows.add(
                    session,
                    location,
                    hosts=hosts,
                    name=name,
                    every_seconds=seconds,
                    options=options,
                ),
            )
        )
        found.notify()
    _print_feed(item, as_json=as_json)


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
        cells = [_outcome(run), _counts(run), _due(item)]
        shown = [item["name"], item["location"], _every(item), *cells]
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
    _print_feed(item, as_json=as_json)


@feeds.command("run")
def run(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="Import it even if it has not changed.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Show the progress until it ends.")] = True,
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
            _print_job(job.id, as_json=as_json)
            return
        result = follow_job(found, job.id, what="Importing").result or {}
    if as_json:
        print_json(result)
    else:
        _print_run(result)
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
    """Stop importing a feed by itself; `feeds run` still does."""
    with services() as found:
        item = _set_paused(found, name, paused=True)
    _print_feed(item, as_json=as_json)


@feeds.command("resume")
def resume(name: Name, as_json: AsJson = False) -> None:
    """Import a paused feed at once, and then regularly again."""
    with services() as found:
        item = _set_paused(found, name, paused=False)
        found.notify()
    _print_feed(item, as_json=as_json)


def _set_paused(found: Services, name: str, *, paused: bool) -> dict[str, Any]:
    from backend.feeds import feeds as rows
    from backend.feeds.describe import describe

    return found.db.write(
        lambda session: describe(session, rows.change(session, name, hosts=(), paused=paused))
    )


# --- what is printed -------------------------------------------------------------------------


def _print_job(job_id: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"job": job_id})
    else:
        err.print(f"Job {job_id} has started; `lookalike feeds list` shows what comes of it.")


def _print_feed(item: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(item)
        return
    options = ", ".join(f"{name}={value}" for name, value in item["options"].items())
    table = Table(show_header=False, box=None)
    for name, text in (
        ("name", item["name"]),
        ("location", item["location"]),
        ("every", _every(item)),
        ("options", options),
        ("due", _due(item)),
    ):
        table.add_row(name, escape(text))
    out.print(table)
    if item.get("runs"):
        out.print(_history(item["runs"]))


def _history(runs: list[dict[str, Any]]) -> Table:
    table = Table("started", "seconds", "outcome", "counts", "reason")
    for each in runs:
        seconds = "-" if each["seconds"] is None else f"{each['seconds']:,.1f}"
        cells = [each["started_at"][:19], seconds, each["outcome"], _counts(each)]
        table.add_row(*map(escape, [*cells, each["reason"] or ""]))
    return table


def _print_run(result: Mapping[str, Any]) -> None:
    out.print(f"{result.get('outcome')}  {_counts(result)}", highlight=False)
    for reject in result.get("rejects", ()):
        text = f"  line {reject['line']}, sku {reject['sku'] or '?'}: {reject['reason']}"
        err.print(escape(text), highlight=False)
    if result.get("reason"):
        err.print(escape(result["reason"]), style="red", highlight=False)


def _every(item: Mapping[str, Any]) -> str:
    from backend.feeds.options import show_interval

    return show_interval(item["every_seconds"])


def _outcome(run: Mapping[str, Any] | None) -> str:
    return f"{run['outcome']} {run['started_at'][:16]}" if run else "-"


def _counts(run: Mapping[str, Any] | None) -> str:
    counts = (run or {}).get("counts") or {}
    return "  ".join(f"{name} {number:,}" for name, number in counts.items() if number)


def _due(item: Mapping[str, Any]) -> str:
    if item["job"]:
        return f"running (job {item['job']})"
    return "paused" if item["paused"] else (item["due_at"] or "on request")[:16]
