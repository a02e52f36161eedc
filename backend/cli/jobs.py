"""`lookalike jobs`: list the long tasks that operators have requested, and cancel them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.common import AsJson, err, out, print_json, services

if TYPE_CHECKING:
    from backend.database.models import Job

jobs = typer.Typer(help="Long tasks of operators, such as a re-index.", no_args_is_help=True)

Id = Annotated[int, typer.Argument(metavar="ID", help="The job's id.")]


@jobs.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=100)] = 10, as_json: AsJson = False
) -> None:
    """List jobs, the newest first."""
    from backend import jobs as records

    with services() as found, found.db.read() as session:
        items = [_document(job) for job in records.newest(session, limit=limit)]
    if as_json:
        print_json({"items": items})
        return
    table = Table("id", "verb", "state", "done", "total", "created", "error", box=None)
    for item in items:
        total = "-" if item["total"] is None else f"{item['total']:,}"
        waits = f"waits: {item['waits']}" if item["waits"] else ""
        created, error = item["created_at"][:19], escape(item["error"] or waits)
        counts = (f"{item['done']:,}", total)
        table.add_row(str(item["id"]), item["verb"], item["state"], *counts, created, error)
    out.print(table)


@jobs.command()
def cancel(id: Id, as_json: AsJson = False) -> None:
    """End a job. One that is running ends at its next step; a re-index drops what it has built."""
    from backend import jobs as records

    with services() as found:
        job = records.cancel(found.db, id)
        found.notify()
    if as_json:
        print_json(_document(job))
    elif job.state in records.ENDED:
        err.print(f"Job {job.id} is cancelled.")
    else:
        err.print(f"Job {job.id} ends at its next step.")


def _document(job: Job) -> dict[str, Any]:
    names = ("id", "verb", "state", "done", "total", "error")
    moments = ("created_at", "started_at", "finished_at", "cancelled_at")
    found = {name: getattr(job, name) for name in names}
    found["waits"] = None if job.finished_at else (job.result or {}).get("waits")
    return found | {
        name: value.isoformat() if (value := getattr(job, name)) else None for name in moments
    }
