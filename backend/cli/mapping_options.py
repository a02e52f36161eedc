"""Options that say how the file of a catalogue is read; `import` and `feeds add` share them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from backend.catalogue.sources.mapping import FeedMapping

FIELD_NAMES: Final = (  # as in backend.catalogue.drafts, which is heavy to import
    *("sku", "display_name", "gender", "master_category", "sub_category", "article_type"),
    *("base_colour", "season", "year", "usage", "group_id", "brand", "price", "currency"),
    *("in_stock", "link", "attributes", "image_uri"),
)

ImageTemplate = Annotated[
    str | None,
    typer.Option("--image", help="The path of an image, such as `images/{sku:.3}/{sku}.jpg`."),
]
MappingFile = Annotated[
    Path | None,
    typer.Option(
        help="A TOML or JSON file with a table `map`, and `image`, `format`, `delimiter`, "
        "`encoding`, `decimal`, a list `numeric` as the options."
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="The platform that exported the file: google, meta, shopify, woocommerce, magento, "
        "magento1, opencart, kaggle, or table for none. Default: recognised by the header.",
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        metavar="CHARACTER", help="Delimiter of a CSV file, or `tab`. Default: recognised."
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Encoding of a text file, such as cp1250. Default: recognised."
    ),
]
Decimal = Annotated[
    str | None,
    typer.Option(
        metavar=",|.", help="Decimal separator of prices. Default: recognised by the prices."
    ),
]
Numeric = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="A column that becomes an attribute and holds numbers, so that ranges can filter by "
        "it; can be repeated.",
    ),
]
ColumnOfField = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="FIELD=COLUMN",
        help=f"The column of a field; can be repeated. Fields: {', '.join(FIELD_NAMES)}.",
    ),
]
Prune = Annotated[bool, typer.Option("--prune", help="Remove products that are not in the file.")]
PruneAtMost = Annotated[
    str,
    typer.Option(
        metavar="SHARE|NUMBER",
        help="With --prune: if more products would be removed, none is. 100% allows all.",
    ),
]
CopyImages = Annotated[
    bool, typer.Option("--copy-images", help="Copy a folder's images to the image store.")
]


def read_mapping_options(
    pairs: list[str],
    image: str | None,
    mapping_file: Path | None,
    format_: str | None,
    delimiter: str | None,
    encoding: str | None,
    decimal: str | None,
    numeric: list[str],
) -> FeedMapping:
    """Return what the options of a command say about a feed."""
    mapping = _mapping(pairs, image, mapping_file)
    mapping = replace(mapping, numeric=(*mapping.numeric, *numeric))
    return _with_options(mapping, format_, delimiter, encoding, decimal)


def _mapping(pairs: list[str], image: str | None, mapping_file: Path | None) -> FeedMapping:
    from backend.catalogue.sources.mapping import DEFAULT_MAPPING, read_mapping

    base = read_mapping(mapping_file) if mapping_file else DEFAULT_MAPPING
    columns = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(columns) < len(pairs):
        raise typer.BadParameter("expected FIELD=COLUMN, each field once", param_hint="--map")
    return replace(base, columns={**base.columns, **columns}, image=image or base.image)


def _with_options(
    mapping: FeedMapping,
    format_: str | None,
    delimiter: str | None,
    encoding: str | None,
    decimal: str | None,
) -> FeedMapping:
    """Lay options over what a mapping file says."""
    from backend.catalogue.sources.mapping import checked_delimiter

    if decimal not in (None, ".", ","):
        raise typer.BadParameter("expected . or ,", param_hint="--decimal")
    return replace(
        mapping,
        format=format_ or mapping.format,
        delimiter=checked_delimiter(delimiter) if delimiter else mapping.delimiter,
        encoding=encoding or mapping.encoding,
        decimal=decimal or mapping.decimal,
    )
