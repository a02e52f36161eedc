"""`lookalike adapt`: fit the embedder to this shop's own images, and re-index if it is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.common import AsJson, bar, err, out, print_json, services
from backend.cli.following import follow_job


def adapt(
    try_only: Annotated[
        bool, typer.Option("--try", help="Only measure: store nothing, build no index.")
    ] = False,
    features: Annotated[
        bool,
        typer.Option(
            "--features",
            help="First embed again the images for which an earlier release stored too little.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Adapt the embedder to this shop, and re-index if the shop's labels say that it is better.

    Statistics are fitted to the stored features of images, the names and the variants (`group_id`).
    No image is opened and no network runs, except with `--features`, which embeds images again; it
    goes on where it was interrupted, and a server may run meanwhile. The figures are of products
    whose names and groups were not fitted on. See docs/adaptation.md.
    """
    with services() as found:
        completed = _complete_features(found) if features else {}
        result = {**completed, **(_try(found) if try_only else _adapt(found))}
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
    if incomplete := adaptation.get("incomplete"):
        err.print(
            f"{incomplete['images']:,} of {incomplete['of']:,} images lack features that this "
            "release can fit to, so all were left out: `lookalike adapt --features` embeds these "
            "images again"
        )
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


def _complete_features(found: Any) -> dict[str, Any]:
    """Embed in this process the images whose features are incomplete; return what came of it."""
    from backend import generations
    from backend.embedders import KeepsFeatures
    from backend.indexing import incomplete_features

    with found.db.read() as session:
        current = generations.active(session)
    embedder = found.embedders.of(current)
    if not isinstance(embedder, KeepsFeatures):
        err.print(escape(f"{current.embedder} keeps no features"))
        return {}
    with bar("Embedding") as report:
        completed = incomplete_features.complete(
            found.db, current, embedder, found.image_opener, report=report
        )
    err.print(f"{completed.embedded:,} images were embedded for their features")
    if completed.reason:
        err.print(escape(f"{completed.failed:,} could not be; the first: {completed.reason}"))
    return {"features": {"embedded": completed.embedded, "failed": completed.failed}}


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
