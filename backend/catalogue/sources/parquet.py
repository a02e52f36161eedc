"""A Parquet file, read by row groups; columns, templates and images work as in any table.

Rows are counted from 1, because the file has no lines of text. Values in `attributes` keep their
types. An image may lie in its cell, as bytes or as `{bytes, path}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, BinaryIO, Final

from backend.catalogue.sources.csv_dialect import Header
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import (
    FeedRow,
    Reject,
    WarningKind,
    kind_of,
)
from backend.catalogue.sources.files import DAMAGED, Files
from backend.catalogue.sources.held_images import held_image
from backend.catalogue.sources.image_cells import ADDRESS_KEYS
from backend.catalogue.sources.mapping import FeedMapping
from backend.catalogue.sources.parquet_cells import cells_of, text_of
from backend.catalogue.sources.table import Table
from backend.catalogue.sources.wrong_cells import record_of
from backend.errors import ConfigurationError, UnreadableCatalogue
from backend.vectors.image_points import MOST_IMAGES

BATCH: Final = 1_000  # rows that become Python objects at once, even in a large row group


class Parquet(Table):
    """A Parquet file, or all its parts in a folder, and the images that rows name or hold."""

    form = "Parquet"

    def __init__(self, files: Files, names: Sequence[str], mapping: FeedMapping) -> None:
        """Open the parts. Raises ConfigurationError without the package pyarrow."""
        self._parts = names
        super().__init__(files, names[0], mapping)
        self._image = self._columns.fields.get("image_uri")

    def skus(self) -> Iterator[tuple[int, str]]:
        """Yield number and sku of every row, in order; no other column is read."""
        if self.preset.arrange:
            yield from super().skus()
            return
        position = self._columns.fields["sku"]
        for record in self._read_records([self._header.columns[position]]):
            if isinstance(record, TableRecord):
                values = [None] * position + [*_as_text(record).values]
                yield record.line, self._columns.sku(values)

    def _see_prices(self) -> None:
        """Look at the prices; no other column is read."""
        position = self._columns.fields["price"]
        for record in self._read_records([self._header.columns[position]]):
            if isinstance(record, TableRecord):
                self._columns.see([None] * position + [*_as_text(record).values])

    def _read_header(self) -> Header:
        """Return the columns of all parts; a later part may have more of them."""
        names: dict[str, None] = {}
        for part in self._parts:
            with self._files.open(part) as stream:
                names.update(dict.fromkeys(_open(stream, part).schema_arrow.names))
        return Header(list(names), "")

    def _file_records(self) -> Iterator[TableRecord | Reject]:
        names = self._header.columns
        return self._read_records(names[: len(names) - len(self.preset.added)])

    def _read_records(self, columns: Sequence[str]) -> Iterator[TableRecord | Reject]:
        before = 0
        for part in self._parts:
            with self._files.open(part) as stream:
                file = _open(stream, part)
                for group in range(file.num_row_groups):
                    yield from _read_group(file, group, columns, before=before)
                    before += file.metadata.row_group(group).num_rows

    def _row(self, record: TableRecord) -> FeedRow | Reject:
        """Take the images out of their cell, if they are there, before the row is read."""
        at = self._image
        cells = _as_list(record.values[at]) if at is not None else []
        held = [it for it in map(_bytes_of, cells) if it is not None]
        if not held or self._has_template:
            paths = [_path_of(cell) for cell in cells]
            return super()._row(_as_text(_with(record, at, paths[0] if len(paths) == 1 else paths)))
        row = super()._row(_as_text(_with(record, at, None)))
        if isinstance(row, Reject):
            return row
        kept = tuple(it for it in row.warnings if kind_of(it) is not WarningKind.NO_IMAGE)
        first, *further = [held_image(data) for data in held[:MOST_IMAGES]]
        row = replace(row, image=first, warnings=kept)
        return replace(row, further=tuple(further)) if further else row


def _as_list(cell: Any) -> list[Any]:
    return cell if isinstance(cell, list) else [cell]


def _bytes_of(cell: Any) -> bytes | None:
    """Return the image that a cell holds; bytes that are text are the path of one."""
    data = cell.get("bytes") if isinstance(cell, Mapping) else cell
    return data if isinstance(data, bytes) and text_of(data) is None else None


def _path_of(cell: Any) -> Any:
    if isinstance(cell, Mapping):
        found = (cell[key] for key in ADDRESS_KEYS if key in cell)
        return next(found, None)
    return text_of(cell) if isinstance(cell, bytes) else cell


def _as_text(record: TableRecord) -> TableRecord:
    """Decode bytes that are text; old tools write every string so."""
    if not any(isinstance(value, bytes) for value in record.values):
        return record
    values = [text_of(it) if isinstance(it, bytes) else it for it in record.values]
    return record._replace(values=values)


def _open(stream: BinaryIO, name: str) -> Any:
    """Open a Parquet file. Raises UnreadableCatalogue, ConfigurationError."""
    try:
        from pyarrow import ArrowException  # noqa: PLC0415 - it is an extra
        from pyarrow.parquet import ParquetFile  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            "Parquet needs the package pyarrow: pip install 'lookalike[parquet]'"
        ) from None
    try:
        return ParquetFile(stream)
    except (ArrowException, *DAMAGED) as error:
        raise UnreadableCatalogue(f"{name} is not a readable Parquet file: {error}") from None


def _read_group(
    file: Any, group: int, columns: Sequence[str], *, before: int
) -> Iterator[TableRecord | Reject]:
    """Read the rows of one group; if it is damaged, the rows not yet read are rejected."""
    from pyarrow import ArrowException  # noqa: PLC0415

    count, done = file.metadata.row_group(group).num_rows, 0
    there = [name for name in columns if name in file.schema_arrow.names]
    nothing: list[Any] = [None] * min(BATCH, count)
    try:
        for batch in file.iter_batches(BATCH, row_groups=[group], columns=there):
            read = dict(zip(reversed(batch.schema.names), reversed(batch.columns), strict=True))
            cells = [cells_of(read[name]) if name in read else nothing for name in columns]
            for values in islice(zip(*cells, strict=False), batch.num_rows):
                done += 1
                yield record_of(before + done, values, columns)
    except (ArrowException, UnicodeDecodeError, *DAMAGED) as error:
        reason = f"row group {group} is damaged: {str(error).splitlines()[0]}"
        yield from (Reject(before + row + 1, None, reason) for row in range(done, count))


def _with(record: TableRecord, position: int | None, value: Any) -> TableRecord:
    if position is None:
        return record
    values = list(record.values)
    values[position] = value
    return record._replace(values=values)
