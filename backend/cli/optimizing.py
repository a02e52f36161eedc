"""`lookalike optimize`: give the embedded index a graph."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from backend.cli.common import AsJson, out, print_json, run_job, services


def optimize(
    generation: Annotated[
        int | None, typer.Option(help="The generation's number; the active one by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build the embedded index anew, with a graph that makes searches of many products fast.

    A process beside the server builds it; queries are answered and writes accepted all the while.
    The server also does so by itself, from LOOKALIKE_OPTIMIZE_POINTS products on.
    """
    arguments = {} if generation is None else {"generation": generation}
    with services() as found:
        result = run_job(found, "optimize", arguments, what="Optimizing").result or {}
    if as_json:
        print_json(result)
        return
    table = Table(show_header=False, box=None)
    for name, value in result.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    out.print(table)
