"""One catalogue, written as the platforms export it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq

from support.image_files import random_image

HOST: Final = "https://images.example"


@dataclass(frozen=True, kw_only=True)
class Article:
    """A product of the catalogue; its images are numbers of `IMAGES`."""

    sku: str
    name: str
    categories: tuple[str, str, str]
    colour: str
    gender: str
    price: str
    stock: int
    images: tuple[int, ...]


ARTICLES: Final = (
    Article(
        sku="1001",
        name="Linen shirt, striped",
        categories=("Apparel", "Topwear", "Shirts"),
        colour="Blue",
        gender="Men",
        price="1299.00",
        stock=3,
        images=(1, 2, 3),
    ),
    Article(
        sku="1002",
        name='Shirt "Nord"',
        categories=("Apparel", "Topwear", "Shirts"),
        colour="Red",
        gender="Men",
        price="19.90",
        stock=0,
        images=(4,),
    ),
    Article(
        sku="1003",
        name="Wool & silk scarf",
        categories=("Accessories", "Scarves", "Long scarves"),
        colour="Navy Blue",
        gender="Women",
        price="49.50",
        stock=12,
        images=(5, 6),
    ),
    Article(
        sku="1004",
        name="Tasche für Süßes",
        categories=("Accessories", "Bags", "Handbags"),
        colour="Black",
        gender="Women",
        price="89.00",
        stock=1,
        images=(7, 8, 9, 10),
    ),
)


def image(number: int) -> bytes:
    """Return the bytes of one of the catalogue's images."""
    return random_image(number)


def address(number: int) -> str:
    """Return the address of an image."""
    return f"{HOST}/{number}.jpg"


def hosted() -> dict[str, bytes]:
    """Return all images by their addresses."""
    return {address(each): image(each) for article in ARTICLES for each in article.images}


def write_kaggle(folder: Path) -> Path:
    """Write a folder with `styles.csv` and one image file for each product."""
    (folder / "images").mkdir(parents=True)
    for article in ARTICLES:
        (folder / "images" / f"{article.sku}.jpg").write_bytes(image(article.images[0]))
    rows = [
        {
            "id": article.sku,
            "gender": article.gender,
            "masterCategory": article.categories[0],
            "subCategory": article.categories[1],
            "articleType": article.categories[2],
            "baseColour": article.colour,
            "season": "Fall",
            "year": "2012",
            "usage": "Casual",
            "productDisplayName": article.name,
            "price": article.price,
            "in_stock": article.stock > 0,
        }
        for article in ARTICLES
    ]
    _write_csv(folder / "styles.csv", rows)
    return folder


def write_google(folder: Path) -> Path:
    """Write an RSS feed of Google Merchant Center."""
    return _write_text(
        folder / "feed.xml",
        '<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0" version="2.0">'
        f"<channel><title>Shop</title>{''.join(map(_google_item, ARTICLES))}</channel></rss>",
    )


def write_shopify(folder: Path) -> Path:
    """Write a product export of Shopify, each further image in a row of its own."""
    rows = []
    for article in ARTICLES:
        rows.append(
            {
                "Handle": f"handle-{article.sku}",
                "Title": article.name,
                "Product Category": " > ".join(article.categories),
                "Option1 Name": "Color",
                "Option1 Value": article.colour,
                "Variant SKU": article.sku,
                "Variant Inventory Qty": article.stock,
                "Variant Price": article.price,
                "Image Src": address(article.images[0]),
                "Image Position": 1,
                "Google Shopping / Gender": article.gender,
                "Status": "active",
            }
        )
        rows += [
            {
                "Handle": f"handle-{article.sku}",
                "Image Src": address(each),
                "Image Position": position,
            }
            for position, each in enumerate(article.images[1:], 2)
        ]
    return _write_csv(folder / "products_export.csv", rows)


def write_woocommerce(folder: Path) -> Path:
    """Write a product export of WooCommerce."""
    rows = [
        {
            "ID": number,
            "Type": "simple",
            "SKU": article.sku,
            "Name": article.name,
            "Published": 1,
            "In stock?": int(article.stock > 0),
            "Stock": article.stock,
            "Regular price": article.price,
            "Categories": ", ".join(
                " > ".join(article.categories[:depth]) for depth in range(1, 4)
            ),
            "Images": ", ".join(map(address, article.images)),
            "Parent": "",
            "Attribute 1 name": "Color",
            "Attribute 1 value(s)": article.colour,
            "Attribute 2 name": "Gender",
            "Attribute 2 value(s)": article.gender,
        }
        for number, article in enumerate(ARTICLES, 11)
    ]
    return _write_csv(folder / "wc-product-export.csv", rows)


def write_magento(folder: Path) -> Path:
    """Write a product export of Magento, its images below the folder of its media."""
    media = folder / "pub" / "media" / "catalog" / "product"
    rows = []
    for article in ARTICLES:
        paths = [f"/{article.sku[0]}/{article.sku[1]}/{each}.jpg" for each in article.images]
        for path, each in zip(paths, article.images, strict=True):
            (media / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            (media / path[1:]).write_bytes(image(each))
        rows.append(
            {
                "sku": article.sku,
                "attribute_set_code": "Default",
                "product_type": "simple",
                "categories": ",".join(
                    "/".join(("Default Category", *article.categories[:depth]))
                    for depth in range(1, 4)
                ),
                "name": article.name,
                "price": f"{article.price}0000",
                "base_image": paths[0],
                "additional_images": ",".join(paths),
                "additional_attributes": f"color={article.colour},gender={article.gender}",
                "qty": f"{article.stock}.0000",
                "is_in_stock": int(article.stock > 0),
            }
        )
    return _write_csv(folder / "catalog_product.csv", rows)


def write_parquet(folder: Path) -> Path:
    """Write a Parquet file with types, and a list of images."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        "sku": [int(article.sku) for article in ARTICLES],
        "display_name": [article.name for article in ARTICLES],
        "master_category": [article.categories[0] for article in ARTICLES],
        "sub_category": [article.categories[1] for article in ARTICLES],
        "article_type": [article.categories[2] for article in ARTICLES],
        "base_colour": pa.array([article.colour for article in ARTICLES]).dictionary_encode(),
        "gender": [article.gender for article in ARTICLES],
        "price": [float(article.price) for article in ARTICLES],
        "in_stock": [article.stock > 0 for article in ARTICLES],
        "images": [list(map(address, article.images)) for article in ARTICLES],
    }
    pq.write_table(pa.table(columns), folder / "products.parquet")
    return folder / "products.parquet"


WRITERS: Final[Mapping[str, Callable[[Path], Path]]] = {
    "kaggle": write_kaggle,
    "google": write_google,
    "shopify": write_shopify,
    "woocommerce": write_woocommerce,
    "magento": write_magento,
    "parquet": write_parquet,
}


def _google_item(article: Article) -> str:
    fields: list[tuple[str, str]] = [
        ("id", article.sku),
        ("title", article.name),
        ("link", f"https://shop.example/{article.sku}"),
        ("image_link", address(article.images[0])),
        *(("additional_image_link", address(each)) for each in article.images[1:]),
        ("availability", "in_stock" if article.stock else "out_of_stock"),
        ("price", f"{article.price} EUR"),
        ("product_type", " > ".join(article.categories)),
        ("color", article.colour),
        ("gender", article.gender),
    ]
    return (
        f"<item>{''.join(f'<g:{name}>{escape(text)}</g:{name}>' for name, text in fields)}</item>"
    )


def _write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _names(rows))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _names(rows: Iterable[Mapping[str, object]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))
