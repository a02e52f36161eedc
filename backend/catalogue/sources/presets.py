"""The exports of well-known platforms: recognised by their headers, read without options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from backend.catalogue.drafts import FIELDS
from backend.catalogue.sources import (
    further_platforms,
    magento,
    named_options,
    opencart,
    publication,
    shopify,
    variant_rows,
    woocommerce,
    woocommerce_headers,
)
from backend.catalogue.sources.column_names import names_of, plain
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import Reject
from backend.catalogue.sources.mapping import FeedMapping
from backend.errors import ConfigurationError

Records: TypeAlias = Iterator[TableRecord | Reject]
Arrange: TypeAlias = Callable[[Sequence[str], Records], Records]
"""Takes the columns and the records; returns records that have the preset's `added` columns too."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How one platform's export is read. Names of columns match whatever their case and `_`."""

    name: str  # for --format
    title: str
    known_by: Sequence[Sequence[str]]  # the columns of a header that is surely this platform's
    columns: Mapping[
        str, Sequence[str]
    ]  # our field -> the columns to take, the first that is there
    hidden: publication.Hidden = field(default_factory=dict)
    image_folders: tuple[str, ...] = ("",)
    image: str | None = None  # template, if no column names the image
    paths_end: str | None = None  # what divides several category paths in one cell
    added: tuple[str, ...] = ()  # columns that `arrange` adds
    arrange: Arrange | None = field(default=None, repr=False)
    is_any_shops: bool = False  # columns are found by their usual and further names too
    usual_name: Callable[[str], str] = field(default=str, repr=False)  # a name of a column
    has_options: bool = False  # `arrange` adds those of `named_options`
    ids: Sequence[str] = ()  # columns of the platform's number, the sku where that repeats


TABLE: Final = Preset(
    name="table",
    title="a plain table",
    known_by=(),
    columns={},
    hidden=publication.TABLE,
    is_any_shops=True,
)


def _with_variant_rows(marks: variant_rows.VariantMarks) -> Preset:
    """Return the preset of a platform that writes its variants as rows below their product."""
    groups = {} if marks.group_is_named else {"group_id": [variant_rows.GROUP]}
    return Preset(
        name=marks.name,
        title=marks.title,
        known_by=marks.known_by,
        columns={"base_colour": [named_options.COLOUR], **groups, **marks.columns},
        hidden=publication.TABLE,
        added=variant_rows.ADDED,
        arrange=marks.arrange,
        is_any_shops=True,
    )


def _with_own_names(platform: further_platforms.Platform) -> Preset:
    """Return the preset of a platform whose columns have names of its own."""
    return Preset(
        name=platform.name,
        title=platform.title,
        known_by=platform.known_by,
        columns=platform.columns,
        has_options=True,
        ids=platform.ids,
        hidden={**publication.TABLE, **platform.hidden},
        added=further_platforms.ADDED,
        arrange=platform.arrange,
        usual_name=platform.usual_name,
        is_any_shops=True,
    )


_GOOGLE: Final = {
    "sku": ["id"],
    "display_name": ["title"],
    "image_uri": ["image_link", "image[0].url", "image"],
    "in_stock": ["availability"],
    "price": ["price"],
    "base_colour": ["color"],
    "gender": ["gender"],
    "article_type": [
        "product_type",
        "product_types",
        "fb_product_category",
        "google_product_category",
    ],
    "brand": ["brand"],
    "link": ["link"],
    "group_id": ["item_group_id"],
}

_MAGENTOS_IMAGES: Final = (
    *("", "pub/media/catalog/product", "media/catalog/product"),
    *("pub/media/import", "media/import"),
)

PRESETS: Final = (
    Preset(
        name="kaggle",
        title="Kaggle's Fashion Product Images",
        known_by=(("id", "masterCategory", "subCategory", "articleType", "productDisplayName"),),
        columns={},
        image="images/{sku}.jpg",
    ),
    Preset(
        name="shopify",
        title="Shopify's product export",
        known_by=(
            ("Handle", "Title", "Variant SKU"),
            ("Handle", "Title", "Image Src"),
            ("URL handle", "Title", "Product image URL"),
        ),
        columns={
            "sku": ["Variant SKU", "SKU"],
            "display_name": ["Title"],
            "image_uri": ["Image Src", "Product image URL"],
            "price": ["Variant Price", "Price"],
            "in_stock": ["Variant Inventory Qty", "Inventory quantity"],
            "article_type": ["Type", "Product Category"],
            "base_colour": [named_options.COLOUR],
            "gender": [named_options.GENDER],
            "brand": ["Vendor"],
            "group_id": [shopify.GROUP],
            "link": ["URL"],
        },
        hidden=publication.SHOPIFY,
        added=shopify.ADDED,
        arrange=shopify.arrange,
    ),
    Preset(
        name="woocommerce",
        title="WooCommerce's product export",
        known_by=(
            ("ID", "SKU", "Name", "In stock?", "Published"),
            ("ID", "SKU", "Name", "In stock?", "Categories"),
            ("ID", "SKU", "Name", "Regular price"),
            ("Type", "SKU", "Name", "Regular price", "Images"),
        ),
        columns={
            "sku": ["SKU"],
            "display_name": ["Name"],
            "image_uri": ["Images"],
            "price": ["Regular price"],
            "in_stock": ["In stock?", "Stock"],
            "article_type": ["Categories"],
            "base_colour": [named_options.COLOUR],
            "gender": [named_options.GENDER],
            "brand": ["Brands"],
            "group_id": ["Parent"],
            "link": ["permalink"],
        },
        hidden=publication.WOOCOMMERCE,
        paths_end=",",
        added=named_options.ADDED,
        arrange=woocommerce.arrange,
        usual_name=woocommerce_headers.in_english,
    ),
    Preset(
        name="magento1",
        title="Magento 1's product export",
        known_by=(("sku", "_attribute_set", "_type"),),
        columns={
            "sku": ["sku"],
            "display_name": ["name"],
            "image_uri": ["image", "small_image", "thumbnail"],
            "price": ["price"],
            "in_stock": ["is_in_stock", "qty"],
            "article_type": ["_category"],
            "base_colour": ["color", named_options.COLOUR],
            "gender": ["gender", named_options.GENDER],
            "brand": ["manufacturer", "brand"],
        },
        hidden=publication.MAGENTO,
        image_folders=_MAGENTOS_IMAGES,
        added=magento.ADDED_TO_FIRST_VERSION,
        arrange=magento.arrange_first_version,
    ),
    Preset(
        name="magento",
        title="Magento's (Adobe Commerce's) product export",
        known_by=(
            ("sku", "base_image"),
            ("sku", "attribute_set_code", "product_type"),
            ("sku", "product_websites", "product_type"),
            ("sku", "attribute_set_id", "type_id"),  # of its API
        ),
        columns={
            "sku": ["sku"],
            "display_name": ["name"],
            "image_uri": ["base_image", "small_image", "thumbnail_image", "image"],
            "price": ["price"],
            "in_stock": ["is_in_stock", "qty"],
            "article_type": ["categories"],
            "base_colour": ["color", named_options.COLOUR],
            "gender": ["gender", named_options.GENDER],
            "brand": ["manufacturer", "brand"],
            "group_id": ["parent_sku", magento.GROUP],
            "link": ["url"],
        },
        hidden=publication.MAGENTO,
        image_folders=_MAGENTOS_IMAGES,
        paths_end=",",
        added=magento.ADDED,
        arrange=magento.arrange,
    ),
    Preset(
        name="opencart",
        title="OpenCart's products",
        known_by=(
            ("product_id", "model", "image_name"),
            ("product_id", "model", "tax_class_id"),
            ("product_id", "model", "upc"),
            ("product_id", "model", "quantity", "image"),
        ),
        columns={
            "sku": ["sku", "product_id", "model"],
            "display_name": ["name"],
            "image_uri": ["image_name", "image"],
            "price": ["price"],
            "in_stock": ["quantity"],
            "article_type": [opencart.CATEGORY],
            "brand": ["manufacturer"],
        },
        hidden=publication.OPENCART,
        image_folders=("", "image", "image/catalog", "catalog"),
        added=opencart.ADDED,
        arrange=opencart.arrange,
    ),
    Preset(
        name="meta",
        title="Meta's (Facebook's) catalogue",
        known_by=(
            ("id", "title", "fb_product_category"),
            ("id", "title", "quantity_to_sell_on_facebook"),
            ("id", "title", "image[0].url"),
        ),
        columns=_GOOGLE,
        hidden=publication.META,
    ),
    Preset(
        name="google",
        title="Google Merchant Center's feed",
        known_by=(
            ("id", "title", "image_link", "availability"),
            ("id", "title", "image_link", "link"),
            ("id", "title", "image_link", "price"),
        ),
        columns=_GOOGLE,
    ),
    TABLE,
)
_MEDUSA: Final = Preset(
    name="medusa",
    title="Medusa's product export",
    known_by=(("Product Handle", "Product Title", "Variant SKU"),),
    columns={
        "sku": ["Variant SKU"],
        "display_name": ["Product Title"],
        "group_id": ["Product Handle"],
        "in_stock": ["Variant Inventory Quantity"],
        "base_colour": [named_options.COLOUR],
        "gender": [named_options.GENDER],
    },
    hidden={"Product Status": ("draft", "proposed", "rejected")},
    added=named_options.ADDED,
    arrange=named_options.arrange,
    is_any_shops=True,
)
_FURTHER: Final = (
    *(_MEDUSA, *map(_with_variant_rows, variant_rows.RULES)),
    *map(_with_own_names, further_platforms.PLATFORMS),
)
NAMES: Final = tuple(preset.name for preset in PRESETS)


def find_preset(columns: Sequence[str], name: str | None) -> Preset:
    """Return the preset with a name, or the one whose columns a header has; else the plain table.

    Raises ConfigurationError for an unknown name.
    """
    if name is not None:
        found = next((preset for preset in PRESETS if preset.name == name), None)
        if found is None:
            raise ConfigurationError(f"there is no format {name!r}; there are: {', '.join(NAMES)}")
        return found
    for preset in (*PRESETS, *_FURTHER):
        there = {plain(preset.usual_name(column)) for column in columns}
        if any(there.issuperset(map(plain, known)) for known in preset.known_by):
            options = _options(columns) if preset.has_options else {}
            return replace(preset, columns={**options, **preset.columns}) if options else preset
    return _any_table(columns)


def _any_table(columns: Sequence[str]) -> Preset:
    """Return how a table of no known platform is read: maybe with options, or rows of variants."""
    marks = variant_rows.of_any_table(columns)
    if not marks and not named_options.NamedOptions.find(columns):
        return TABLE
    options = _options(columns)
    if marks is None:
        arrange = named_options.arrange
        return replace(TABLE, columns=options, added=named_options.ADDED, arrange=arrange)
    has_group = any(plain(it) in names_of("group_id") for it in columns)
    return replace(
        TABLE,
        columns=options if has_group else {**options, "group_id": [variant_rows.GROUP]},
        added=variant_rows.ADDED,
        arrange=marks.arrange,
    )


def _options(columns: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the fields that options give, where no column of another name is theirs."""
    return {
        ours: [name]
        for ours, name in named_options.FIELDS.items()
        if not any(
            plain(it) in names_of(ours) and not named_options.column_of(it) for it in columns
        )
    }


def apply_preset(preset: Preset, columns: Sequence[str], mapping: FeedMapping) -> FeedMapping:
    """Lay a mapping over the preset's; a field whose columns are not there is left out.

    A later column that has our own name for a field is not taken for it where the preset names
    another.
    """
    by_name = {plain(preset.usual_name(column)): column for column in reversed(columns)}
    found = {
        ours: column
        for ours, names in preset.columns.items()
        if ours in ("sku", *FIELDS)
        and (column := next(filter(None, (by_name.get(plain(each)) for each in names)), None))
    }
    taken = set(mapping.columns.values())
    mapped = {ours: column for ours, column in found.items() if column not in taken}
    folders = preset.image_folders if mapping.image_folders == ("",) else mapping.image_folders
    return replace(mapping, columns={**mapped, **mapping.columns}, image_folders=folders)
