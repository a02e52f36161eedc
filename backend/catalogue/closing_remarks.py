"""What is said of a feed as a whole, behind its last line: an import and a dry run say the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from backend.catalogue.import_memory import LastLines
from backend.catalogue.sources.feed import CutOff, Description, RowWarning, WarningKind

FEWEST: Final = 20
LEAST_SHARE: Final = 0.1
"""Of the rows, whose sku stands in another row above: a few repeated rows are usual."""


def closing_remarks(
    description: Description, last_lines: LastLines, cut_off: CutOff | None
) -> Iterator[RowWarning]:
    """Yield that the file may be cut off, how it was read, and that skus repeat."""
    if cut_off:
        yield RowWarning(WarningKind.OTHER, f"{cut_off.reason}; the file may be cut off")
    yield from description.remarks
    if repeated := _remark_on_repeated(description, last_lines):
        yield RowWarning(WarningKind.DUPLICATE, repeated)


def _remark_on_repeated(description: Description, last_lines: LastLines) -> str | None:
    """Say that many rows share a sku, and what to do if each is a product; None if few do.

    Exports of known platforms have several rows for a product, so it is said of other tables only.
    """
    repeated, total = last_lines.repeated, last_lines.total
    if not description.is_any_shops or repeated < max(FEWEST, LEAST_SHARE * total):
        return None
    column = description.columns.get("sku", "sku")
    return (
        f"{repeated:,} of {total:,} rows repeat a sku of the column {column!r} and are merged; "
        "if each row is a product, name the column of its own sku: --map sku=COLUMN"
    )
