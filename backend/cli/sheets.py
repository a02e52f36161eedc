"""Contact sheets of products: each query on the left, its neighbours on the right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from backend import images
from backend.cli.contact_sheet import SheetRow, SheetTile, contact_sheet
from backend.database.models import Product
from backend.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

    from backend.bootstrap import Services

TILE = (150, 200)  # width, height in pixels


def draw(found: Services, answers: Mapping[str, dict[str, Any]], *, title: str) -> Image:
    """Draw answers of the API, {sku of the query: body}; a picture that fails is a grey tile."""
    skus = {item["sku"] for body in answers.values() for item in body["items"]} | set(answers)
    products = _products(found, skus)
    tiles = {sku: _Picture(found, product) for sku, product in products.items()}
    rows = [
        SheetRow(
            tiles[sku].tile(), [tiles[item["sku"]].tile(item["score"]) for item in body["items"]]
        )
        for sku, body in answers.items()
    ]
    return contact_sheet(rows, title=title, tile=TILE)


def _products(found: Services, skus: Iterable[str]) -> dict[str, Product]:
    with found.db.read() as session:
        rows = session.scalars(select(Product).where(Product.sku.in_(list(skus))))
        return {row.sku: row for row in rows}


class _Picture:
    """One product's picture, opened once however often it is shown."""

    def __init__(self, found: Services, product: Product) -> None:
        self._image = open_picture(found, product.image_uri)
        self._caption = product.display_name or product.sku

    def tile(self, score: float | None = None) -> SheetTile:
        return SheetTile(image=self._image, caption=self._caption, score=score)


def open_picture(found: Services, uri: str | None, box: tuple[int, int] = TILE) -> Image | None:
    """Return a picture fitted into a box (width, height) in its own shape; None if it fails."""
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
