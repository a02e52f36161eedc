"""Which columns of a table hold our fields, which further images, and which are attributes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from backend.catalogue.sources.bare_names import columns_by_bare_names
from backend.catalogue.sources.column_names import match, plain, with_reduced_price
from backend.catalogue.sources.columns import Columns
from backend.catalogue.sources.csv_dialect import Header
from backend.catalogue.sources.image_columns import IMAGES, further_columns
from backend.catalogue.sources.mapping import FeedMapping
from backend.catalogue.sources.presets import Preset
from backend.catalogue.sources.sku_columns import SkuChoice

ALSO_ATTRIBUTES: Final = ("in_stock", "group_id", "brand", "link")
"""Fields whose columns stay in the attributes too, where filters and facets may name them."""


class TableColumns(NamedTuple):
    """The columns of fields and attributes, and those of further images, which are neither."""

    columns: Columns
    further_images: Sequence[int]

    def list_images(self, names: Sequence[str]) -> bool:
        """Tell whether the columns hold all images of a product, and not only its first."""
        at = self.columns.fields.get("image_uri")
        return bool(self.further_images) or (at is not None and plain(names[at]) in IMAGES)


def find_table_columns(
    header: Header, preset: Preset, mapping: FeedMapping, *, named: Collection[str]
) -> TableColumns:
    """Find the columns of a table; its header has the columns that the preset adds at the end.

    `mapping` lies over the preset's; `named` are the fields whose columns the operator has named.
    Raises ConfigurationError, UnreadableCatalogue as `column_names.match` does.
    """
    names, is_any_shops = header.columns, preset.is_any_shops
    bare = columns_by_bare_names(names, mapping, is_any_shops=is_any_shops)
    columns = match(
        names,
        {**bare, **mapping.columns},
        decimal=mapping.decimal,
        delimiter=header.delimiter,
        numeric=mapping.numeric,
        is_any_shops=is_any_shops,
    )
    if is_any_shops:
        columns = with_reduced_price(names, columns)
    could_be = further_columns(names, columns.fields.get("image_uri"))
    further = [at for at in could_be if at not in columns.fields.values()]
    of_file = len(names) - len(preset.added)
    attributes = {
        name: at
        for name, at in columns.attributes.items()
        if at not in further and at < of_file  # an added column is no attribute
    }
    attributes |= _attributes_of_fields(names, columns.fields, preset, named)
    return TableColumns(replace(columns, attributes=attributes), further)


def _attributes_of_fields(
    names: Sequence[str], fields: Mapping[str, int], preset: Preset, named: Collection[str]
) -> dict[str, int]:
    """Return the columns of fields that stay in the attributes too."""
    found = {field: fields[field] for field in ALSO_ATTRIBUTES if field in fields}
    return {
        names[at]: at
        for field, at in found.items()
        if field not in named
        and names[at] not in preset.added
        and not (field == "in_stock" and plain(names[at]) == "instock")  # it says no more
    }


def with_sku_column(
    mapping: FeedMapping, choice: SkuChoice, names: Sequence[str], fields: Mapping[str, int]
) -> FeedMapping:
    """Name the chosen column of the sku, and as the group what the name chose if no column is."""
    named = {"sku": names[choice.column]}
    if choice.is_group and fields.get("group_id") in (None, choice.column):
        named["group_id"] = names[fields["sku"]]
    return replace(mapping, columns={**mapping.columns, **named})
