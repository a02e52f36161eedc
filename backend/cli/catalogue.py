"""`lookalike import`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from backend.cli.common import AsJson, bar, err, out, print_json, services
from backend.cli.mapping_options import (
    ColumnOfField,
    CopyImages,
    Decimal,
    Delimiter,
    Encoding,
    Format,
    ImageTemplate,
    MappingFile,
    Numeric,
    Prune,
    PruneAtMost,
    read_mapping_options,
)

if TYPE_CHECKING:
    from backend.bootstrap import Services
    from backend.catalogue.pruning import PruneLimit
    from backend.catalogue.report import Remarks, Summary
    from backend.catalogue.sources.feed import Description, FeedRow
    from backend.catalogue.sources.mapping import FeedMapping

SHOWN = 20
"""Rejects that are printed; the report file and --json contain all of them."""

CataloguePath = Annotated[
    Path,
    typer.Argument(
        metavar="PATH",
        help="A CSV, JSON, XML, Excel (.xlsx) or Parquet file, or a folder or zip with one and "
        "its images. docs/catalogues.md lists all kinds.",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Print how the file is read, its first five products and counts; write nothing.",
    ),
]
Report = Annotated[
    Path | None, typer.Option(help="Write counts, rejects and warnings to this JSON file.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with an error if a row was rejected.")]


def import_(
    path: CataloguePath,
    mapping: ColumnOfField = None,
    image: ImageTemplate = None,
    mapping_file: MappingFile = None,
    format_: Format = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    decimal: Decimal = None,
    numeric: Numeric = None,
    prune: Prune = False,
    prune_at_most: PruneAtMost = "20%",
    copy_images: CopyImages = False,
    is_dry: DryRun = False,
    report: Report = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Import products and image references from a file.

    The exports of Google Merchant Center, Meta, Shopify, WooCommerce and Magento are recognised by
    their headers and need no options. An import can be repeated: rows that have not changed cost
    nothing. The running server, or `lookalike index`, embeds what has changed. A bad row is
    reported with its line and reason; the other rows are imported. Columns that are not mapped are
    kept in the products' attributes.
    """
    from backend.catalogue.pruning import PruneLimit

    limit = PruneLimit.parse(prune_at_most)
    feed_mapping = read_mapping_options(
        mapping or [], image, mapping_file, format_, delimiter, encoding, decimal, numeric or []
    )
    if is_dry:
        show_dry_run(path, feed_mapping, as_json=as_json)
        return
    with services(is_long=True) as found:
        if not as_json:
            _say_how_it_is_read(path, feed_mapping)
        summary = run_import(
            found, path, feed_mapping, prune=prune, prune_at_most=limit, copy_images=copy_images
        )
        written = _write_report(summary, report, found.settings.data_dir / "last-import.json")
    _print_summary(summary, written, as_json=as_json)
    if summary.not_pruned or (strict and summary.rejected):
        raise typer.Exit(1)


def _print_summary(summary: Summary, report: Path | None, *, as_json: bool) -> None:
    from backend.catalogue.report import as_json as remark_json

    if as_json:
        print_json(
            {
                **summary.counts(),
                "not_pruned": summary.not_pruned,
                "rejects": [remark_json(reject) for reject in summary.rejects],
                "warnings_by_kind": summary.warnings_by_kind(),
                "report": report and str(report),
            }
        )
    else:
        show(summary, report)
    if summary.not_pruned:
        err.print(f"lookalike: {escape(summary.not_pruned)}", style="red", highlight=False)


def _write_report(summary: Summary, asked: Path | None, usual: Path) -> Path | None:
    """Return the file of the report. The usual place may be read-only: the import is done anyway.

    Raises OSError where the file that was asked for cannot be written.
    """
    try:
        summary.write_report(asked or usual)
    except OSError as error:
        if asked:
            raise
        why = error.strerror or str(error)
        text = f"lookalike: no report: cannot write {usual}: {why}"
        err.print(text, markup=False, highlight=False, soft_wrap=True)
        return None
    return asked or usual


