"""A CSV file: its header, its records, and where it ends too early."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backend.catalogue.sources.csv_dialect import Header
from backend.catalogue.sources.csv_header import HEADER_LINES, read_header
from backend.catalogue.sources.csv_lines import Lines
from backend.catalogue.sources.csv_records import (
    SpecialColumns,
    TableRecord,
    open_csv,
    read_records,
)
from backend.catalogue.sources.decimal_commas import are_divided, columns_of_amounts
from backend.catalogue.sources.feed import NoProduct, Reject
from backend.catalogue.sources.table import Table


class CsvTable(Table):
    """A CSV file and the images that its rows name."""

    form = "CSV"
    _cells_are_text = True

    def _read_header(self) -> Header:
        with self._files.open(self._name) as stream:
            return self._header_of(open_csv(stream, encoding=self._mapping.encoding))

    def _header_of(self, lines: Lines) -> Header:
        return read_header(lines, delimiter=self._mapping.delimiter, is_header=self._is_header)

    def _file_records(self) -> Iterator[TableRecord | Reject]:
        with self._files.open(self._name) as stream:
            lines = open_csv(stream, encoding=self._mapping.encoding)
            header = self._header_of(lines)
            last: TableRecord | Reject | None = None
            for last in read_records(lines, header, self._special(lines, header)):
                yield last
            is_broken = isinstance(last, Reject) and not isinstance(last, NoProduct)
            lines.is_closed |= isinstance(last, NoProduct)  # a remark ends the file
            self._cut_off = lines.cut_off(is_broken=is_broken, proven=self._files.proves_the_end)

    def _special(self, lines: Lines, header: Header) -> SpecialColumns:
        sku, name = self._columns.fields["sku"], self._columns.fields.get("display_name", -1)
        free_text = name if name > sku else None  # a correction must not shift the sku
        amounts, are_decimal = self._amounts(lines, header)
        return SpecialColumns(sku, free_text, amounts, are_decimal)

    def _amounts(self, lines: Lines, header: Header) -> tuple[Sequence[int], bool]:
        """Return the columns that a comma may divide, and whether a decimal one does.

        The next lines show it.
        """
        if header.delimiter != ",":
            return (), False
        amounts = columns_of_amounts(header.columns, self._columns.fields.get("price"))
        rows = [line.text for line in lines.peek(HEADER_LINES)] if amounts else []
        return amounts, are_divided(rows, header, amounts)
