"""Feeds and their runs as `lookalike feeds` prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from backend.cli.common import err, out, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping


def print_job(job_id: int, *, as_json: bool) -> None:
    """Print the id of a job that was requested."""
    if as_json:
        print_json({"job": job_id})
    else:
        err.print(f"Job {job_id} has started; `lookalike feeds list` shows its outcome.")


def print_feed(item: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a feed, with its history if it comes with one."""
    if as_json:
        print_json(item)
        return
    options = ", ".join(f"{name}={value}" for name, value in item["options"].items())
    table = Table(show_header=False, box=None)
    for name, text in (
        ("name", item["name"]),
        ("location", item["location"]),
        ("every", every_of(item)),
        ("options", options),
        ("due", due_of(item)),
    ):
        table.add_row(name, escape(text))
    out.print(table)
    if item.get("runs"):
        out.print(_history(item["runs"]))


def _history(runs: list[dict[str, Any]]) -> Table:
    table = Table("started", "seconds", "outcome", "counts", "reason")
    for each in runs:
        seconds = "-" if each["seconds"] is None else f"{each['seconds']:,.1f}"
        cells = [each["started_at"][:19], seconds, each["outcome"], counts_of(each)]
        table.add_row(*map(escape, [*cells, each["reason"] or ""]))
    return table


def print_run(result: Mapping[str, Any]) -> None:
    """Print the outcome of a run, and its first rejects."""
    out.print(f"{result.get('outcome')}  {counts_of(result)}", highlight=False)
    for reject in result.get("rejects", ()):
        text = f"  line {reject['line']}, sku {reject['sku'] or '?'}: {reject['reason']}"
        err.print(escape(text), highlight=False)
    if result.get("reason"):
        err.print(escape(result["reason"]), style="red", highlight=False)


def every_of(item: Mapping[str, Any]) -> str:
    """Return the interval of a feed."""
    from backend.feeds.options import show_interval

    return show_interval(item["every_seconds"])


def outcome_of(run: Mapping[str, Any] | None) -> str:
    """Return the outcome of a run, and when it began."""
    return f"{run['outcome']} {run['started_at'][:16]}" if run else "-"


def counts_of(run: Mapping[str, Any] | None) -> str:
    """Return the numbers of a run that are not 0."""
    counts = (run or {}).get("counts") or {}
    return "  ".join(f"{name} {number:,}" for name, number in counts.items() if number)


def due_of(item: Mapping[str, Any]) -> str:
    """Return when a feed is imported next."""
    if item["job"]:
        return f"running (job {item['job']})"
    return "paused" if item["paused"] else (item["due_at"] or "on request")[:16]
