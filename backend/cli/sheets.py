"""Contact sheets of products: each query on the left, its neighbours on the right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from backend import images
from backend.database.models import Product
from backend.errors import ImageError
from backend.lab.contact_sheet import SheetRow, SheetTile, contact_sheet

if TYPE_CHECKING:
    from PIL.Image import Image

    from backend.bootstrap import Services

TILE = (150, 200)  # width, height in pixels


def draw(found: Services, responses: Mapping[str, dict[str, Any]], *, title: str) -> Image:
    """Draw responses of the API by their query: a sku, a file, or words.

    An image that fails, and words, are a grey tile.
    """
    skus = {item["sku"] for body in responses.values() for item in body["items"]} | set(responses)
    products = _products(found, skus)
    tiles = {sku: _ProductImage(found, product) for sku, product in products.items()}
    rows = [
        SheetRow(
            tiles[sku].tile() if sku in tiles else _query_tile(found, sku),
            [tiles[item["sku"]].tile(item["score"]) for item in body["items"]],
        )
        for sku, body in responses.items()
    ]
    return contact_sheet(rows, title=title, tile=TILE)


def _query_tile(found: Services, query: str) -> SheetTile:
    """Return the tile of a query that is no product."""
    image = open_image(found, str(Path(query).absolute())) if Path(query).is_file() else None
    return SheetTile(image=image, caption=Path(query).name)


def _products(found: Services, skus: Iterable[str]) -> dict[str, Product]:
    with found.db.read() as session:
        rows = session.scalars(select(Product).where(Product.sku.in_(list(skus))))
        return {row.sku: row for row in rows}


class _ProductImage:
    """The image of a product; opened once, even if it is drawn several times."""

    def __init__(self, found: Services, product: Product) -> None:
        self._image = open_image(found, product.image_uri)
        self._caption = product.display_name or product.sku

    def tile(self, score: float | None = None) -> SheetTile:
        return SheetTile(image=self._image, caption=self._caption, score=score)


def open_image(found: Services, uri: str | None, box: tuple[int, int] = TILE) -> Image | None:
    """Return an image that fits into a box (width, height), not stretched; None if it fails."""
    try:
        source = found.image_opener.source(uri)
        data = (
            source if isinstance(source, bytes) else images.read_file(source, limits=found.limits)
        )
        info = images.inspect(data, limits=found.limits)
        scale = min(box[0] / info.width, box[1] / info.height)
        target = (max(1, round(info.height * scale)), max(1, round(info.width * scale)))
        return found.decoders.decode_one(data, target=target).image
    except ImageError:
        return None
