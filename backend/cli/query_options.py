"""Options that say what is compared, and with which products, as the parameters of the API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Skus = Annotated[
    list[str] | None, typer.Argument(metavar="SKU...", help="Products to compare with.")
]
Limit = Annotated[int | None, typer.Option(min=1, max=100, help="10, or as the placement says.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FIELD=VALUE",
        help="A filter as in the API's query string, such as `base_colour=Red,Blue` or "
        "`year_gte=2012`; can be repeated.",
    ),
]
ImageNumber = Annotated[
    int | None,
    typer.Option(min=1, max=16, help="Compare this image of the product, counted from 1."),
]
Colour = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        help="How much colour counts: 0 finds the same thing in any colour, 1 prefers the "
        "same colour.",
    ),
]
Photo = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|URL",
        help="Compare with this image instead of SKUs: a file, or an address on a host that "
        "LOOKALIKE_IMAGE_HOSTS allows.",
    ),
]
Region = Annotated[
    str | None,
    typer.Option(
        metavar="L,T,R,B",
        help="Compare this region of the photo: left, top, right, bottom, in pixels, or as "
        "fractions from 0 to 1.",
    ),
]
Text = Annotated[
    str,
    typer.Option(
        metavar="WORDS",
        help="What the products look like; alone, or beside the SKUs or the photo.",
    ),
]
TextWeight = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="How much the text counts beside a SKU or a photo."),
]
Sheet = Annotated[
    Path | None, typer.Option(help="Save a contact sheet: query left, neighbours right.")
]


def pair(text: str) -> tuple[str, str]:
    """Split FIELD=VALUE."""
    name, separator, value = text.partition("=")
    if not separator:
        raise typer.BadParameter("expected FIELD=VALUE", param_hint="--where")
    return name, value
