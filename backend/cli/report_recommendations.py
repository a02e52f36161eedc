"""`lookalike report`: what became of what was listed."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich import box
from rich.table import Table

from backend.cli.common import AsJson, out, print_json, services

if TYPE_CHECKING:
    from backend.events.outcomes import ListOutcome

report = typer.Typer(help="What shoppers did with the products of lists.", no_args_is_help=True)


class By(StrEnum):
    """What rows of the report differ in."""

    LIST = "list"
    REASON = "reason"
    GENERATION = "generation"
    PLACEMENT = "placement"
    EXPERIMENT = "experiment"
    ARM = "arm"


COLUMN = {
    By.LIST: "list_name",
    By.REASON: "reason",
    By.GENERATION: "generation_id",
    By.PLACEMENT: "placement",
    By.EXPERIMENT: "experiment",
    By.ARM: "arm",
}
WIDE: Final = 100
"""Columns of a terminal that leaves room between those of the table."""

SHARES: Final = (
    "The percentages are shares of the impressions, with their 95% intervals: click-through under "
    "clicks, add-to-cart under carts."
)
DEFAULT = (By.LIST, By.REASON, By.GENERATION)


@report.command("recommendations")
def recommendations(
    days: Annotated[
        int, typer.Option(min=1, max=3650, help="The number of days, up to today.")
    ] = 28,
    by: Annotated[
        list[By] | None,
        typer.Option(help="What has a row; can be repeated. Default: list, reason and generation."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show click-through, add-to-cart and the share of cold products of each list.

    Only events that name the `recommendation_id` of an answer count, and each kind once for each
    product of an answer. Intervals are of 95%. By placement, experiment or arm, lists are shown
    whose request named a placement, or that an experiment has split.
    """
    from backend.database import clock
    from backend.events import outcomes
    from backend.events.decay import day_of

    columns = [COLUMN[one] for one in by or DEFAULT]
    if {By.PLACEMENT, By.EXPERIMENT, By.ARM} & set(by or ()) and {By.REASON, By.GENERATION} & set(
        by or ()
    ):
        raise typer.BadParameter(
            "reason and generation are not counted by placement or arm", param_hint="--by"
        )
    with services() as found, found.db.read() as session:
        since = day_of(clock.now(session)) - days + 1
        rows = outcomes.report(session, since=since, by=columns)
    if as_json:
        print_json({"days": days, "items": [asdict(row) for row in rows]})
    elif not rows:
        out.print("Nothing was listed, and no event names a recommendation.")
    else:
        out.print(_table(rows, columns))


def _table(rows: list[ListOutcome], columns: list[str]) -> Table:
    """Return a table that fits 80 columns: the share of an act stands below its count."""
    space = 1 if out.width >= WIDE else 0
    table = Table(box=box.SIMPLE_HEAD, padding=(0, space), caption=SHARES, caption_justify="left")
    for column in columns:
        name = column.removesuffix("_name").removesuffix("_id")
        table.add_column("gener-\nation" if name == "generation" else name)
    for name in ("listed", "impres-\nsions", "clicks", "carts", "pur-\nchases", "cold"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            *(str(row.group[column]) for column in columns),
            f"{row.listed:,}",
            f"{row.impressions:,}",
            _act(row.clicks, row.click_through),
            _act(row.carts, row.add_to_cart),
            f"{row.purchases:,}",
            "" if row.cold is None else f"{row.cold:.0%}",
        )
    return table


def _act(count: int, found: tuple[float, float, float] | None) -> str:
    """Return a count, its share of the impressions, and below it the interval of the share."""
    if found is None:
        return f"{count:,}"
    share, low, high = found
    return f"{count:,}  {share:.1%}\n{100 * low:.1f} to {high:.1%}"
