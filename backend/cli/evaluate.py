"""`lookalike evaluate`: how well embedders recommend, as tables, JSON, or an HTML report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backend import files
from backend.cli.common import Seed, bar, err, out, print_json, services
from backend.cli.evaluation_tables import show_evaluation

if TYPE_CHECKING:
    from backend.bootstrap import Services
    from backend.lab.evaluation.evaluating import EvaluationContext, Evidence
    from backend.lab.evaluation.results import Evaluation

DEFAULT_BY = "article_type,base_colour+article_type"
DEFAULT_HELD_OUT = 0.2


class Index(StrEnum):
    """The products of the index."""

    ALL = "all"
    HELD_OUT = "held-out"


class MetricName(StrEnum):
    """The measure of similarity."""

    COSINE = "cosine"
    EUCLIDEAN = "euclidean"


Embedders = Annotated[
    list[str] | None,
    typer.Option(
        "--embedder",
        metavar="SPEC",
        help="Such as `efficientnet-lite0?pool=max&pca=none`; repeat it to compare others with "
        "the first. Default: the active generation's.",
    ),
]
By = Annotated[
    str,
    typer.Option(
        metavar="FIELD[+FIELD],…",
        help="The labels that make a neighbour relevant: columns or attributes, joined with +.",
    ),
]
Sample = Annotated[
    int | None,
    typer.Option(min=2, help="Products to evaluate, drawn by the seed. Default: all."),
]
PerCategory = Annotated[
    int | None,
    typer.Option(min=1, help="The most products of each category of the first label."),
]
Queries = Annotated[
    int | None, typer.Option(min=1, help="The number of them that are queries. Default: all.")
]
Searched = Annotated[
    Index, typer.Option(help="The index: all products, or only those that are never trained on.")
]
HeldOut = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="Fraction of products that are never trained on, chosen by their sku; only they are "
        f"queries. Default: {DEFAULT_HELD_OUT} with --unseen or --index held-out, 0 otherwise.",
    ),
]
Unseen = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CATEGORY|FRACTION",
        help="Whole categories of the first label that are never trained on: by name (repeat it), "
        "or a fraction of them. The strict cold start.",
    ),
]
Metric = Annotated[MetricName, typer.Option(help="How similarity is measured.")]
Neighbours = Annotated[int, typer.Option("--k", min=1, max=100, help="Neighbours that count.")]
Timed = Annotated[int, typer.Option(min=0, help="Images to measure speed with, or 0.")]
JsonFile = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Write every figure; - prints them.")
]
HtmlFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a report with images, in one file.")
]


def evaluate(
    context: typer.Context,
    embedder: Embedders = None,
    by: By = DEFAULT_BY,
    sample: Sample = None,
    per_category: PerCategory = None,
    queries: Queries = None,
    index: Searched = Index.ALL,
    held_out: HeldOut = None,
    unseen: Unseen = None,
    metric: Metric = MetricName.COSINE,
    k: Neighbours = 5,
    seed: Seed = 0,
    timed: Timed = 64,
    json_file: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """Evaluate embedders by the catalogue's own labels: mAP@k and more, with 95% intervals.

    Each product is a query of an exact search, which leaves out the product itself; a neighbour
    with the same label is relevant. Stored vectors are used, missing ones are computed and stored.
    The command can run beside a server.
    """
    if context.invoked_subcommand:
        return
    from backend.lab.evaluation.evaluating import evaluate as run
    from backend.lab.evaluation.planning import EvaluationOptions
    from backend.lab.evaluation.results import as_json

    hidden = _unseen(unseen or [])
    splits = bool(hidden) or index is Index.HELD_OUT
    options = EvaluationOptions(
        by=tuple(by.split(",")),
        k=k,
        metric=metric.value,
        sample=sample,
        per_category=per_category,
        queries=queries,
        held_out=DEFAULT_HELD_OUT * splits if held_out is None else held_out,
        unseen=hidden,
        index=index.value,
        seed=seed,
        timed=timed,
    )
    with services() as found:
        evaluation, evidence = run(_context(found, embedder or []), options)
        values = as_json(evaluation)
        _keep(found, "json", lambda draft: draft.write_text(_json_text(values), "utf-8"))
        if html:
            _write_report(found, evaluation, evidence, html)
            _keep(found, "html", partial(shutil.copyfile, html))
    print_or_write(values, lambda: show_evaluation(evaluation), json_file)
    if html and json_file != "-":
        out.print(f"Written: {html}")


def print_or_write(values: Any, show: Callable[[], None], json_file: str | None) -> None:
    """Print JSON values where the file is `-`; otherwise show tables, and write the file if any."""
    if json_file == "-":
        print_json(values)
        return
    show()
    if json_file:
        Path(json_file).parent.mkdir(parents=True, exist_ok=True)
        Path(json_file).write_text(_json_text(values), "utf-8")
        out.print(f"Written: {json_file}")


def _json_text(values: Any) -> str:
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def _unseen(given: Sequence[str]) -> tuple[str, ...] | float:
    """Return a fraction, or names; a name may be a number too, such as a year."""
    with suppress(ValueError):
        if len(given) == 1 and 0 < float(given[0]) < 1:
            return float(given[0])
    return tuple(given)


def _context(found: Services, specs: Sequence[str]) -> EvaluationContext:
    from backend import generations
    from backend.lab.evaluation.evaluating import EvaluationContext

    with found.db.read() as session:
        generation = generations.active_or_none(session)
    usual = generation.embedder if generation else found.settings.embedder
    return EvaluationContext(
        db=found.db,
        embedders={spec: found.embedders.named(spec) for spec in specs or [usual]},
        reference=found.embedders.named(found.settings.embedder),
        open_images=found.image_opener.open,
        watch=bar,
    )


def _keep(found: Services, kind: str, write: Callable[[Path], object]) -> None:
    """Keep what was found for the operator's page; a full disk loses only that."""
    try:
        files.replace_file(found.settings.evaluation_file(kind), write)
    except OSError as error:
        err.print(f"Not kept for the operator's page: {error}", style="dim", markup=False)


def _write_report(found: Services, evaluation: Evaluation, evidence: Evidence, path: Path) -> None:
    from backend.cli.sheets import open_image
    from backend.lab.evaluation.report import write_report

    with err.status("Drawing the report"):
        write_report(
            path, evaluation, evidence, open_image=lambda uri, box: open_image(found, uri, box)
        )
