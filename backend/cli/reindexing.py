"""`lookalike reindex` and `lookalike generations`: another index beside the one that answers."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from backend.cli.common import AsJson, err, follow_job, out, print_json, services

if TYPE_CHECKING:
    from backend.bootstrap import Services
    from backend.database.models import Job

generations = typer.Typer(
    help="The indexes there are: one answers, one may be building, one stands by.",
    no_args_is_help=True,
)


class Promote(StrEnum):
    """When a new index takes over."""

    AUTO = "auto"
    MANUAL = "manual"


class Quantization(StrEnum):
    """How an index keeps vectors in memory."""

    INT8 = "int8"
    NONE = "none"


Force = Annotated[bool, typer.Option("--force", help="Pass over numbers that are not good enough.")]
Id = Annotated[int, typer.Argument(metavar="ID", help="The generation's number.")]


def reindex(
    embedder: Annotated[
        str | None, typer.Option(help="Its name, with ?option=value&…; absent: the same again.")
    ] = None,
    quantization: Annotated[Quantization | None, typer.Option(help="Absent: as it is.")] = None,
    hnsw: Annotated[
        str | None, typer.Option(metavar="m=16,ef_construct=100", help="How its graph is built.")
    ] = None,
    promote: Annotated[
        Promote, typer.Option(help="auto: as soon as it is good enough; manual: on command.")
    ] = Promote.AUTO,
    force: Force = False,
    wait: Annotated[bool, typer.Option(help="Follow it to its end.")] = True,
    as_json: AsJson = False,
) -> None:
    """Build another index beside the active one; queries and writes go on all the while.

    Without another embedder it is filled from stored vectors: no image is opened. It takes over if
    it passes the checks of docs/reindexing.md, and `lookalike generations rollback` goes back.
    """
    from backend import reindex as reindexing

    plan = reindexing.ReindexPlan(
        embedder=embedder,
        quantization=quantization.value if quantization else None,
        hnsw=_numbers(hnsw or ""),
        promote=promote.value,
        force=force,
    )
    with services() as found:
        job = reindexing.request(found.db, plan)
        found.notify()
        if not wait:
            _tell_job(job, as_json=as_json)
            return
        job = follow_job(found, job.id, what="Re-indexing")
    _tell(job.result or {}, as_json=as_json)


def _numbers(text: str) -> dict[str, int]:
    """Parse `m=16,ef_construct=100`."""
    found = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if not value.strip().isdecimal():
            raise typer.BadParameter("expected m=16,ef_construct=100", param_hint="--hnsw")
        found[name.strip()] = int(value)
    return found


@generations.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all generations, the newest first."""
    from backend import reindex as reindexing

    with services() as found, found.db.read() as session:
        items = [reindexing.describe(session, row) for row in reindexing.listed(session)]
    if as_json:
        print_json({"items": items})
        return
    table = Table("id", "state", "embedder", "indexed", "pending", "quarantined", "since")
    for item in items:
        counts = ["-" if item[n] is None else f"{item[n]:,}" for n in _COUNTS]
        since = item["retired_at"] or item["promoted_at"] or item["created_at"]
        table.add_row(str(item["id"]), item["state"], item["embedder"], *counts, since[:19])
    out.print(table)


_COUNTS = ("indexed", "pending", "quarantined")


@generations.command()
def show(id: Id, as_json: AsJson = False) -> None:
    """Show a generation, and the numbers of its last check."""
    from backend import generations as rows
    from backend import reindex as reindexing

    with services() as found, found.db.read() as session:
        item = reindexing.describe(session, rows.by_id(session, id))
    _tell(item, as_json=as_json)


@generations.command()
def promote(
    id: Annotated[
        int | None, typer.Argument(metavar="[ID]", help="Absent: the one that is building.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Check a generation, and make it the one that answers; the one before it stands by."""
    from backend import reindex as reindexing

    with services() as found:
        asked = reindexing.request_promotion(found.db, id, force=force)
        found.notify()
        job = follow_job(found, asked.id, what="Checking")
    _tell(job.result or {}, as_json=as_json)


@generations.command()
def rollback(force: Force = False, as_json: AsJson = False) -> None:
    """Go back to the generation that stands by, at once."""
    with services() as found:
        item = _roll_back(found, force=force)
    _tell(item, as_json=as_json)


def _roll_back(found: Services, *, force: bool) -> dict[str, Any]:
    """Do it here if this process may look into the index; else its owner does."""
    from backend import jobs
    from backend.errors import IndexLocked

    if not found.writes_index:
        try:
            found.owner.acquire()
        except IndexLocked:
            job_id = jobs.write(found.db, "rollback", {"force": force})
            found.notify()
            return follow_job(found, job_id, what="Rolling back").result or {}
    return found.promoter.roll_back(force=force)


@generations.command()
def drop(id: Id, as_json: AsJson = False) -> None:
    """Give up a generation that does not answer; what it holds is deleted in the background."""
    from backend import generations as rows
    from backend import reindex as reindexing

    with services() as found:
        rows.drop(found.db, id)
        found.notify()
        with found.db.read() as session:
            item = reindexing.describe(session, rows.by_id(session, id))
    _tell(item, as_json=as_json)


def _tell_job(job: Job, *, as_json: bool) -> None:
    if as_json:
        print_json({"job": job.id})
    else:
        err.print(f"Job {job.id} is under way; `lookalike generations list` shows how far it is.")


def _tell(item: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(item)
        return
    table = Table(show_header=False, box=None)
    for name, value in item.items():
        if name not in ("quality", "index_options") and value is not None:
            table.add_row(name, str(value))
    out.print(table)
    if item.get("quality"):
        out.print(_checks(item["quality"]))


def _checks(quality: dict[str, Any]) -> Table:
    title = f"Checked at {quality['checked_at'][:19]}" + (", forced" if quality["forced"] else "")
    table = Table("check", "found", "bound", "", title=title, title_justify="left")
    for name, check in quality["checks"].items():
        shown = [_number(check["value"]), _number(check["bound"])]
        table.add_row(name, *shown, "ok" if check["passed"] else check["says"])
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
