"""`lookalike evaluate`: how well embedders recommend, as tables, JSON, or an HTML report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from backend import files
from backend.cli.common import bar, err, out, print_json, services

if TYPE_CHECKING:
    from backend.bootstrap import Services
    from backend.lab.evaluation.evaluating import EvaluationContext, Evidence
    from backend.lab.evaluation.intervals import Estimate
    from backend.lab.evaluation.results import Evaluation, Score

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
    metric: Annotated[
        MetricName, typer.Option(help="How similarity is measured.")
    ] = MetricName.COSINE,
    k: Annotated[int, typer.Option("--k", min=1, max=100, help="Neighbours that count.")] = 5,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all random draws.")] = 0,
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
        text = json.dumps(as_json(evaluation), indent=1, ensure_ascii=False) + "\n"
        _keep(found, "json", lambda draft: draft.write_text(text, "utf-8"))
        if html:
            _write_report(found, evaluation, evidence, html)
            _keep(found, "html", partial(shutil.copyfile, html))
    if json_file == "-":
        print_json(as_json(evaluation))
        return
    show(evaluation)
    if json_file:
        Path(json_file).parent.mkdir(parents=True, exist_ok=True)
        Path(json_file).write_text(text, "utf-8")
    for written in (json_file, html):
        if written:
            out.print(f"Written: {written}")


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


# --- the terminal's tables -------------------------------------------------------------------


def show(evaluation: Evaluation) -> None:
    """Print a table for each label and group of queries, and one of size and speed."""
    for by in evaluation.distribution:
        for group in evaluation.queries:
            scores = [s for s in evaluation.scores if (s.by, s.group) == (by, group)]
            out.print(_score_table(evaluation, scores))
    out.print(_other_table(evaluation))
    if evaluation.calibrations:
        out.print(_match_table(evaluation))
    if evaluation.unusable:
        out.print(f"{evaluation.unusable:,} products left out: their images cannot be used.")


def _table(title: str, *columns: str, caption: str | None = None) -> Table:
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("embedder", overflow="fold", min_width=18)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _score_table(evaluation: Evaluation, scores: Sequence[Score]) -> Table:
    first, k = scores[0], evaluation.options["k"]
    asked = f"{first.queries:,} queries" + ("" if first.group == "all" else f", {first.group}")
    table = _table(
        f"By {escape(first.by)}: {escape(asked)}; {evaluation.index:,} in the index",
        *(f"mAP@{k}", "lead", f"P@{k}", f"R@{k}", "nDCG", "macro"),
        caption=f"{first.skipped:,} more have no relevant product" if first.skipped else None,
    )
    for score in scores:
        plain = [f"{score.metrics[name].value:.3f}" for name in ("precision", "recall", "ndcg")]
        lead = "" if score is first else _lead(score.lead["map"])
        row = (_interval(score.metrics["map"]), lead, *plain, f"{score.macro['map']:.3f}")
        table.add_row(escape(score.embedder), *row)
    return table


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ±{(estimate.high - estimate.low) / 2:.3f}"


def _lead(estimate: Estimate) -> str:
    """Return the lead over the first embedder, in bold where its interval excludes zero."""
    text = f"{estimate.value:+.3f}"
    return f"[bold]{text}[/]" if estimate.low > 0 or estimate.high < 0 else text


def _match_table(evaluation: Evaluation) -> Table:
    """Return a table of the curves of `match`: how far they are off, on average."""
    by = evaluation.calibrations[0].by
    title = f"Match by {escape(by)}: expected calibration error on other products"
    table = _table(title, "error", "neighbours")
    for one in evaluation.calibrations:
        table.add_row(escape(one.embedder), f"{one.error:.3f}", f"{one.pairs:,}")
    return table


def _other_table(evaluation: Evaluation) -> Table:
    """Return a table of the figures that do not depend on labels, for the first group."""
    by, group = next(iter(evaluation.distribution)), next(iter(evaluation.queries))
    table = _table("Not by label", "coverage", "diversity", "size", "MB", "images/s", "speed")
    for one in evaluation.contenders:
        score = evaluation.score(one.spec, by, group)
        table.add_row(
            escape(one.spec),
            f"{score.coverage:.1%}",
            f"{score.metrics['diversity'].value:.3f}",
            str(one.size),
            f"{one.index_mb:.1f}",
            "" if one.images_per_second is None else f"{one.images_per_second:,.0f}",
            "" if one.speed is None else f"{one.speed:.2f}",
        )
    return table
