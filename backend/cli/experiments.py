"""`lookalike experiments`: shoppers are split between two placements or two generations."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.common import AsJson, out, print_json, services

experiments = typer.Typer(
    help="Split shoppers between two placements or two generations.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Such as `home-diverse`.")]


@experiments.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the experiments, with the click-through of both arms."""
    from backend.events import arms
    from backend.merchandising import experiments as rows

    with services() as found, found.db.read() as session:
        items = [arms.describe(session, it) for it in rows.listed(session)]
    if as_json:
        print_json({"items": items})
        return
    table = Table("name", "splits", "tries", "state", "arm", "impressions", "click-through")
    for item in items:
        tried = item["against"] or f"generation {item['generation']}"
        first = [escape(item["name"]), escape(item["placement"] or ""), escape(tried)]
        for arm in item["arms"]:
            shown = [arm["arm"], f"{arm['impressions']:,}", _share(arm["click_through"])]
            table.add_row(*first, item["state"] if first[0] else "", *shown)
            first = ["", "", ""]
        if item["reason"]:
            table.add_row("", "", "", escape(item["reason"]))
    out.print(table if items else "There are no experiments.")


@experiments.command("put")
def put(
    name: Name,
    placement: Annotated[
        str | None, typer.Option(help="Requests that name this placement are split.")
    ] = None,
    against: Annotated[str | None, typer.Option(help="The placement that is tried.")] = None,
    generation: Annotated[int | None, typer.Option(help="Or the generation that is tried.")] = None,
    share: Annotated[float, typer.Option(help="The share of shoppers who get it.")] = 0.5,
    as_json: AsJson = False,
) -> None:
    """Start an experiment, or change the share of a running one; it acts at once."""
    from backend.events import arms
    from backend.merchandising import experiments as rows

    wanted = rows.ExperimentPlan(
        placement=placement, against=against, generation_id=generation, share=share
    )
    with services() as found:
        item = found.db.write(
            lambda session: arms.describe(session, rows.put(session, name, wanted)[0])
        )
    _said(item, as_json)


@experiments.command("stop")
def stop(name: Name, as_json: AsJson = False) -> None:
    """Stop an experiment: all shoppers get the control."""
    from backend.events import arms
    from backend.merchandising import experiments as rows

    with services() as found:
        item = found.db.write(
            lambda session: arms.describe(session, rows.stop(session, name, "stopped by command"))
        )
    _said(item, as_json)


@experiments.command("remove")
def remove(name: Name) -> None:
    """Remove an experiment; what was counted stays in the report."""
    from backend.merchandising import experiments as rows

    with services() as found:
        found.db.write(lambda session: rows.remove(session, name))
    out.print(f"Removed {escape(name)}.")


def _said(item: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(item)
    else:
        out.print(f"{escape(item['name'])} is {item['state']}.")


def _share(found: list[float] | None) -> str:
    return "" if found is None else f"{found[0]:.1%} ({found[1]:.1%} to {found[2]:.1%})"
