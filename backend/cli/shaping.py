"""Options that shape a list, as the parameters of the API (docs/shaping.md)."""

from __future__ import annotations

from typing import Annotated

import typer

Placement = Annotated[
    str | None, typer.Option(metavar="NAME", help="The placement whose settings are the defaults.")
]
GroupBy = Annotated[
    str | None,
    typer.Option(metavar="FIELD", help="Show the best product of each value, such as `group_id`."),
]
Restrict = Annotated[
    str | None,
    typer.Option(
        metavar="FIELDS",
        help="Only products with the values of the query product in these fields, such as "
        "`article_type,gender`.",
    ),
]
Boost = Annotated[
    str | None,
    typer.Option(metavar="FIELD:WEIGHT", help="Raise products, such as `in_stock:0.1,price:0.05`."),
]
Diversity = Annotated[
    float | None, typer.Option(min=0, max=1, help="0: the most similar ones; 1: a mixed list.")
]
Exclude = Annotated[str | None, typer.Option(metavar="SKUS", help="Products that are left out.")]
MinScore = Annotated[float | None, typer.Option(min=-1, max=1, help="The least similarity.")]
MinMatch = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="The least probability that a product is of the same kind."),
]
Relax = Annotated[
    str | None,
    typer.Option(
        metavar="CLAUSES",
        help="What is dropped, in this order, while too few products pass, such as "
        "`brand,min_score`.",
    ),
]
Explain = Annotated[
    bool, typer.Option("--explain", help="Show the similarity of look and of colour.")
]


def parameters_of(**options: str | float | bool | None) -> list[tuple[str, str]]:
    """Return the options that are given, as parameters of the API."""
    found = []
    for name, value in options.items():
        if isinstance(value, bool):
            found += [(name, "true")] if value else []
        elif isinstance(value, str):
            found += [(name, value)] if value else []
        elif value is not None:
            found.append((name, f"{value:g}"))
    return found
