"""`lookalike export`: lists of all products in a file, for shops that keep them themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from backend.cli.api_client import ApiClient
from backend.cli.common import AsJson, bar, err, out, print_json, services
from backend.cli.list_export import ListExport, check_format
from backend.cli.query_options import Where, pair
from backend.errors import LookalikeError
from backend.filters import Condition, Scalar

export = typer.Typer(help="Write lists of all products into a file.", no_args_is_help=True)

Products = Annotated[
    list[str] | None,
    typer.Option(
        "--products",
        metavar="FIELD=VALUE",
        help="Only the lists of products that pass this filter, such as `in_stock=true`; can be "
        "repeated.",
    ),
]


OutFile = Annotated[
    Path,
    typer.Option("--out", help="The file; .ndjson, .jsonl or .parquet.", dir_okay=False),
]
Placement = Annotated[str | None, typer.Option(help="The placement whose settings the lists have.")]
Length = Annotated[
    int | None,
    typer.Option(min=1, max=100, help="Length of each list; 10, or as the placement says."),
]
Restart = Annotated[
    bool,
    typer.Option("--restart", help="Start again, even if a killed run could be continued."),
]


@export.callback()
def _export() -> None:
    """Write lists of all products into a file."""


@export.command("similar")
def similar(
    file: OutFile,
    placement: Placement = None,
    limit: Length = None,
    where: Where = None,
    products: Products = None,
    restart: Restart = False,
    as_json: AsJson = False,
) -> None:
    """Write the products that look like each product.

    A line of the file has `sku` and `items`, each with `sku` and `score`, best first. All lists are
    of one generation. The same command goes on with a run that was killed. If a server is running,
    the command asks it over HTTP.
    """
    check_format(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    given = {"placement": placement, "limit": limit}
    with services(is_long=True) as found:
        lists = {name: value for name, value in given.items() if value}
        made = ListExport(
            file,
            asked={"fields": ["sku"], **lists, **_filter(where or [], found.settings.facets)},
            products=[pair(it) for it in products or []],
            at_once=min(100, found.settings.max_batch),
        )
        is_resumed = _begin(made, restart=restart)
        ask = ApiClient(found).ask
        _write(made, ask, total=None if products else ask("/v1/status")["products"])
    _show(made, is_resumed=is_resumed, seconds=time.monotonic() - began, as_json=as_json)


def _begin(made: ListExport, *, restart: bool) -> bool:
    """Go on with a killed run, unless it is to `restart`; return whether there was one."""
    if restart:
        made.restart()
    is_resumed = made.resume()
    if is_resumed:
        err.print(f"Going on after {made.progress.products:,} products.", highlight=False)
    return is_resumed


def _write(made: ListExport, ask: Callable[..., Any], *, total: int | None) -> None:
    """Ask for all lists that are missing, and write the file; `total` is for the progress bar."""
    try:
        with bar("lists") as report:
            report(made.progress.products, total)
            for now in made.parts(ask):
                report(now.products, total)
    except LookalikeError as error:
        raise _explained(error) from None
    made.finish()


def _filter(where: list[str], facets: tuple[str, ...]) -> dict[str, Any]:
    """Return the filter of the lists as a batch takes it. Raises BadParameter."""
    from backend.api.schemas.filters import FilterReader, target_of
    from backend.indexing import schema

    if not where:
        return {}
    fields = schema(facets)
    reader = FilterReader(fields)
    for name, value in map(pair, where):
        if target_of(name, fields) is None:
            raise typer.BadParameter(f"{name}: no such filter", param_hint="--where")
        reader.read_parameter(name, [value])
    if reader.faults:
        raise typer.BadParameter(reader.faults[0].detail, param_hint="--where")
    return {"filter": {field: _as_json(it) for field, it in reader.where.items()}}


def _as_json(condition: Condition) -> dict[str, Any] | list[Scalar]:
    """Return a condition as a body has it. Raises BadParameter for what no body can say."""
    words = {"not": list(condition.none_of) or None}
    words |= {word: getattr(condition, word) for word in ("gte", "gt", "lte", "lt")}
    given = {word: value for word, value in words.items() if value is not None}
    if condition.any_of and given:
        raise typer.BadParameter("values and bounds of one field", param_hint="--where")
    return given or list(condition.any_of)


def _explained(error: LookalikeError) -> LookalikeError:
    if error.context.get("status") != 410:
        return error
    return LookalikeError(f"{error.message}; --restart starts again with the present generation")


def _show(made: ListExport, *, is_resumed: bool, seconds: float, as_json: bool) -> None:
    now = made.progress
    summary = {
        "out": str(made.path),
        "bytes": made.path.stat().st_size,
        "generation": now.generation,
        "products": now.products,
        "lists": now.lists,
        "without_list": now.without,
        "resumed": is_resumed,
        "seconds": round(seconds, 3),
    }
    if as_json:
        print_json(summary)
        return
    out.print(escape(f"{now.lists:,} lists of {now.products:,} products: {made.path}"))
    for code, count in sorted(now.without.items()):
        have = "product has" if count == 1 else "products have"
        out.print(escape(f"{count:,} {have} no list: {code}"))
