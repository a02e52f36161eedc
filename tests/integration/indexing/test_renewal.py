"""Images that are decoded otherwise since colours are managed are embedded again, no others."""

from __future__ import annotations

from sqlalchemy import select
from support.colour_profiles import encode, photographs, written_in
from support.shop import Shop

from backend.database.models import ImageVector
from backend.images import ImageLimits
from backend.images.decode import mark_changed
from backend.images.decoder_pool import DecoderPool
from backend.indexing.renewal import renew_changed


def stored(shop: Shop) -> set[str]:
    with shop.services.db.read() as session:
        return set(session.scalars(select(ImageVector.image_digest)))


def test_only_images_with_other_colours_are_embedded_again(shop: Shop) -> None:
    photograph = photographs(1, size=(60, 80))[0]
    files = {
        "plain": encode(photograph, "PNG"),
        "srgb": written_in(photograph, "sRGB", "JPEG"),
        "p3": written_in(photograph, "Display P3", "PNG"),
        "prophoto": written_in(photograph, "ProPhoto", "JPEG"),
    }
    for sku, data in files.items():
        shop.put(sku)
        assert data is not None
        assert shop.put_image(sku, data).status_code == 201
    second = written_in(photograph, "Display P3", "JPEG")
    shop.client.put("/v1/products/srgb/images/2", data=second, content_type="image/jpeg")
    shop.work()
    before = stored(shop)
    assert len(before) == 5

    with DecoderPool(1, limits=ImageLimits(), decode=mark_changed) as pool:
        opener = shop.services.image_opener.by(pool)
        assert renew_changed(shop.services.db, opener) == 3  # one by its second image

    assert len(stored(shop)) == 2
    assert len(shop.skus("/v1/products/plain/similar", limit=9)) == 3  # still found meanwhile
    shop.work()
    assert stored(shop) == before
