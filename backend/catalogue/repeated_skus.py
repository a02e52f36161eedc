"""A remark on a table whose skus repeat so often that they may be those of groups of products."""

from __future__ import annotations

from typing import Final

from backend.catalogue.import_memory import LastLines
from backend.catalogue.sources.feed import Description
from backend.catalogue.sources.presets import TABLE

FEWEST: Final = 20
LEAST_SHARE: Final = 0.1
"""Of the rows, whose sku stands in another row above: a few repeated rows are usual."""


def remark_on_repeated(last_lines: LastLines, description: Description) -> str | None:
    """Say that many rows share a sku, and what to do if each is a product; None if few do.

    Exports of known platforms have several rows for a product, so it is said of other tables only.
    """
    repeated, total = last_lines.repeated, last_lines.total
    if not description.title.startswith(TABLE.title) or repeated < max(FEWEST, LEAST_SHARE * total):
        return None
    column = description.columns.get("sku", "sku")
    return (
        f"{repeated:,} of {total:,} rows repeat a sku of the column {column!r} and are merged; "
        "if each row is a product, name the column of its own sku: --map sku=COLUMN"
    )
