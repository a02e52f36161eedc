"""`lookalike import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from backend.cli.common import AsJson, bar, err, out, print_json, services

if TYPE_CHECKING:
    from backend.bootstrap import Services
    from backend.catalogue.report import Summary
    from backend.catalogue.sources.mapping import FeedMapping

SHOWN = 20
"""Rejects that are printed; the report file and --json contain all of them."""

CataloguePath = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        help="A folder or zip with styles.csv and images/, any CSV or Parquet file, or the folder "
        "of FashionMNIST or of DeepFashion's benchmark.",
        show_default=False,
    ),
]
ImageTemplate = Annotated[
    str | None,
    typer.Option("--image", help="The path of an image, such as `images/{sku:.3}/{sku}.jpg`."),
]
MappingFile = Annotated[
    Path | None,
    typer.Option(help="A TOML or JSON file with a table `map` and a path template `image`."),
]


def import_(
    path: CataloguePath,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="FIELD=COLUMN", help="The column of a field; can be repeated."
        ),
    ] = None,
    image: ImageTemplate = None,
    mapping_file: MappingFile = None,
    decimal: Annotated[
        str | None,
        typer.Option(
            metavar=",|.",
            help="The separator of decimals in prices; by default the column tells.",
        ),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove products that are not in the file.")
    ] = False,
    copy_images: Annotated[
        bool, typer.Option("--copy-images", help="Copy a folder's images to the image store.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write counts, rejects and warnings to this JSON file.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with an error if a row was rejected.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import products and image references from a file.

    An import can be repeated: rows that have not changed cost nothing. The running server, or
    `lookalike index`, embeds what has changed. A bad row is reported with its line and reason; the
    other rows are imported. Columns that are not mapped are kept in the products' attributes.
    """
    from backend.catalogue.report import as_json as remark_json

    feed_mapping = _mapping(mapping or [], image, mapping_file, decimal)
    with services() as found:
        summary = run_import(found, path, feed_mapping, prune=prune, copy_images=copy_images)
        report = report or found.settings.data_dir / "last-import.json"
        summary.write_report(report)
    if as_json:
        print_json(
            {
                **summary.counts(),
                "rejects": [remark_json(reject) for reject in summary.rejects],
                "warnings_by_kind": summary.warnings_by_kind(),
                "report": str(report),
            }
        )
    else:
        show(summary, report)
    if strict and summary.rejected:
        raise typer.Exit(1)


def run_import(
    found: Services,
    path: Path,
    mapping: FeedMapping,
    *,
    prune: bool = False,
    copy_images: bool = False,
) -> Summary:
    """Import with a progress bar, then notify the worker."""
    from backend.catalogue.import_run import import_catalogue

    with bar("Importing") as progress:
        progress(0, None)
        summary = import_catalogue(
            found.db,
            found.image_store,
            path,
            mapping=mapping,
            prune=prune,
            copy_images=copy_images,
            max_image_bytes=found.settings.max_image_bytes,
            progress=progress,
        )
    found.notify()
    return summary


def show(summary: Summary, report: Path | None = None) -> None:
    """Print the counts of an import, and its first rejects and warnings."""
    out.print("  ".join(f"{name} [bold]{number:,}" for name, number in summary.counts().items()))
    for reject in summary.rejects.first(SHOWN):
        said = f"  line {reject.line}, sku {reject.sku or '?'}: {reject.reason}"
        err.print(escape(said), highlight=False)
    kinds = summary.warnings.by_kind()
    if kinds:
        shown = ", ".join(f"{kind.value} {it.count:,}" for kind, it in kinds.items())
        err.print(f"  warnings: {shown}", highlight=False)
    for warning in summary.warnings.first(SHOWN):
        said = f"  line {warning.line}: {warning.reason}"
        err.print(escape(said), style="dim", highlight=False)
    hidden = max(0, len(summary.rejects) - SHOWN) + max(0, len(summary.warnings) - SHOWN)
    if hidden and report:
        err.print(f"  … and {hidden:,} more, in {report}")


def _mapping(
    pairs: list[str], image: str | None, mapping_file: Path | None, decimal: str | None
) -> FeedMapping:
    from backend.catalogue.sources.mapping import DEFAULT_MAPPING, FeedMapping, read_mapping

    base = read_mapping(mapping_file) if mapping_file else DEFAULT_MAPPING
    columns = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if len(columns) < len(pairs):
        raise typer.BadParameter("expected FIELD=COLUMN, each field once", param_hint="--map")
    if decimal not in (None, ".", ","):
        raise typer.BadParameter("expected . or ,", param_hint="--decimal")
    return FeedMapping(
        columns={**base.columns, **columns},
        image=image or base.image,
        decimal=decimal or base.decimal,
    )