def show_dry_run(path: Path, mapping: FeedMapping, *, as_json: bool) -> None:
    """Print how a feed is read, its first products and the counts."""
    from backend.catalogue.dry_run import dry_run
    from backend.catalogue.report import as_json as remark_json

    found = dry_run(path, mapping)
    description = found.description
    if as_json:
        print_json(
            {
                "format": description.title,
                "columns": dict(description.columns),
                "attributes": list(description.attributes),
                "first": [_product(row) for row in found.first],
                **found.counts(),
                "rejects": [remark_json(reject) for reject in found.rejects.first(SHOWN)],
                "warning_examples": [remark_json(it) for it in found.warnings.first(SHOWN)],
            }
        )
        return
    _print_description(description)
    for row in found.first:
        out.print(f"[bold]{escape(row.sku)}", highlight=False)
        for name, value in _product(row).items():
            out.print(f"  {name}: {escape(str(value))}", highlight=False)
    _print_counts(found.counts())
    _print_remarks(found.rejects, found.warnings)
    out.print("Nothing was written.")


def _product(row: FeedRow) -> dict[str, Any]:
    """Return a row as it would be imported, for a reader."""
    given = {name: value for name, value in row.fields.items() if value not in (None, {}, [])}
    image = row.image.uri or "in the archive" if row.image else row.fields.get("image_uri")
    shown = {"sku": row.sku, **given, "image": image, "more_images": list(row.more_images)}
    shown.pop("image_uri", None)
    return {name: value for name, value in shown.items() if value not in (None, [])}


def _say_how_it_is_read(path: Path, mapping: FeedMapping) -> None:
    from backend.catalogue.sources import open_source

    with closing(open_source(path, mapping)) as source:
        out.print(f"Read as {escape(source.describe().title)}.", highlight=False)


def _print_description(description: Description) -> None:
    out.print(f"Read as {escape(description.title)}.", highlight=False)
    for field, column in description.columns.items():
        out.print(f"  {field} = {escape(column)}", highlight=False)
    if description.attributes:
        names = ", ".join(description.attributes)
        out.print(f"  attributes: {escape(names)}", highlight=False)


def _print_counts(counts: Mapping[str, int]) -> None:
    out.print("  ".join(f"{name} [bold]{number:,}[/]" for name, number in counts.items()))


def run_import(
    found: Services,
    path: Path,
    mapping: FeedMapping,
    *,
    prune: bool = False,
    prune_at_most: PruneLimit | None = None,
    copy_images: bool = False,
) -> Summary:
    """Import with a progress bar, then notify the worker."""
    from backend.catalogue.import_run import import_catalogue
    from backend.catalogue.pruning import DEFAULT_LIMIT

    with bar("Importing") as progress:
        progress(0, None)
        summary = import_catalogue(
            found.db,
            found.image_store,
            path,
            mapping=mapping,
            prune=prune,
            prune_at_most=prune_at_most or DEFAULT_LIMIT,
            copy_images=copy_images,
            max_image_bytes=found.settings.max_image_bytes,
            progress=progress,
        )
    found.notify()
    return summary


def show(summary: Summary, report: Path | None = None) -> None:
    """Print the counts of an import, and its first rejects and warnings."""
    _print_counts(summary.counts())
    hidden = _print_remarks(summary.rejects, summary.warnings)
    if hidden and report:
        err.print(f"  … and {hidden:,} more, in {escape(str(report))}")


def _print_remarks(rejects: Remarks, warnings: Remarks) -> int:
    """Print the first rejects and warnings; return how many are not printed."""
    for reject in rejects.first(SHOWN):
        text = f"  line {reject.line}, sku {reject.sku or '?'}: {reject.reason}"
        err.print(escape(text), highlight=False)
    kinds = warnings.by_kind()
    if kinds:
        counted = ", ".join(f"{kind.value} {it.count:,}" for kind, it in kinds.items())
        err.print(f"  warnings: {counted}", highlight=False)
    for warning in warnings.first(SHOWN):
        where = "the whole file" if warning.is_of_file else f"line {warning.line}"
        text = f"  {where}: {warning.reason}"
        err.print(escape(text), style="dim", highlight=False)
    return max(0, len(rejects) - SHOWN) + max(0, len(warnings) - SHOWN)
