"""`/v1/products/{sku}/image`: images go in and out as raw bytes; what is none is refused."""

from __future__ import annotations

import io
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support import hostile_decoding
from support.image_bombs import jpeg_of_scans
from support.image_files import colour_image
from support.servers import wait_for
from support.shop import PROBLEM, Shop
from werkzeug.test import TestResponse

from backend.api import create_app
from backend.catalogue import products
from backend.catalogue.products import ImageRef
from backend.images.decoder_pool import DecoderPool
from backend.search.query_image import LocalQueryEncoder

NOISE = bytes(range(256)) * 4


def hang(data: bytes, **_: object) -> None:
    """Decode for ever."""
    while True:
        pass


def test_an_image_comes_back_byte_for_byte(shop: Shop) -> None:
    shop.put("1")
    for kind in ("jpeg", "png", "webp"):
        data = colour_image("red", format=kind)
        assert shop.put_image("1", data).status_code in (200, 201)
        got = shop.client.get("/v1/products/1/image")
        assert (got.status_code, got.content_type, got.data) == (200, f"image/{kind}", data)
        assert got.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("media_type", "options"),
    [
        ("image/tiff", {"format": "TIFF", "big_tiff": True}),
        ("image/avif", {"format": "AVIF", "save_all": True}),
        ("image/gif", {"format": "GIF"}),
        ("image/bmp", {"format": "BMP"}),
    ],
)
def test_what_was_taken_comes_back_with_its_media_type(
    shop: Shop, media_type: str, options: dict[str, Any]
) -> None:
    shop.put("1")
    frames = [Image.new("RGB", (60, 80), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    more = {"append_images": frames[1:]} if "save_all" in options else {}
    frames[0].save(file, **options, **more)
    assert shop.put_image("1", file.getvalue()).status_code == 201
    got = shop.client.get("/v1/products/1/image")
    assert (got.status_code, got.content_type) == (200, media_type)
    assert got.data == file.getvalue()


def test_what_is_not_supported_is_named(shop: Shop) -> None:
    shop.put("1")
    refused = shop.put_image("1", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert refused.status_code == 415
    assert "SVG" in refused.json["detail"]


def test_the_first_image_is_201_and_the_next_200_with_the_product(shop: Shop) -> None:
    shop.put("1")
    first, second = (shop.put_image("1", colour_image(colour)) for colour in ("red", "blue"))
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json["sku"] == "1"
    assert second.json["image_uri"] != first.json["image_uri"]


def test_a_product_is_found_by_its_new_image(wardrobe: Shop) -> None:
    assert wardrobe.skus("/v1/products/0001/similar", limit=1) == ["0002"]
    wardrobe.put_image("0002", colour_image("blue"))
    wardrobe.put_image("0004", colour_image("#d02020"))
    wardrobe.work()
    assert wardrobe.skus("/v1/products/0001/similar", limit=1) == ["0004"]


def test_a_known_image_is_not_sent_again(shop: Shop) -> None:
    shop.put("1", "red")
    tag = shop.client.get("/v1/products/1/image").headers["ETag"]
    again = shop.client.get("/v1/products/1/image", headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    shop.put_image("1", colour_image("blue"))
    assert shop.client.get("/v1/products/1/image", headers={"If-None-Match": tag}).data


@pytest.mark.parametrize("data", [b"", NOISE, b"%PDF-1.7", b"<svg/>"])
def test_what_is_no_image_is_415(shop: Shop, data: bytes) -> None:
    shop.put("1")
    refused = shop.put_image("1", data)
    assert (refused.status_code, refused.content_type) == (415, PROBLEM)
    assert refused.json["code"] == "not-an-image"
    assert shop.client.get("/v1/products/1").json["image_uri"] is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (colour_image("red", format="JPEG")[:400], "corrupt-image"),
        (colour_image("red", size=(1, 1)), "image-too-small"),
        (colour_image("red", size=(900, 10)), "image-too-small"),
    ],
)
def test_a_broken_or_tiny_image_is_422(shop: Shop, data: bytes, code: str) -> None:
    shop.put("1")
    refused = shop.put_image("1", data)
    assert (refused.status_code, refused.json["code"]) == (422, code)


def test_an_image_of_too_many_bytes_or_pixels_is_413(shop: Shop) -> None:
    shop.put("1")
    heavy = colour_image("red") + bytes(60_000)
    assert shop.put_image("1", heavy).json["code"] == "image-too-large"
    wide = shop.put_image("1", colour_image("red", size=(20_001, 2_000), format="GIF"))
    assert (wide.status_code, wide.json["code"]) == (413, "image-too-large")
    heavier = shop.put_image("1", bytes(2_000_000))
    assert (heavier.status_code, heavier.content_type) == (413, PROBLEM)


def test_an_image_that_hangs_its_decoder_is_422_and_the_next_one_is_served(shop: Shop) -> None:
    shop.put("1")
    image = colour_image("red")
    with DecoderPool(limits=shop.services.limits, seconds=0.5, decode=hang) as decoders:  # type: ignore[arg-type]
        client = create_app(replace(shop.services, decoders=decoders)).test_client()

        def put() -> TestResponse | None:
            """None where decoders had to wait for a processor: then no image is to blame."""
            answer = client.put("/v1/products/1/image", data=image, content_type="image/png")
            return None if answer.status_code == 503 else answer

        refused = wait_for(put, seconds=120)
    assert (refused.status_code, refused.json["code"]) == (422, "decoder-died")
    assert shop.put_image("1", image).status_code == 201


def test_a_form_is_told_to_send_the_file_itself(shop: Shop) -> None:
    shop.put("1")
    form = {"image": (io.BytesIO(colour_image("red")), "red.png")}
    refused = shop.client.put("/v1/products/1/image", data=form)
    assert (refused.status_code, refused.json["code"]) == (415, "unsupported-media-type")


def test_an_image_of_an_unknown_product_is_404(shop: Shop) -> None:
    assert shop.put_image("nobody", colour_image("red")).status_code == 404
    assert shop.client.get("/v1/products/nobody/image").status_code == 404


def test_a_product_without_an_image_has_none_to_show(shop: Shop) -> None:
    shop.put("1")
    missing = shop.client.get("/v1/products/1/image")
    assert (missing.status_code, missing.json["code"]) == (404, "no-image")


def set_file(shop: Shop, path: Path) -> None:
    """Store a product whose image is a file of this host, as an import does."""
    image = ImageRef(uri=path.as_uri(), digest="0" * 64, bytes=1, mtime_ns=1)
    draft = products.Draft(sku="1", values={}, image=image)
    shop.services.db.write(lambda session: products.save(session, [draft], priority=1))


def test_an_imported_file_is_shown_but_only_if_it_is_an_image(shop: Shop, tmp_path: Path) -> None:
    shop.put("1")
    file = tmp_path / "1.jpg"
    file.write_bytes(colour_image("red", format="JPEG"))
    set_file(shop, file)
    assert shop.client.get("/v1/products/1/image").data == file.read_bytes()
    file.write_text("root:x:0:0:root:/root:/bin/bash")
    assert shop.client.get("/v1/products/1/image").status_code == 404
    file.unlink()
    assert shop.client.get("/v1/products/1/image").status_code == 404


def test_an_image_elsewhere_is_a_redirect(shop: Shop) -> None:
    shop.put("1", image_uri="https://images.example/1.jpg")
    found = shop.client.get("/v1/products/1/image")
    assert (found.status_code, found.location) == (302, "https://images.example/1.jpg")


def test_a_file_of_three_thousand_scans_is_413(wardrobe: Shop) -> None:
    bomb = jpeg_of_scans(3000)
    for refused in (
        wardrobe.client.put("/v1/products/0001/image", data=bomb, content_type="image/jpeg"),
        wardrobe.client.post("/v1/similar", data=bomb, content_type="image/jpeg"),
    ):
        assert (refused.status_code, refused.json["code"]) == (413, "image-too-large")
        assert "scans" in refused.json["detail"]


def test_requests_with_images_leave_threads_to_the_others(wardrobe: Shop, tmp_path: Path) -> None:
    gate, found = tmp_path / "gate", list[Any]()
    image = b"WAIT " + os.fsencode(gate)
    few = wardrobe.settings.model_copy(update={"threads": 4})
    pool = DecoderPool(
        limits=wardrobe.services.limits, seconds=60, wait_seconds=60, decode=hostile_decoding.decode
    )
    with pool:
        encoder = LocalQueryEncoder(wardrobe.services.embedders, pool)
        app = create_app(
            replace(wardrobe.services, settings=few, decoders=pool, query_encoder=encoder)
        )

        def ask() -> None:
            answer = app.test_client().post("/v1/similar", data=image, content_type="image/png")
            found.append(answer)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_for(lambda: found)  # the fourth is refused while three wait
        by_sku = app.test_client().get("/v1/products/0001/similar")
        gate.touch()
        for thread in threads:
            thread.join()

    assert (found[0].status_code, found[0].json["code"]) == (503, "too-many-images")
    assert found[0].headers["Retry-After"]
    assert by_sku.status_code == 200
    assert [answer.status_code for answer in found[1:]] == [200] * 3


def test_a_decoder_that_cannot_start_is_503_and_no_fault_of_the_settings(shop: Shop) -> None:
    shop.put("1")
    with DecoderPool(limits=shop.services.limits, decode=hostile_decoding.missing) as decoders:
        client = create_app(replace(shop.services, decoders=decoders)).test_client()
        refused = client.put("/v1/products/1/image", data=colour_image("red"))
    assert (refused.status_code, refused.json["code"]) == (503, "decoder-unavailable")
    assert refused.headers["Retry-After"]
