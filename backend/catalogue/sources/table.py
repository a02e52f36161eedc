"""A shop's table of any form: columns by name or `FeedMapping`, images by a template or a column.

Each form says what its header is and yields its records; the rest is the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import ClassVar

from backend.catalogue.sources import named_options
from backend.catalogue.sources.column_names import names_a_sku
from backend.catalogue.sources.csv_dialect import Header
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import (
    CutOff,
    Description,
    FeedRow,
    Reject,
    RowWarning,
    WarningKind,
)
from backend.catalogue.sources.files import Files
from backend.catalogue.sources.image_template import Template
from backend.catalogue.sources.mapping import FeedMapping
from backend.catalogue.sources.presets import apply_preset, find_preset
from backend.catalogue.sources.row_categories import RowCategories
from backend.catalogue.sources.row_images import NamedImages, RowImages, TemplatedImages
from backend.catalogue.sources.row_plan import RowPlan
from backend.catalogue.sources.sku_columns import (
    LOOKED_AT,
    SkuChoice,
    candidates,
    candidates_of_platform,
    choose_column,
)
from backend.catalogue.sources.table_columns import (
    TableColumns,
    find_table_columns,
    with_sku_column,
)
from backend.catalogue.sources.table_rows import TableRows


class Table(ABC):
    """A file of records with columns, and the images that its rows name.

    `image` is the template if the mapping has none and the table has no column for images.
    """

    form: ClassVar[str]
    _cells_are_text: ClassVar[bool] = False

    def __init__(
        self, files: Files, name: str, mapping: FeedMapping, *, image: str | None = None
    ) -> None:
        self._files = files
        self._name = name
        self._mapping = mapping
        self._cut_off: CutOff | None = None
        header = self._read_header()
        self.preset = find_preset(header.columns, mapping.format)
        names = [*header.columns, *self.preset.added]
        self._header = Header(names, header.delimiter)
        mapping = apply_preset(self.preset, names, mapping)
        found = self._find_columns(mapping)
        self._prices_seen = mapping.decimal is not None or "price" not in self._columns.fields
        self._categories = RowCategories.find(
            self.preset, names, self._columns.fields, self._mapping.columns
        )
        images = self._images(mapping, found, self.preset.image or image)
        self._has_template = isinstance(images, TemplatedImages)
        is_text_alone = self._cells_are_text and self.preset.arrange is None
        self._rows = TableRows(
            names,
            self._columns,
            self.preset,
            categories=self._categories,
            images=images,
            plan=RowPlan.make(self._columns) if is_text_alone else None,
        )

    @abstractmethod
    def _read_header(self) -> Header:
        """Return the names of the columns. Raises UnreadableCatalogue if there are none."""

    @abstractmethod
    def _file_records(self) -> Iterator[TableRecord | Reject]:
        """Yield the records of the file, without the columns that the preset adds."""

    def skus(self) -> Iterator[tuple[int, str]]:
        """Yield line and sku of every row, in order."""
        has_prices = "price" in self._columns.fields
        for record in self._records():
            if isinstance(record, TableRecord):
                if has_prices:
                    self._columns.see(record.values)
                if self._rows.groups:
                    self._rows.groups.see(record.values)
                yield record.line, self._columns.sku(record.values)
        self._prices_seen = True

    def read(self) -> Iterator[FeedRow | Reject]:
        """Yield every row, in order. Prices need a look at all of them before the first."""
        if not self._prices_seen:
            self._see_prices()
            self._prices_seen = True
        for record in self._records():
            yield self._row(record) if isinstance(record, TableRecord) else record

    def cut_off(self) -> CutOff | None:
        """Return why the feed may have ended early."""
        return self._cut_off

    def describe(self) -> Description:
        """Return the platform, and which column is which of our fields."""
        names = self._header.columns
        places = {**self._columns.fields, **self._categories.described()}
        fields = {field: names[position] for field, position in places.items()}
        title = f"{self.preset.title} ({self.form})"
        return Description(
            title,
            fields,
            list(self._columns.attributes),
            is_any_shops=self.preset.is_any_shops,
            remarks=self._remarks(),
        )

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _find_columns(self, mapping: FeedMapping) -> TableColumns:
        """Find the columns, which may need a look at the rows; `_columns` are needed for that."""
        header, preset, named = self._header, self.preset, self._mapping.columns
        found = find_table_columns(header, preset, mapping, named=named)
        self._columns = found.columns
        self._sku_choice = self._choose_sku(mapping)
        if self._sku_choice:
            fields = self._columns.fields
            mapping = with_sku_column(mapping, self._sku_choice, header.columns, fields)
            found = find_table_columns(header, preset, mapping, named=named)
            self._columns = found.columns
            if preset.ids:  # which no longer fill the sku
                self.preset = replace(preset, arrange=named_options.arrange)
        return found

    def _choose_sku(self, mapping: FeedMapping) -> SkuChoice | None:
        """Look at the rows if several columns may hold the sku, and one of them by its name."""
        names, fields = self._header.columns, self._columns.fields
        if ids := () if "sku" in self._mapping.columns else self.preset.ids:
            columns = candidates_of_platform(names, fields, ids)
        elif self.preset.is_any_shops and "sku" not in mapping.columns:
            columns = candidates(names, fields)
        else:
            return None
        if not columns:
            return None
        rows = (it.values for it in self._records() if isinstance(it, TableRecord))
        return choose_column(names, columns, islice(rows, LOOKED_AT))

    def _images(self, mapping: FeedMapping, found: TableColumns, usual: str | None) -> RowImages:
        """Return images by the operator's template, or by the usual one if no column names them."""
        has_column = "image_uri" in self._columns.fields
        if template := mapping.image or (None if has_column else usual):
            return TemplatedImages(self._files, Template(template, self._header, self._columns))
        return NamedImages(
            self._files,
            folders=mapping.image_folders,
            more=found.further_images,
            lists=found.list_images(self._header.columns),
            by_sku=not has_column and not found.further_images,
        )

    def _is_header(self, names: Sequence[str]) -> bool:
        """Tell whether a row can be the header: it names the sku, as the operator or as usual."""
        named = self._mapping.columns.get("sku")
        return named in names if named else names_a_sku(names)

    def _remarks(self) -> list[RowWarning]:
        """Return what is to be said of how the table is read."""
        choice = self._sku_choice
        return [RowWarning(WarningKind.SKU, choice.why)] if choice else []

    def _see_prices(self) -> None:
        for record in self._records():
            if isinstance(record, TableRecord):
                self._columns.see(record.values)

    def _records(self) -> Iterator[TableRecord | Reject]:
        """Yield the records of the file, as the preset arranges them."""
        records = self._file_records()
        columns = self._header.columns
        return self.preset.arrange(columns, records) if self.preset.arrange else records

    def _row(self, record: TableRecord) -> FeedRow | Reject:
        return self._rows.read(record)
