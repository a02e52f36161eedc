"""Platforms whose exports name their columns as no other does: `OXTITLE`, `v_products_name_1`.

Where a platform has a number of its own for each product beside the sku that the shop gives, a
product without a sku is named by that number, as `id:40`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from backend.catalogue.sources import named_options
from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.column_names import plain
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import Reject

ADDED: Final = named_options.ADDED


@dataclass(frozen=True, kw_only=True)
class Platform:
    """How one platform names its columns; the others are found as in any table."""

    name: str
    title: str
    known_by: Sequence[Sequence[str]]
    columns: Mapping[str, Sequence[str]]  # our field -> the columns to take
    ids: Sequence[str] = ()  # columns, of which the first names a product without a sku
    hidden: Mapping[str, Sequence[str]] = field(default_factory=dict)
    usual_name: Callable[[str], str] = str  # of a column, from the name that it has

    def arrange(
        self, columns: Sequence[str], records: Iterator[TableRecord | Reject]
    ) -> Iterator[TableRecord | Reject]:
        """Yield the records with the columns of `ADDED`, which `columns` ends with."""
        at = {plain(name): place for place, name in reversed(list(enumerate(columns)))}
        sku = next((at[plain(name)] for name in self.columns["sku"] if plain(name) in at), None)
        number = next((at[plain(name)] for name in self.ids if plain(name) in at), None)
        named = (
            _with_sku(record, sku, number) if isinstance(record, TableRecord) else record
            for record in records
        )
        return named_options.arrange(columns, named)


def _with_sku(record: TableRecord, sku: int | None, number: int | None) -> TableRecord:
    """Fill the sku of a record that has none with its number."""
    if sku is None or number is None or as_text(record.values[sku]):
        return record
    values = [*record.values]
    if found := as_text(values[number]):
        values[sku] = f"id:{found}"
    return record._replace(values=values)


def _platform(
    name: str,
    title: str,
    known_by: Sequence[str],
    columns: Mapping[str, str],
    *,
    ids: str = "",
    hidden: Mapping[str, Sequence[str]] | None = None,
    usual_name: Callable[[str], str] = str,
) -> Platform:
    """Return a platform; names that count one after the other are divided by blanks and commas."""
    return Platform(
        name=name,
        title=title,
        known_by=[_listed(each) for each in known_by],
        columns={ours: _listed(theirs) for ours, theirs in columns.items()},
        ids=_listed(ids) if ids else (),
        hidden=hidden or {},
        usual_name=usual_name,
    )


def _listed(columns: str) -> list[str]:
    return [column.strip() for column in columns.split(",")]


def _without_place(name: str) -> str:
    """Return the bare name of `default-channel (channel price amount)`: the price amount."""
    found = _OF_PLACE.search(name)
    return found[1] if found else name


_OF_PLACE: Final = re.compile(r"\((?:channel|warehouse) ([^()]+)\)$")
_OFF: Final = ("0", "n", "no", "false")
PLATFORMS: Final = (
    _platform(
        "prestashop",
        "PrestaShop's products",
        (
            "Product ID, Reference, Name",
            "id, reference, id_category_default",
            "id, reference, id_manufacturer",
            "ID, Référence, Nom, Prix (HT)",
            "ID produit, Référence, Nom",
            "ID, Referencia, Nombre",
            "ID, Artikelnummer, Name, Preis (zzgl. MwSt.)",
        ),
        {"sku": "Reference, Référence, Referencia, Artikelnummer"},
        ids="Product ID, ID produit, ID",
        hidden={"Status": _OFF, "État": _OFF, "Estado": _OFF},
    ),
    _platform(
        "prestashop-combinations",
        "PrestaShop's combinations",
        ("Product ID, Attribute (Name:Type:Position), Reference",),
        {"sku": "Reference", "group_id": "Product ID"},
    ),
    _platform(
        "shopware5",
        "Shopware 5's articles",
        ("ordernumber, mainnumber, name",),
        {
            "sku": "ordernumber",
            "group_id": "mainnumber",
            "price": "price_EK, price",
            "brand": "supplier",
            "in_stock": "instock",
        },
    ),
    _platform(
        "zencart",
        "Zen Cart's products",
        ("v_products_model, v_products_price",),
        {
            "sku": "v_products_model",
            "display_name": "v_products_name_1, v_products_name_2",
            "price": "v_products_price",
            "in_stock": "v_products_quantity",
            "image_uri": "v_products_image",
            "brand": "v_manufacturers_name",
            "article_type": "v_categories_name_1",
        },
        ids="v_products_id",
        hidden={"v_status": _OFF},
    ),
    _platform(
        "gambio",
        "Gambio's products",
        ("XTSOL, p_id, p_model",),
        {
            "sku": "p_model",
            "display_name": "p_name.de, p_name.en",
            "price": "p_priceNoTax",
            "in_stock": "p_stock",
            "image_uri": "p_image",
            "brand": "p_manufacturer",
            "article_type": "p_cat.2, p_cat.1, p_cat.0",
        },
        ids="p_id",
        hidden={"p_status": _OFF},
    ),
    _platform(
        "bitrix",
        "1C-Bitrix's elements",
        ("IE_XML_ID, IE_NAME",),
        {
            "sku": "IE_XML_ID",
            "display_name": "IE_NAME",
            "price": "CV_PRICE_1",
            "currency": "CV_CURRENCY_1",
            "in_stock": "CP_QUANTITY",
            "image_uri": "IE_DETAIL_PICTURE, IE_PREVIEW_PICTURE",
            "article_type": "IC_GROUP2, IC_GROUP1, IC_GROUP0",
            "master_category": "IC_GROUP0",
        },
        ids="IE_ID",
        hidden={"IE_ACTIVE": _OFF},
    ),
    _platform(
        "plentymarkets",
        "plentymarkets' variations",
        ("Variation.id, Variation.number", "VariationID, VariationNo"),
        {
            "sku": "Variation.number, VariationNo",
            "group_id": "Item.id, ItemID",
            "display_name": "ItemText.name, ItemTextName, Item.name1",
            "price": "VariationSalesPrice.price, SalesPrice.price",
            "in_stock": "VariationStock.stockNet, VariationStock.netStock",
            "image_uri": "ItemImage.url, ItemImageURL",
            "brand": "ItemManufacturer.name",
            "article_type": "Category.path, Category.name",
        },
        ids="Variation.id",
    ),
    _platform(
        "netsuite",
        "NetSuite's items",
        ("Internal ID, Name, Display Name", "Internal ID, Item Name/Number"),
        {
            "sku": "Item Name/Number, Name",
            "display_name": "Display Name, Store Display Name, Sales Description",
            "price": "Online Price, Base Price",
            "group_id": "Matrix Item : Parent, Subitem of",
        },
        ids="Internal ID",
    ),
    _platform(
        "lightspeed-ecom",
        "Lightspeed eCom's products",
        ("Internal_ID, Internal_Variant_ID",),
        {"sku": "Article_Code, SKU", "group_id": "Internal_ID", "in_stock": "Stock_Level"},
        ids="Internal_Variant_ID",
    ),
    _platform(
        "ceneo",
        "Ceneo's offers",
        ("id, cat, imgs, avail",),
        {"sku": "id", "article_type": "cat"},
    ),
    _platform(
        "cs-cart",
        "CS-Cart's products",
        ("Product code, Language, Product name", "Product code, Language, Status"),
        {"sku": "Product code", "image_uri": "Detailed image"},
        ids="Product id",
        hidden={"Status": ("d", "h")},
    ),
    _platform(
        "saleor",
        "Saleor's products",
        ("id, variant id, variant sku",),
        {
            "sku": "variant sku",
            "group_id": "id",
            "article_type": "category",
            "price": "price amount",
            "currency": "currency code",
            "image_uri": "variant media, product media",
        },
        ids="variant id",
        hidden={"published": _OFF},
        usual_name=_without_place,
    ),
)
"""The platforms, in the order in which they are tried."""
