"""Any shop's table: columns by name or `FeedMapping`, images by a template or a column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from backend.catalogue.sources.bare_names import columns_by_bare_names
from backend.catalogue.sources.categories import category_fields
from backend.catalogue.sources.category_levels import CategoryLevels
from backend.catalogue.sources.column_names import match, names_a_sku, plain, with_reduced_price
from backend.catalogue.sources.columns import Columns
from backend.catalogue.sources.csv_dialect import Header
from backend.catalogue.sources.csv_header import HEADER_LINES, read_header
from backend.catalogue.sources.csv_lines import Lines
from backend.catalogue.sources.csv_records import (
    TableRecord,
    open_csv,
    read_records,
)
from backend.catalogue.sources.decimal_commas import are_divided, columns_of_amounts
from backend.catalogue.sources.feed import (
    CutOff,
    Description,
    FeedRow,
    NoProduct,
    Reject,
    RowWarning,
    WarningKind,
)
from backend.catalogue.sources.files import Files
from backend.catalogue.sources.image_columns import IMAGES, further_columns
from backend.catalogue.sources.image_template import Template
from backend.catalogue.sources.mapping import FeedMapping
from backend.catalogue.sources.no_products import why_no_product
from backend.catalogue.sources.no_values import NO_VALUE, SHEET_ERRORS
from backend.catalogue.sources.presets import apply_preset, find_preset
from backend.catalogue.sources.price_names import price_name
from backend.catalogue.sources.product_groups import ProductGroups
from backend.catalogue.sources.publication import Publication
from backend.catalogue.sources.row_images import NamedImages, TemplatedImages
from backend.catalogue.sources.row_plan import RowPlan
from backend.catalogue.sources.sku_columns import (
    LOOKED_AT,
    SkuChoice,
    candidates,
    choose_column,
)
from backend.catalogue.sources.stock_by_place import columns_by_place, in_stock

ALSO_ATTRIBUTES: Final = ("in_stock", "group_id", "brand", "link")
"""Fields whose columns stay in the attributes too, where filters and facets may name them."""


class Table:
    """A CSV file and the images that its rows name.

    `image` is the template if the mapping has none and the table has no column for images.
    """

    form = "CSV"

    def __init__(
        self, files: Files, name: str, mapping: FeedMapping, *, image: str | None = None
    ) -> None:
        self._files = files
        self._name = name
        self._mapping = mapping
        self._cut_off: CutOff | None = None
        self._header = self._read_header()
        self.preset = find_preset(self._header.columns, mapping.format)
        columns = [*self._header.columns, *self.preset.added]
        mapping = apply_preset(self.preset, columns, mapping)
        self._header = Header(columns, self._header.delimiter)
        self._columns, more = self._match(mapping)
        self._sku_choice = self._choose_sku(mapping)
        if self._sku_choice:
            self._columns, more = self._match(self._with_choice(mapping, self._sku_choice))
        names = self._header.columns
        self._currency = self._currency_of_prices()
        has_stock = "in_stock" in self._columns.fields
        self._places = [] if has_stock else columns_by_place(names)
        self._publication = Publication.find(names, self.preset.hidden, self.preset.in_english)
        self._levels = self._category_levels()
        is_ours = not self.preset.is_any_shops
        self._has_category_paths = is_ours or self._category_may_be_a_path()
        self._groups = ProductGroups.find(names, self._columns.fields)
        self._prices_seen = mapping.decimal is not None or "price" not in self._columns.fields
        self._templated = self._templated_images(mapping.image, self.preset.image or image)
        at = self._columns.fields.get("image_uri")
        lists = bool(more) or (at is not None and plain(names[at]) in IMAGES)
        self._named = NamedImages(
            files,
            folders=mapping.image_folders,
            more=more,
            lists=lists,
            by_sku=at is None and not more,
        )
        is_text_alone = type(self) is Table and self.preset.arrange is None
        self._plan = RowPlan.make(self._columns) if is_text_alone else None

    def _match(self, mapping: FeedMapping) -> tuple[Columns, Sequence[int]]:
        """Find the columns of our fields, and those of further images, which are no attributes."""
        names = self._header.columns
        is_any_shops = self.preset.is_any_shops
        bare = columns_by_bare_names(names, mapping, is_any_shops=is_any_shops)
        columns = match(
            names,
            {**bare, **mapping.columns},
            decimal=mapping.decimal,
            delimiter=self._header.delimiter,
            numeric=mapping.numeric,
            is_any_shops=is_any_shops,
        )
        if is_any_shops:
            columns = with_reduced_price(names, columns)
        could_be = further_columns(names, columns.fields.get("image_uri"))
        more = [at for at in could_be if at not in columns.fields.values()]
        of_file = len(names) - len(self.preset.added)
        rest = {
            name: at
            for name, at in columns.attributes.items()
            if at not in more and at < of_file  # an added column is no attribute
        }
        for field in ALSO_ATTRIBUTES:
            at = columns.fields.get(field)
            if at is not None and field not in self._mapping.columns and self._says_more(field, at):
                rest[names[at]] = at
        return replace(columns, attributes=rest), more

    def _choose_sku(self, mapping: FeedMapping) -> SkuChoice | None:
        """Look at the rows if several columns may hold the sku, and one of them by its name."""
        names, fields = self._header.columns, self._columns.fields
        if not self.preset.is_any_shops or "sku" in mapping.columns:
            return None
        if not (columns := candidates(names, fields)):
            return None
        rows = (it.values for it in self._records() if isinstance(it, TableRecord))
        return choose_column(names, columns, islice(rows, LOOKED_AT))

    def _with_choice(self, mapping: FeedMapping, choice: SkuChoice) -> FeedMapping:
        """Name the column of the sku, and what its name chose as the group if no column is."""
        names, fields = self._header.columns, self._columns.fields
        named = {"sku": names[choice.column]}
        if choice.is_group and fields.get("group_id") in (None, choice.column):
            named["group_id"] = names[fields["sku"]]
        return replace(mapping, columns={**mapping.columns, **named})

    def _currency_of_prices(self) -> str | None:
        """Return the currency that the name of the price's column says."""
        at = self._columns.fields.get("price")
        return None if at is None else price_name(self._header.columns[at])[1]

    def _says_more(self, field: str, at: int) -> bool:
        """Tell whether a field's column is worth an attribute, as it was in the file."""
        name = self._header.columns[at]
        is_plain_stock = field == "in_stock" and plain(name) == "instock"
        return not is_plain_stock and name not in self.preset.added

    def _category_levels(self) -> CategoryLevels | None:
        """Return the columns of any shop's table that are levels of its categories."""
        if not self.preset.is_any_shops:
            return None
        fields, given = self._columns.fields, self._mapping.columns
        return CategoryLevels.find(self._header.columns, fields, given)

    def _with_categories(self, values: Sequence[Any], fields: dict[str, Any]) -> dict[str, Any]:
        """Return fields with their category path split, or with the levels of the row."""
        if self._levels and (path := self._levels.deepest_path(values)):
            fields = {**fields, "article_type": path}
        if self._has_category_paths:
            fields = category_fields(self.preset, fields)
        return self._levels.apply(values, fields) if self._levels else fields

    def _category_may_be_a_path(self) -> bool:
        """Tell whether the category is a column that we found by another name than our own."""
        at = self._columns.fields.get("article_type")
        is_ours = at is not None and plain(self._header.columns[at]) == "articletype"
        return (
            (at is not None or self._levels is not None)
            and not is_ours
            and "article_type" not in self._mapping.columns
        )

    def _templated_images(self, given: str | None, usual: str | None) -> TemplatedImages | None:
        """Return images by the operator's template, or by the usual one if no column names them."""
        template = given or (None if "image_uri" in self._columns.fields else usual)
        if not template:
            return None
        return TemplatedImages(self._files, Template(template, self._header, self._columns))

    def skus(self) -> Iterator[tuple[int, str]]:
        """Yield line and sku of every row, in order."""
        has_prices = "price" in self._columns.fields
        for record in self._records():
            if isinstance(record, TableRecord):
                if has_prices:
                    self._columns.see(record.values)
                if self._groups:
                    self._groups.see(record.values)
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
        places = {**self._columns.fields, **(self._levels.described() if self._levels else {})}
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

    def _remarks(self) -> list[RowWarning]:
        """Return what is to be said of how the table is read."""
        choice = self._sku_choice
        return [RowWarning(WarningKind.SKU, choice.why)] if choice else []

    def _without_sku(self, cell: str | None) -> str:
        """Say that a row has no sku, and in which column it was looked for if its name is odd."""
        said = f" ({cell})" if cell else ""
        column = self._header.columns[self._columns.fields["sku"]]
        where = "" if plain(column) in ("sku", "id") else f" in the column {column!r}"
        return f"the sku is empty{where}{said}"

    def _see_prices(self) -> None:
        for record in self._records():
            if isinstance(record, TableRecord):
                self._columns.see(record.values)

    def _read_header(self) -> Header:
        with self._files.open(self._name) as stream:
            return self._header_of(open_csv(stream, encoding=self._mapping.encoding))

    def _header_of(self, lines: Lines) -> Header:
        named = self._mapping.columns.get("sku")
        return read_header(
            lines,
            delimiter=self._mapping.delimiter,
            is_header=lambda names: named in names if named else names_a_sku(names),
        )

    def _records(self) -> Iterator[TableRecord | Reject]:
        """Yield the records of the file, as the preset arranges them."""
        records = self._file_records()
        columns = self._header.columns
        return self.preset.arrange(columns, records) if self.preset.arrange else records

    def _file_records(self) -> Iterator[TableRecord | Reject]:
        with self._files.open(self._name) as stream:
            lines = open_csv(stream, encoding=self._mapping.encoding)
            header = self._header_of(lines)
            sku, name = self._columns.fields["sku"], self._columns.fields.get("display_name", -1)
            free_text = name if name > sku else None  # a correction must not shift the sku
            amounts, are_decimal = self._amounts(lines, header)
            last: TableRecord | Reject | None = None
            for last in read_records(
                lines,
                header,
                key=sku,
                free_text=free_text,
                amounts=amounts,
                are_decimal=are_decimal,
            ):
                yield last
            is_broken = isinstance(last, Reject) and not isinstance(last, NoProduct)
            lines.is_closed |= isinstance(last, NoProduct)  # a remark ends the file
            self._cut_off = lines.cut_off(is_broken=is_broken, proven=self._files.proves_the_end)

    def _amounts(self, lines: Lines, header: Header) -> tuple[Sequence[int], bool]:
        """Return the columns that a comma may divide, and whether a decimal one does.

        The next lines show it.
        """
        if header.delimiter != ",":
            return (), False
        amounts = columns_of_amounts(header.columns, self._columns.fields.get("price"))
        rows = [line.text for line in lines.peek(HEADER_LINES)] if amounts else []
        return amounts, are_divided(rows, header, amounts)

    def _fill(self, fields: dict[str, Any], sku: str, values: Sequence[Any]) -> None:
        """Set what further columns and other rows say: the group, and the stock by place."""
        if self._groups and not fields.get("group_id") and (group := self._groups.of(sku)):
            fields["group_id"] = group
        if self._places and (is_there := in_stock(values, self._places)) is not None:
            fields["in_stock"] = is_there

    def _row(self, record: TableRecord) -> FeedRow | Reject:
        plain = self._plan.read(record.values) if self._plan else None
        sku, uri, fields = plain or (None, None, {})
        warnings = record.warnings
        if plain is None:
            fields, wrong = self._columns.read(record.values)
            sku, uri = fields.pop("sku"), fields.pop("image_uri", None)
            warnings += wrong
        if sku is None or sku in SHEET_ERRORS:
            return Reject(record.line, None, self._without_sku(sku))
        if sku in NO_VALUE:
            said = f"the sku is {sku!r}, which programs write where there is no value"
            warnings = (*warnings, said)
        if self._currency and fields.get("price") is not None and not fields.get("currency"):
            fields["currency"] = self._currency
        is_odd = "#" in sku or not fields.get("display_name")
        if is_odd and (why := why_no_product(record.values, sku)):
            return NoProduct(record.line, None, why)
        self._fill(fields, sku, record.values)
        if self._publication.columns:
            warnings += self._publication.apply(record.values, fields, warnings)
        if self._levels or self._has_category_paths:
            fields = self._with_categories(record.values, fields)
        image = None
        if self._templated:
            image, wrong_image = self._templated.find(record.values)
            warnings += wrong_image
        row = FeedRow(
            line=record.line,
            sku=sku,
            fields=fields,
            image=image,
            warnings=warnings,
            is_checked=plain is not None and self._levels is None,
        )
        return row if self._templated else self._named.add_named(row, uri, record.values)
