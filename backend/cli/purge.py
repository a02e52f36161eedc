"""`lookalike purge`: take products down, with their images and vectors."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape

from backend.cli.common import AsJson, err, out, print_json, services
from backend.cli.following import run_job


def purge(
    skus: Annotated[list[str], typer.Argument(help="The products' skus.", show_default=False)],
    everywhere: Annotated[
        bool,
        typer.Option(
            "--everywhere", help="Take the same image contents away from other products too."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove products at once: their data, points, image files and vectors. It cannot be undone.

    An image that another product shows too is kept, and listed; with `--everywhere` the other
    product loses it. Images in a folder of yours or on another host stay where they are, and so do
    backups. An import whose file still names the image brings it back. Exit code 1 if a sku was
    never in the catalogue.
    """
    with services() as found:
        arguments = {"skus": skus, "everywhere": everywhere}
        result = run_job(found, "purge", arguments, what="Purging").result or {}
    if as_json:
        print_json(result)
    else:
        _print(result)
    raise typer.Exit(1 if result["unknown"] else 0)


def _print(result: dict[str, Any]) -> None:
    counts = ("products", "points", "images", "bytes", "vectors")
    out.print("Removed: " + ", ".join(f"{result[name]:,} {name}" for name in counts) + ".")
    for kept in result["kept"]:
        others = ", ".join(kept["skus"])
        err.print(
            escape(f"Kept {kept['digest'][:12]}: {kept['products']} others show it ({others})."),
            highlight=False,
        )
    if result["kept"]:
        err.print("`--everywhere` removes it from them too.")
    if result["emptied"]:
        err.print(escape(f"Without an image now: {', '.join(result['emptied'])}"), highlight=False)
    for one in result["elsewhere"]:
        err.print(escape(f"{one['sku']}: the image is still at {one['uri']}"), highlight=False)
    if result["points_later"]:
        err.print("An index does not answer; its points are deleted as soon as it does.")
    if result["unknown"]:
        err.print(escape(f"No such product: {', '.join(result['unknown'])}"), highlight=False)
