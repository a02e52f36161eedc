"""The records of a table -> rows of a feed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from backend.catalogue.drafts import LONGEST_NAME
from backend.catalogue.sources.cell_texts import first_sentence
from backend.catalogue.sources.column_names import plain
from backend.catalogue.sources.columns import Columns
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import FeedRow, NoProduct, Reject
from backend.catalogue.sources.no_products import why_no_product
from backend.catalogue.sources.no_values import NO_VALUE, SHEET_ERRORS
from backend.catalogue.sources.presets import Preset
from backend.catalogue.sources.price_names import price_name
from backend.catalogue.sources.product_groups import ProductGroups
from backend.catalogue.sources.publication import Publication
from backend.catalogue.sources.row_categories import RowCategories
from backend.catalogue.sources.row_images import RowImages
from backend.catalogue.sources.row_plan import RowPlan
from backend.catalogue.sources.stock_by_place import columns_by_place, in_stock

_DESCRIPTIONS: Final = (
    *("description", "descriptionshort", "materialdescription"),
    *("descrizione", "omschrijving", "artikelomschrijving"),
)
"""Columns that are the name of a product where a table has no other, and may be longer than one."""


class TableRows:
    """Reads the rows of one table. `plan` is for tables whose cells are all text."""

    def __init__(
        self,
        names: Sequence[str],
        columns: Columns,
        preset: Preset,
        *,
        categories: RowCategories,
        images: RowImages,
        plan: RowPlan | None = None,
    ) -> None:
        self._columns = columns
        self._sku_column = names[columns.fields["sku"]]
        name = columns.fields.get("display_name")
        self._name_is_description = name is not None and plain(names[name]) in _DESCRIPTIONS
        price = columns.fields.get("price")
        self._currency = None if price is None else price_name(names[price])[1]
        has_stock = "in_stock" in columns.fields
        self._places = [] if has_stock else columns_by_place(names)
        self._publication = Publication.find(names, preset.hidden, preset.usual_name)
        self._categories = categories
        self._images = images
        self._plan = plan
        self.groups = ProductGroups.find(names, columns.fields)

    def read(self, record: TableRecord) -> FeedRow | Reject:
        """Return the row of a record, or why it gives no product."""
        values, warnings = record.values, record.warnings
        plain_row = self._plan.read(values) if self._plan else None
        sku, uri, fields = plain_row or (None, None, {})
        if plain_row is None:
            fields, wrong = self._columns.read(values)
            sku, uri = fields.pop("sku"), fields.pop("image_uri", None)
            warnings += wrong
            if self._name_is_description and (name := fields.get("display_name")):
                fields["display_name"] = first_sentence(name, LONGEST_NAME)
        if sku is None or sku in SHEET_ERRORS:
            return Reject(record.line, None, self._without_sku(sku, warnings))
        is_odd = "#" in sku or not fields.get("display_name")
        if is_odd and (why := why_no_product(values, sku)):
            return NoProduct(record.line, None, why)
        if sku in NO_VALUE:
            said = f"the sku is {sku!r}, which programs write where there is no value"
            warnings = (*warnings, said)
        if self.groups and not fields.get("group_id") and (group := self.groups.of(sku)):
            fields["group_id"] = group
        fields, warnings = self._completed(values, fields, warnings)
        row = FeedRow(
            line=record.line,
            sku=sku,
            fields=fields,
            warnings=warnings,
            is_checked=plain_row is not None and self._categories.levels is None,
        )
        return self._images.add_to(row, uri, values)

    def _completed(
        self, values: Sequence[Any], fields: dict[str, Any], warnings: tuple[str, ...]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return fields and warnings with what no column of a field alone says.

        That are the currency in a name, stock by place, publication, and categories.
        """
        if self._currency and fields.get("price") is not None and not fields.get("currency"):
            fields["currency"] = self._currency
        if self._places and (is_there := in_stock(values, self._places)) is not None:
            fields["in_stock"] = is_there
        if self._publication.columns:
            warnings += self._publication.apply(values, fields, warnings)
        return self._categories.apply(values, fields), warnings

    def _without_sku(self, cell: str | None, warnings: Sequence[str]) -> str:
        """Say that a row has no sku, and in which column it was looked for if its name is odd.

        `warnings` are those of its cells: one may be about that of the sku.
        """
        column = self._sku_column
        wrong = next((it for it in warnings if it.startswith(f"{column}: ")), "")
        reason = cell or wrong.removeprefix(f"{column}: ").removesuffix("; left out")
        said = f" ({reason})" if reason else ""
        where = "" if plain(column) in ("sku", "id") else f" in the column {column!r}"
        return f"the sku is empty{where}{said}"
