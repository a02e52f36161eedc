"""`lookalike evaluate recommendations`: how good lists for shoppers are, by what they did later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich import box
from rich.table import Table

from backend.cli.common import Seed, bar, err, out, services
from backend.cli.evaluate import JsonFile, print_or_write
from backend.cli.evaluation_tables import interval
from backend.cli.events import ColumnOfMember, KindOfAll, columns_of

if TYPE_CHECKING:
    from backend.lab.recommending.comparing import Comparison, GroupScores

WIDE: Final = 98
"""Columns of a terminal that leave room for a blank on both sides of each figure."""

TITLES = {
    "known": "Shoppers with a history",
    "new": "Shoppers without a history",
    "cold": "Shoppers with a history; only products whose events are all held back are right",
}


Events = Annotated[
    Path, typer.Option(exists=True, dir_okay=False, help="As `lookalike events import` reads it.")
]
Later = Annotated[
    float,
    typer.Option(
        min=0.01, max=0.9, help="The share of events that are predicted: the latest ones."
    ),
]
Cold = Annotated[float, typer.Option(min=0, max=0.9, help="The share of products treated as new.")]
Shoppers = Annotated[
    int, typer.Option(min=2, help="The most shoppers of each group, drawn by the seed.")
]
Places = Annotated[int, typer.Option("--k", min=1, max=100, help="Places of a list.")]


def recommendations(
    events: Events,
    mapping: ColumnOfMember = None,
    kind: KindOfAll = None,
    later: Later = 0.2,
    cold: Cold = 0.2,
    shoppers: Shoppers = 1000,
    k: Places = 10,
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Evaluate lists for shoppers: predict their later events from the earlier ones.

    The product's own lists are compared with what is popular, looks only, together only and random
    ones. The catalogue and its vectors are copied, so the command can run beside a server; no event
    is stored in the shop's database.
    """
    from backend.events.event_file import EventFile
    from backend.lab.evaluation.results import as_json
    from backend.lab.recommending.comparing import Options, compare

    source = EventFile(events, columns=columns_of(mapping), kind=kind)
    options = Options(k=k, later=later, cold=cold, shoppers=shoppers, seed=seed)
    with services() as found:
        comparison = compare(found.db, source.read(), options, watch=bar)
    print_or_write(as_json(comparison), lambda: _show(comparison), json_file)


def _show(comparison: Comparison) -> None:
    events = comparison.events
    if events.rejected or events.unknown:
        err.print(
            f"{events.rejected:,} of {events.rows:,} rows rejected, {events.unknown:,} name a "
            "product that is not found.",
            highlight=False,
        )
    for group in comparison.groups:
        out.print(_table(group, comparison.options["k"]))
    out.print(
        f"{comparison.products:,} products, {comparison.cold_products:,} of them treated as new "
        f"in the last table. Events from {comparison.split_at} on were to be predicted.",
        highlight=False,
    )


def _table(group: GroupScores, k: int) -> Table:
    table = Table(
        title=f"{TITLES[group.group]}: {group.shoppers:,}, {group.right:.1f} products each",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        padding=(0, 1 if out.width >= WIDE else 0),
    )
    table.add_column("list", overflow="fold", min_width=15)
    for column in (f"hit@{k}", "lead", f"recall@{k}", "nDCG", "coverage", "novelty", "cold"):
        table.add_column(column, justify="right", no_wrap=True)
    for score in group.scores:
        metrics, is_first = score.metrics, score is group.scores[0]
        table.add_row(
            score.contender,
            interval(metrics["hit"]),
            "" if is_first else f"{score.lead['hit'].value:+.3f}",
            interval(metrics["recall"]),
            f"{metrics['ndcg'].value:.3f}",
            f"{score.coverage:.1%}",
            f"{metrics['novelty'].value:.1f}",
            f"{metrics['cold_share'].value:.0%}",
        )
    return table
