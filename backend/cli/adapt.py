"""`lookalike adapt`: fit the embedder to this shop's own images, and re-index if it is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.common import AsJson, err, out, print_json, services
from backend.cli.following import follow_job


def adapt(
    try_only: Annotated[
        bool, typer.Option("--try", help="Only measure: store nothing, build no index.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fit the embedder's statistics to this shop, and re-index if its own labels say it is better.

    The features that are kept of each image are used: no image is opened and no network runs.
    Variants (`group_id` in the feed) show which differences to ignore. The figures are of products
    whose groups were not fitted on. See docs/adaptation.md.
    """
    with services() as found:
        result = _try(found) if try_only else _adapt(found)
    if as_json:
        print_json(result)
        return
    if result["adaptation"].get("before"):
        out.print(_table(result["adaptation"]))
    say_outcome(result, tried=try_only)


def say_outcome(result: Mapping[str, Any], *, tried: bool = False) -> None:
    """Print on stderr what an adaptation chose, and what came of it."""
    adaptation = result["adaptation"]
    if "chosen" in adaptation:
        chosen = ", ".join(f"{name} {value}" for name, value in adaptation["chosen"].items())
        err.print(f"chosen: {escape(chosen)}; {adaptation['queries']:,} queries")
    err.print(escape(_outcome(result, tried=tried)))


def _outcome(result: Mapping[str, Any], *, tried: bool) -> str:
    adaptation = result["adaptation"]
    if adaptation["embedder"] is None:
        return f"not adapted: {adaptation['reason']}"
    if "refused" in result:
        return f"not adapted: {result['refused']}"
    if tried:
        return f"{adaptation['reason']}: `lookalike adapt` would re-index with it"
    return f"generation {result['id']} is {result['state']}: {adaptation['reason']}"


def _try(found: Any) -> dict[str, Any]:
    from backend import adaptation, generations

    with found.db.read() as session:
        current = generations.active(session)
    tried = adaptation.adapt(found.db, spec=current.embedder, features=current.features, keep=False)
    return {"adaptation": tried.as_json()}


def _adapt(found: Any) -> dict[str, Any]:
    from backend import reindex

    job = reindex.request(found.db, reindex.ReindexPlan(adapt="only"))
    found.notify()
    result: dict[str, Any] = follow_job(found, job.id, what="Adapting").result or {}
    return result


def _table(adaptation: Mapping[str, Any]) -> Table:
    table = Table("", "before", "after")
    for name, after in adaptation["after"].items():
        table.add_row(name, f"{adaptation['before'][name]:.3f}", f"{after:.3f}")
    return table
