"""The figures of an evaluation as tables in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich import box
from rich.markup import escape
from rich.table import Table

from backend.cli.common import out
from backend.embedders import short_name

if TYPE_CHECKING:
    from backend.lab.evaluation.intervals import Estimate
    from backend.lab.evaluation.results import Evaluation, Score

NONE: Final = "-"


def show_evaluation(evaluation: Evaluation) -> None:
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
        plain = [figure(score.metrics[name].value) for name in ("precision", "recall", "ndcg")]
        lead = "" if score is first else _lead(score.lead["map"])
        row = (interval(score.metrics["map"]), lead, *plain, figure(score.macro["map"]))
        table.add_row(escape(short_name(score.embedder)), *row)
    return table


def figure(value: float) -> str:
    """Write a figure; `-` where no query has one."""
    return NONE if math.isnan(value) else f"{value:.3f}"


def interval(estimate: Estimate) -> str:
    """Write an estimate with half the width of its 95% interval; `-` where there is none."""
    if math.isnan(estimate.value):
        return NONE
    return f"{estimate.value:.3f} ±{(estimate.high - estimate.low) / 2:.3f}"


def _lead(estimate: Estimate) -> str:
    """Return the lead over the first embedder, in bold where its interval excludes zero."""
    if math.isnan(estimate.value):
        return NONE
    text = f"{estimate.value:+.3f}"
    return f"[bold]{text}[/]" if estimate.low > 0 or estimate.high < 0 else text


def _match_table(evaluation: Evaluation) -> Table:
    """Return a table of the curves of `match`: how far they are off, on average."""
    by = evaluation.calibrations[0].by
    title = f"Match by {escape(by)}: expected calibration error on other products"
    table = _table(title, "error", "neighbours")
    for one in evaluation.calibrations:
        table.add_row(escape(short_name(one.embedder)), f"{one.error:.3f}", f"{one.pairs:,}")
    return table


def _other_table(evaluation: Evaluation) -> Table:
    """Return a table of the figures that do not depend on labels, for the first group."""
    by, group = next(iter(evaluation.distribution)), next(iter(evaluation.queries))
    table = _table("Not by label", "coverage", "diversity", "size", "MB", "images/s", "speed")
    for one in evaluation.contenders:
        score = evaluation.score(one.spec, by, group)
        table.add_row(
            escape(short_name(one.spec)),
            f"{score.coverage:.1%}",
            figure(score.metrics["diversity"].value),
            str(one.size),
            f"{one.index_mb:.1f}",
            "" if one.images_per_second is None else f"{one.images_per_second:,.0f}",
            "" if one.speed is None else f"{one.speed:.2f}",
        )
    return table
