"""`lookalike reindex` and `lookalike generations`: build, promote and drop generations."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.common import AsJson, err, minute, out, print_json, services
from backend.cli.following import Wait, follow_job
from backend.embedders import short_name

if TYPE_CHECKING:
    from backend.bootstrap import Services
    from backend.database.models import Job

generations = typer.Typer(
    help="Generations of the index: one is active, others are being built or on standby.",
    no_args_is_help=True,
)


class Promote(StrEnum):
    """When a new generation becomes the active one."""

    AUTO = "auto"
    MANUAL = "manual"


class Quantization(StrEnum):
    """How an index keeps vectors in memory."""

    INT8 = "int8"
    NONE = "none"


Force = Annotated[bool, typer.Option("--force", help="Go on even if a check fails.")]
Id = Annotated[int, typer.Argument(metavar="ID", help="The generation's id.")]


Embedder = Annotated[
    str | None,
    typer.Option(help="A name, with ?option=value&…; absent: as in the active generation."),
]
Quantized = Annotated[
    Quantization | None, typer.Option(help="Absent: as in the active generation.")
]
Hnsw = Annotated[
    str | None,
    typer.Option(metavar="m=16,ef_construct=100", help="Parameters of the HNSW graph."),
]
PromotedWhen = Annotated[
    Promote,
    typer.Option(help="auto: when it passes the checks; manual: by `generations promote`."),
]
Adapt = Annotated[
    bool, typer.Option(help="First adapt the embedder to this shop, where it is better.")
]


def reindex(
    embedder: Embedder = None,
    quantization: Quantized = None,
    hnsw: Hnsw = None,
    promote: PromotedWhen = Promote.AUTO,
    force: Force = False,
    adapt: Adapt = True,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Build a new generation beside the active one, while queries and writes go on.

    With the same embedder it is filled from stored vectors: no image is opened. If it passes the
    checks of docs/reindexing.md, it becomes the active one. `lookalike generations rollback` goes
    back to the old one.
    """
    from backend import reindex as reindexes

    plan = reindexes.ReindexPlan(
        embedder=embedder,
        quantization=quantization.value if quantization else None,
        hnsw=_numbers(hnsw or ""),
        promote=promote.value,
        force=force,
        adapt="auto" if adapt else "off",
    )
    with services() as found:
        job = reindexes.request(found.db, plan)
        found.notify()
        if not wait:
            _print_job(job, as_json=as_json)
            return
        job = follow_job(found, job.id, what="Re-indexing")
    _print_item(job.result or {}, as_json=as_json)


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
    from backend import reindex as reindexes

    with services() as found:
        with found.db.read() as session:
            listed = reindexes.listed(session)
        items = [reindexes.describe(found.db, row) for row in listed]
    if as_json:
        print_json({"items": items})
        return
    table = Table("id", "state")
    table.add_column("embedder", overflow="fold")
    for name in (*_COUNTS, "since"):
        table.add_column(name)
    for item in items:
        counts = ["-" if item[n] is None else f"{item[n]:,}" for n in _COUNTS]
        since = item["retired_at"] or item["promoted_at"] or item["created_at"]
        embedder = escape(short_name(item["embedder"]))
        table.add_row(str(item["id"]), item["state"], embedder, *counts, minute(since))
    out.print(table)


_COUNTS = ("indexed", "pending", "quarantined")


@generations.command()
def show(id: Id, as_json: AsJson = False) -> None:
    """Show a generation, and the results of its last checks."""
    from backend import reindex as reindexes

    with services() as found:
        item = reindexes.described(found.db, id)
    _print_item(item, as_json=as_json)


@generations.command("promote")
def promote_generation(
    id: Annotated[
        int | None, typer.Argument(metavar="[ID]", help="Absent: the one that is being built.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Check a generation and make it the active one; the old one becomes the standby."""
    from backend import reindex as reindexes

    with services() as found:
        asked = reindexes.request_promotion(found.db, id, force=force)
        found.notify()
        job = follow_job(found, asked.id, what="Checking")
    _print_item(job.result or {}, as_json=as_json)


@generations.command()
def rollback(force: Force = False, as_json: AsJson = False) -> None:
    """Make the standby the active generation again, at once."""
    with services() as found:
        item = _roll_back(found, force=force)
    _print_item(item, as_json=as_json)


def _roll_back(found: Services, *, force: bool) -> dict[str, Any]:
    """Roll back in this process if it can open the index; otherwise let the owner do it."""
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
    """Retire a generation that is not the active one; its data is deleted in the background."""
    from backend import generations as rows
    from backend import reindex as reindexes

    with services() as found:
        rows.drop(found.db, id)
        found.notify()
        item = reindexes.described(found.db, id)
    _print_item(item, as_json=as_json)


def _print_job(job: Job, *, as_json: bool) -> None:
    if as_json:
        print_json({"job": job.id})
    else:
        err.print(f"Job {job.id} has started; `lookalike generations list` shows its progress.")


def _print_item(item: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(item)
        return
    table = Table(show_header=False, box=None)
    for name, value in item.items():
        if name not in ("quality", "index_options") and value is not None:
            table.add_row(name, escape(str(value)))
    out.print(table)
    if item.get("quality"):
        out.print(_checks_table(item["quality"]))


def _checks_table(quality: dict[str, Any]) -> Table:
    title = f"Checked at {quality['checked_at'][:19]}" + (", forced" if quality["forced"] else "")
    table = Table("check", "found", "bound", "", title=title, title_justify="left")
    for name, check in quality["checks"].items():
        shown = [_format(check["value"]), _format(check["bound"])]
        table.add_row(name, *shown, "ok" if check["passed"] else check["says"])
    return table


def _format(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
