"""What an import would do, as far as the feed alone tells: reads everything and writes nothing."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backend.catalogue.closing_remarks import closing_remarks
from backend.catalogue.import_memory import LastLines
from backend.catalogue.import_rows import check_row
from backend.catalogue.report import Remarks
from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import Description, FeedRow, kind_of
from backend.catalogue.sources.mapping import DEFAULT_MAPPING, FeedMapping
from backend.errors import InvalidProduct

SHOWN: Final = 5  # products


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """How a feed is read, its first products, and how many there are."""

    description: Description
    first: list[FeedRow]
    rows: int  # that give a product; several can have one sku
    repeated: int  # of these, rows whose sku comes again below
    images: int  # rows with an image
    rejects: Remarks
    warnings: Remarks

    def counts(self) -> dict[str, int]:
        """Return the numbers by name."""
        return {
            "products": self.rows - self.repeated,
            "repeated": self.repeated,
            "with_image": self.images,
            "rejected": len(self.rejects),
            "warnings": len(self.warnings),
        }


def dry_run(path: Path, mapping: FeedMapping = DEFAULT_MAPPING) -> DryRun:
    """Read a feed to its end. Raises what `open_source` raises; nothing is written anywhere."""
    first: list[FeedRow] = []
    rows = repeated = images = 0
    rejects, warnings = Remarks(), Remarks()
    with closing(open_source(path, mapping)) as source:
        last_lines = LastLines(source.skus())
        for row in source.read():
            if not isinstance(row, FeedRow):
                rejects.add(row.line, row.sku, row.reason)
                continue
            try:
                checked = check_row(row)
            except InvalidProduct as error:
                rejects.add(row.line, row.sku, error.message)
                continue
            rows += 1
            repeated += last_lines.last(row.sku) not in (None, row.line)
            images += row.image is not None or "image_uri" in row.fields
            if len(first) < SHOWN:
                first.append(row)
            for line, warning in checked.warnings:
                warnings.add(line, row.sku, warning, kind_of(warning))
        description = source.describe()
        for remark in closing_remarks(description, last_lines, source.cut_off()):
            warnings.add(last_lines.end, None, remark, remark.kind, is_of_file=True)
    return DryRun(
        description=description,
        first=first,
        rows=rows,
        repeated=repeated,
        images=images,
        rejects=rejects,
        warnings=warnings,
    )
