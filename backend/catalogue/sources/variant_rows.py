"""Exports that write variants as rows below their product, which leave empty what all share.

Wix, Squarespace, BigCommerce, Ecwid, eBay and Shopware write them so. Each variant with a sku is a
product of ours: it takes from the row of its product what its own row leaves empty, but for stock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.column_names import names_of, plain
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import Reject
from backend.catalogue.sources.named_options import ADDED as OPTIONS
from backend.catalogue.sources.named_options import NamedOptions, column_of
from backend.vectors.image_points import MOST_IMAGES

GROUP: Final = "group of the variants"
ADDED: Final = ("additional_images", GROUP, *OPTIONS)
MOST_ROWS: Final = 5_000  # of one product
MOST_PARENTS: Final = 20_000  # in memory
_OWN: Final = re.compile(
    r".*sku|.*(?:option|variant|variation|attribute|relationship).*|ean\d*|gtin|upc|barcode|.*weight"
    r"|surcharge|inventory.*|.*stock.*|.*quantity.*|productid.*|id|item|itemtype|type|fieldtype"
)
"""Columns of one variant, which no other row inherits; without case and underscores."""
_OPTION_NAME: Final = re.compile(
    r".*(?:option|attribute|variation)(?:name\d*|\d+name)|optiongroups|バリエーション項目キー\d"
)
_SAYS_OPTION: Final = re.compile(r".*(?:option|variant|variation|attribute).*")
_PATH: Final = re.compile(r"[./]")  # which no flag holds
_NAMED_PAIRS: Final = re.compile(r"Name=([^|]+)\|Value=([^|\[]+)")
_UNTRACKED: Final = ("trackinventory", "inventorytracking")
_PAIRS: Final = re.compile(r"(?:\[\w+\])?([^=,;\[\]]+)=([^,;:]+)")
_HINT: Final = re.compile(r"\([^()]*\)|（[^（）]*）|\*")  # noqa: RUF001 - Japanese
_LABELS: Final = {
    *("name", "title", "producttitle", "productname", "itemname", "nombre", "nome", "nom"),
    *("商品名", "nameen", "namede", "namefr", "displayname", "titel", "bezeichnung"),
    *("названиетовара", "itemtitle"),
}
_HANDLES: Final = (
    *("handle", "urlhandle", "producthandle", "referencehandle", "identificadorurl"),
    *("identificadordeurl", "slug", "productslug", "slugen", "商品管理番号"),
)
"""Columns with one value for all rows of a product, which rows below may leave empty."""
_NUMBERS: Final = (
    *("productid", "itemid", "idproducto", "idproduto", "parentid", "productkey", "itemnumber"),
    *("idтовара", "productinternalid"),  # noqa: RUF001 - Russian
)
"""Columns with one value for all rows of a product."""
_SKUS: Final = (
    *("sku", "productcodesku", "productsku", "customlabel", "productnumber", "oxartnum"),
    *("sku管理番号", "sellersku", "skuid", "shopsku", "variantsku", "itemsku", "merchantsku"),
    *("customlabelsku", "артикул", "skucode"),
)


@dataclass(frozen=True, kw_only=True)
class VariantMarks:
    """How one platform marks the rows of variants."""

    name: str
    title: str
    known_by: Sequence[Sequence[str]]
    kind: str | None = None  # the column that says what a row is
    variants: Sequence[str] = ()  # what it says of a variant
    parts: Sequence[str] = ()  # of a row that holds no product: an image, or an option
    key: str | None = None  # the column that is empty in the row of a variant
    parent: str | None = None  # the column that names the id of the product
    id: str = "id"  # the column of that id
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)  # as those of a preset
    same: str | None = None  # the column that all rows of a product share, or leave empty
    label: str = "name"  # the column that only the first of them fills
    pairs: str | None = None  # the column with `Size=M;Color=Red`
    group_is_named: bool = False  # a column of the file is the group
    may_be_empty: bool = True  # the column `same`, in the rows below

    def arrange(
        self, columns: Sequence[str], records: Iterator[TableRecord | Reject]
    ) -> Iterator[TableRecord | Reject]:
        """Yield the records with the columns of `ADDED`, which `columns` ends with."""
        return _Rows.find(self, columns).arranged(records)


@dataclass(frozen=True)
class _Rows:
    """Where the columns lie that matter here."""

    marks: VariantMarks
    at: dict[str, int]
    sku: int | None
    inherited: Sequence[int]
    images: Sequence[int]
    options: NamedOptions
    of_variant: Sequence[int]  # columns that are filled in the row of a variant
    known: dict[str, TableRecord] = field(default_factory=dict)  # products by their id

    @classmethod
    def find(cls, marks: VariantMarks, columns: Sequence[str]) -> _Rows:
        names = [plain(name) for name in columns[: -len(ADDED)]]
        at = {name: place for place, name in reversed(list(enumerate(names)))}
        stock, image = names_of("in_stock"), names_of("image_uri") | {"imageurlimport"}
        own = [it for it, name in enumerate(names) if name in stock or _is_own(name)]
        return cls(
            marks=marks,
            at=at,
            sku=next((at[name] for name in _SKUS if name in at), None),
            inherited=sorted(set(range(len(names))) - set(own)),
            images=[it for it, name in enumerate(names) if name in image or "image" in name],
            options=(options := NamedOptions.find(columns)),
            of_variant=[
                *(it for it, name in enumerate(names) if _SAYS_OPTION.fullmatch(name)),
                *(value for _, value in options.pairs),
                *options.texts,
            ],
        )

    def arranged(self, records: Iterator[TableRecord | Reject]) -> Iterator[TableRecord | Reject]:
        group: list[TableRecord] = []
        for record in records:
            if isinstance(record, Reject):
                yield record
            elif group and len(group) < MOST_ROWS and self._is_below(record, group):
                group.append(record)
            else:
                yield from self._products(group)
                group = [record]
        yield from self._products(group)

    def _text(self, record: TableRecord, column: str | None) -> str:
        place = self.at.get(plain(column)) if column else None
        return "" if place is None else as_text(record.values[place])

    def _is_below(self, record: TableRecord, group: Sequence[TableRecord]) -> bool:
        marks, above = self.marks, group[0]
        if marks.parent:
            parent = self._text(record, marks.parent)
            return bool(parent) and parent == self._text(above, marks.id)
        if marks.same:
            same = self._text(record, marks.same)
            if same:
                return same == self._text(above, marks.same)
            return self._leaves_all_empty(record, group)
        if marks.kind:
            return self._text(record, marks.kind).lower() in (*marks.variants, *marks.parts)
        return bool(marks.key) and not self._text(record, marks.key)

    def _leaves_all_empty(self, record: TableRecord, group: Sequence[TableRecord]) -> bool:
        """Tell whether a row without a handle belongs to the product above.

        It has no name, and no sku, or an option, or rows above show that variants are rows here.
        """
        if not self.marks.may_be_empty or self._text(record, self.marks.label):
            return False
        return (
            not self._sku(record)
            or any(as_text(record.values[at]) for at in self.of_variant)
            or any(self._text(it, self.marks.same) for it in group[1:2])
        )

    def _products(self, rows: Sequence[TableRecord]) -> Iterator[TableRecord]:
        """Yield a product and its variants; a product without a sku gives way to them."""
        if not rows:
            return
        main, *below = rows
        is_part = [(self._is_part(it), it) for it in below]
        parts, variants = (
            [it for is_it, it in is_part if is_it == which] for which in (True, False)
        )
        named_ones = (as_text(it.values[at]) for it in parts for at in self.images)
        images = [image for image in named_ones if _PATH.search(image)]
        named = self._sku(main)
        group = (named or self._text(main, self.marks.id)) if variants else None
        if self.marks.parent:
            own = self._text(main, self.marks.id) if variants else ""
            group = self._text(main, self.marks.parent) or own or None
        if self.marks.same and variants:
            group = self._text(main, self.marks.same) or group
        if named or not any(map(self._sku, variants)):
            yield self._completed(main, self._parent_of(main), images, group)
            images = images[:MOST_IMAGES]  # the product says it if there are more
        for variant in variants:
            is_whole = bool(self.marks.same and self._text(variant, self.marks.label))
            yield self._completed(variant, None if is_whole else main, images, group)
            images = images[:MOST_IMAGES]

    def _is_part(self, record: TableRecord) -> bool:
        """Tell whether a row below a product is none, but a further image or an option."""
        if self.marks.same:
            return not self._sku(record) and not self._text(record, self.marks.label)
        return self._text(record, self.marks.kind).lower() in self.marks.parts

    def _sku(self, record: TableRecord) -> str:
        return "" if self.sku is None else as_text(record.values[self.sku])

    def _parent_of(self, record: TableRecord) -> TableRecord | None:
        """Return the product above that a row names as its parent, and remember the row."""
        if not self.marks.parent:
            return None
        if parent := self._text(record, self.marks.parent):
            return self.known.get(parent)
        self.known[self._text(record, self.marks.id)] = record
        while len(self.known) > MOST_PARENTS:
            del self.known[next(iter(self.known))]
        return None

    def _completed(
        self,
        record: TableRecord,
        parent: TableRecord | None,
        images: Sequence[str],
        group: str | None,
    ) -> TableRecord:
        values, pairs = list(record.values), self._text(record, self.marks.pairs)
        if parent is not None:
            if self.marks.pairs and "=" in pairs and plain(self.marks.pairs) == "productname":
                values[self.at["productname"]] = None  # options in place of a name
            for place in self.inherited:
                values[place] = values[place] if as_text(values[place]) else parent.values[place]
            self._add_surcharge(values)
        self._set_stock(values, record, parent)
        options = self._options(values, record)
        for name, value in _NAMED_PAIRS.findall(pairs) or _PAIRS.findall(pairs):
            if (column := column_of(name)) and not options[column]:
                options[column] = value.strip()
        if parent is not None and self.options.exact:
            for name, value in zip(OPTIONS, self.options.read(values), strict=True):
                options[name] = options[name] or value
        return record._replace(values=[*values, [*images], group, *options.values()])

    def _options(self, values: Sequence[Any], record: TableRecord) -> dict[str, Any]:
        """Return a row's options; a field's column that it leaves empty counts less than they do.

        `values` are those of the row with what it takes from its product.
        """
        own = [*values]
        for at, _ in self.options.exact:
            own[at] = record.values[at]
        return dict(zip(OPTIONS, self.options.read(own), strict=True))

    def _set_stock(
        self, values: list[Any], record: TableRecord, parent: TableRecord | None
    ) -> None:
        """Drop a stock of 0 that nothing counts."""
        said = [self._text(it, name) for it in (record, parent) if it for name in _UNTRACKED]
        if next(filter(None, said), "").lower() != "none":
            return
        for name in names_of("in_stock") & self.at.keys():
            if as_text(values[self.at[name]]) == "0":
                values[self.at[name]] = None

    def _add_surcharge(self, values: list[Any]) -> None:
        """Add what a variant costs more than its product."""
        surcharge, price = self.at.get("surcharge"), self.at.get("price")
        if surcharge is None or price is None:
            return
        try:
            amounts = [Decimal(as_text(values[place])) for place in (price, surcharge)]
        except InvalidOperation:
            return
        values[price] = str(sum(amounts))


def _is_own(name: str) -> bool:
    return bool(_OWN.fullmatch(name)) and not _OPTION_NAME.fullmatch(name)


RULES: Final = (
    VariantMarks(
        name="wix",
        title="Wix's products",
        known_by=(("handleId", "fieldType", "productImageUrl"),),
        kind="fieldType",
        variants=("variant",),
        group_is_named=True,
    ),
    VariantMarks(
        name="wix-catalogue",
        title="Wix's products",
        known_by=(("handle", "fieldType", "media"), ("handle", "fieldType", "sku")),
        kind="fieldType",
        variants=("variant",),
        parts=("media", "media_item"),
        columns={"group_id": ["handle"], "image_uri": ["media"]},
    ),
    VariantMarks(
        name="squarespace",
        title="Squarespace's products",
        known_by=(("Product ID [Non Editable]", "Variant ID [Non Editable]", "SKU"),),
        key="Product ID [Non Editable]",
    ),
    VariantMarks(
        name="bigcommerce",
        title="BigCommerce's product export",
        known_by=(("Item Type", "Product Name", "Product Code/SKU"),),
        kind="Item Type",
        variants=("sku",),
        pairs="Product Name",
    ),
    VariantMarks(
        name="bigcommerce-v3",
        title="BigCommerce's product export",
        known_by=(("Item", "ID", "Name", "Type", "SKU", "Options"),),
        kind="Item",
        variants=("variant",),
        parts=("image", "video"),
        pairs="Options",
    ),
    VariantMarks(
        name="ecwid",
        title="Ecwid's products",
        known_by=(("type", "product_internal_id", "product_sku"),),
        kind="type",
        variants=("product_variation",),
        parts=("product_option", "product_file"),
    ),
    VariantMarks(
        name="ebay",
        title="eBay's listings",
        known_by=(("CustomLabel", "Title", "Relationship", "RelationshipDetails"),),
        kind="Relationship",
        variants=("variation",),
        pairs="RelationshipDetails",
    ),
    VariantMarks(
        name="shopware",
        title="Shopware's products",
        known_by=(
            ("id", "product_number", "parent_id"),
            ("id", "product_number", "stock", "active"),
            ("id", "product_number", "translations.DEFAULT.name"),
        ),
        parent="parent_id",
        columns={
            "sku": ["product_number"],
            "display_name": ["name", "translations.DEFAULT.name"],
            "price": ["price_gross", "price.DEFAULT.gross"],
            "brand": ["manufacturer_name", "manufacturer.translations.DEFAULT.name"],
            "image_uri": ["cover_media_url", "cover.media.url"],
        },
    ),
    VariantMarks(
        name="oxid",
        title="OXID's products",
        known_by=(("OXID", "OXARTNUM", "OXTITLE"),),
        parent="OXPARENTID",
        id="OXID",
        columns={
            "sku": ["OXARTNUM"],
            "display_name": ["OXTITLE"],
            "price": ["OXPRICE"],
            "in_stock": ["OXSTOCK"],
            "image_uri": ["OXPIC1"],
        },
    ),
)
"""The platforms, in the order in which they are tried."""


def of_any_table(columns: Sequence[str]) -> VariantMarks | None:
    """Return the marks of a table with a column that the rows of one product share, and a name.

    That is a handle, or the product's own number beside the sku: Square, Vendure, Tiendanube and
    commercetools write the name in the first row alone. None for any other table.
    """
    names = {plain(_HINT.sub("", name)): name for name in reversed(columns)}
    label = next((names[it] for it in names if it in _LABELS), None)
    same = next((it for it in (*_HANDLES, *_NUMBERS) if it in names), None)
    if label is None or same is None or names.keys().isdisjoint(_SKUS):
        return None
    return VariantMarks(
        name="table",
        title="a plain table",
        known_by=(),
        same=names[same],
        label=label,
        may_be_empty=same in _HANDLES,
    )
