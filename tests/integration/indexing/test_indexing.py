"""From image to point: bad images are quarantined, and known vectors open no image."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import delete, select
from support import hostile_decoding
from support.exact_index import ExactIndex
from support.rows import entry
from support.stages import LEASE, LIMITS, Floor, broken, picture, reference

from backend import indexing, queue
from backend.catalogue import image_vectors
from backend.catalogue.products import NO_IMAGE, ImageRef
from backend.database.engine import Database
from backend.database.models import ImageVector, Product, utcnow
from backend.embedders.mean_colour import MeanColour
from backend.errors import IndexUnavailable, ModelMismatch
from backend.images.decoder_pool import DecoderPool
from backend.indexing import EmbedOptions
from backend.queue import SINGLE
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.points import unit_vector


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, limits=LIMITS, seconds=5, decode=hostile_decoding.decode) as pool:
        yield pool


@pytest.fixture
def floor(db: Database, tmp_path: Path, decoders: DecoderPool) -> Floor:
    index = ExactIndex(size=13, schema=indexing.schema())
    return Floor(db, tmp_path, decoders, index)


@pytest.fixture(params=["exact", "edge"])
def any_floor(
    request: pytest.FixtureRequest, db: Database, tmp_path: Path, decoders: DecoderPool
) -> Iterator[Floor]:
    schema = indexing.schema()
    index: Any = ExactIndex(size=13, schema=schema)
    if request.param == "edge":
        index = EdgeIndex(tmp_path / "index", size=13, schema=schema)
    yield Floor(db, tmp_path, decoders, index)
    index.close()


# --- one product's way -----------------------------------------------------------------------


def test_a_product_becomes_a_point_with_its_payload(any_floor: Floor) -> None:
    floor = any_floor
    id_ = floor.save("s", picture("red"), display_name="Shirt", gender="Men", price=9.5)
    floor.work()
    shown = floor.payload(id_)
    assert (shown["sku"], shown["gender"], shown["price"]) == ("s", "Men", 9.5)
    assert (shown["in_stock"], shown["attributes"]) == (True, {})
    assert "season" not in shown
    assert floor.progress().indexed == 1


def test_what_is_indexed_is_the_rounded_vector_that_sql_keeps(any_floor: Floor) -> None:
    floor = any_floor
    id_ = floor.save("s", picture("teal"))
    floor.work()
    with floor.db.read() as session:
        (stored,) = session.scalars(select(ImageVector.vector))
    rounded = image_vectors.unpack(stored)
    assert len(stored) == 2 * floor.embedder.size
    assert np.array_equal(floor.index.vector(id_), unit_vector(rounded, floor.embedder.size))
    exact = MeanColour(grid=2).embed([Image.new("RGB", (16, 16), "teal")])[0]
    assert rounded @ exact == pytest.approx(1, abs=1e-3)


def test_a_rebuilt_index_equals_the_first_and_opens_nothing(floor: Floor) -> None:
    ids = [floor.save(colour, picture(colour)) for colour in ("red", "green", "blue")]
    floor.work()
    first = [floor.index.vector(id_) for id_ in ids]
    floor.index = ExactIndex(size=13, schema=indexing.schema())
    indexing.reconcile(floor.db, floor.generation, floor.index, fix=True)
    floor.pictures.opened.clear()
    floor.work()
    assert np.array_equal(first, [floor.index.vector(id_) for id_ in ids])
    assert floor.pictures.opened == []


def test_a_new_price_shows_though_the_image_is_gone_and_nothing_was_opened(
    any_floor: Floor,
) -> None:
    floor = any_floor
    id_ = floor.save("s", picture("red"), price=1.0)
    floor.work()
    (floor.folder / "s.png").unlink()
    floor.pictures.opened.clear()
    floor.save("s", price=2.0)
    floor.work()
    assert floor.payload(id_)["price"] == 2.0
    assert floor.pictures.opened == []
    assert floor.progress().indexed == 1


def test_a_second_product_with_the_same_image_is_indexed_too_without_opening_it(
    floor: Floor,
) -> None:
    first = floor.save("first", picture("red"))
    floor.work()
    floor.pictures.opened.clear()
    second = floor.save("second", picture("red"))
    floor.work()
    assert floor.pictures.opened == []
    assert np.array_equal(floor.index.vector(first), floor.index.vector(second))


def test_two_products_with_the_same_image_can_come_in_one_batch(floor: Floor) -> None:
    ids = [floor.save(sku, picture("red")) for sku in "ab"]
    floor.work()
    assert floor.index.count() == len(ids)


def test_a_removed_product_leaves_the_index_and_comes_back_without_its_image_being_opened(
    any_floor: Floor,
) -> None:
    floor = any_floor
    id_ = floor.save("s", picture("red"))
    floor.work()
    floor.remove("s")
    floor.work()
    assert floor.index.count() == 0
    assert floor.progress().at_rest
    floor.pictures.opened.clear()
    assert floor.save("s", price=3.0) == id_
    floor.work()
    assert floor.payload(id_)["price"] == 3.0
    assert floor.pictures.opened == []


def test_a_product_that_is_removed_before_it_was_embedded_is_never_opened(floor: Floor) -> None:
    floor.save("s", picture("red"))
    floor.remove("s")
    floor.work()
    assert floor.pictures.opened == []
    assert floor.progress().at_rest


def test_images_are_embedded_in_batches(floor: Floor) -> None:
    for number in range(6):
        floor.save(f"s{number}", picture(f"rgb({40 * number},0,0)"))
    assert floor.embed() == 6
    assert floor.embedder.batches == [4, 2]


def test_another_embedder_than_the_generations_is_refused(floor: Floor) -> None:
    floor.save("s", picture("red"))
    floor.embedder.fingerprint = "another"
    with pytest.raises(ModelMismatch):
        floor.embed()


def test_nothing_due_means_nothing_written(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    floor.save("s", picture("red"))
    floor.work()
    monkeypatch.setattr(floor.db, "write", broken)
    assert floor.embed() == floor.apply() == 0


# --- images that are edited ------------------------------------------------------------------


def test_an_edited_image_replaces_the_vector(floor: Floor) -> None:
    id_ = floor.save("s", picture("red"))
    floor.work()
    before = floor.index.vector(id_)
    floor.save("s", picture("blue"))
    floor.work()
    assert not np.allclose(before, floor.index.vector(id_))


def test_an_image_that_is_edited_while_it_is_embedded_is_embedded_again(floor: Floor) -> None:
    id_ = floor.save("s", picture("red"))

    def edit(vector: Any) -> Any:
        floor.save("s", picture("blue"))
        return vector

    floor.embedder.moods["red"] = edit
    floor.work()
    blue = MeanColour(grid=2).embed([Image.new("RGB", (16, 16), "blue")])[0]
    assert floor.index.vector(id_) @ blue == pytest.approx(1, abs=1e-3)
    assert floor.progress().indexed == 1


def test_a_file_that_was_replaced_behind_the_catalogues_back_keeps_its_own_digest(
    floor: Floor,
) -> None:
    """The vector belongs to the content that was read, never to what the product says it was."""
    id_ = floor.save("s", picture("red"))
    (floor.folder / "s.png").write_bytes(picture("blue"))
    floor.work()
    content = hashlib.sha256(picture("blue")).hexdigest()
    assert entry(floor.db, id_).embedded_digest == content
    other = floor.save("other", picture("red"))
    floor.work()
    assert not np.allclose(floor.index.vector(id_), floor.index.vector(other))


def test_a_product_whose_new_image_is_bad_stays_findable_at_its_present_price(
    floor: Floor,
) -> None:
    id_ = floor.save("s", picture("red"), price=1.0)
    floor.work()
    before = floor.index.vector(id_)
    floor.save("s", b"no image", price=2.0)
    floor.work()
    assert np.array_equal(floor.index.vector(id_), before)
    assert floor.payload(id_)["price"] == 2.0
    assert floor.quarantine()["s"].startswith("not-an-image: ")
    floor.save("s", price=3.0)
    floor.pictures.opened.clear()
    floor.work()
    assert floor.payload(id_)["price"] == 3.0
    assert (list(floor.quarantine()), floor.pictures.opened) == (["s"], [])


def test_a_product_leaves_the_quarantine_with_a_good_image(floor: Floor) -> None:
    id_ = floor.save("s", b"no image")
    floor.work()
    assert floor.index.vector(id_) is None
    floor.save("s", picture("red"))
    floor.work()
    assert floor.quarantine() == {}
    assert floor.progress().indexed == 1


# --- bad images ------------------------------------------------------------------------------


def test_bad_images_stand_aside_with_their_reasons_and_the_others_go_through(
    floor: Floor,
) -> None:
    whole = picture("red")
    bad = {
        "text": (b"<html>", "not-an-image"),
        "empty": (b"", "not-an-image"),
        "torn": (whole[:-30], "corrupt-image"),
        "tiny": (_png((2, 2)), "image-too-small"),
        "huge": (_png((1500, 1500)), "image-too-large"),
        "killer": (b"DIE", "decoder-died"),
    }
    for sku, (data, _) in bad.items():
        floor.save(sku, data)
    floor.save_reference("none", NO_IMAGE)
    floor.save_reference("gone", reference("file:///nowhere/x.png", b"gone"))
    good = [floor.save(f"good{number}", picture(f"rgb(0,{number},0)")) for number in range(20)]
    floor.work()
    assert floor.progress().indexed == floor.index.count() == len(good)
    codes = {sku: reason.partition(":")[0] for sku, reason in floor.quarantine().items()}
    assert codes == {sku: code for sku, (_, code) in bad.items()} | {
        "none": "no-image",
        "gone": "no-image",
    }


def _png(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("1", size).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_exactly_the_image_that_kills_its_decoder_is_quarantined(floor: Floor, count: int) -> None:
    for number in range(count):
        colour = f"rgb({number % 256},{number // 256},9)"
        floor.save(f"s{number}", b"DIE" if number == 17 else picture(colour))
    floor.work()
    assert list(floor.quarantine()) == ["s17"]
    assert floor.progress().indexed == count - 1


def test_an_image_that_breaks_the_embedder_is_found_by_halving_its_batch(floor: Floor) -> None:
    floor.embedder.moods["red"] = broken
    for colour in ("green", "red", "blue", "white"):
        floor.save(colour, picture(colour))
    floor.embed()
    assert floor.embedder.batches[:5] == [4, 2, 1, 1, 2]
    floor.work()
    assert floor.quarantine() == {"red": "embedding-failed: ValueError: this one hurts"}
    assert floor.progress().indexed == 3


def test_an_impossible_vector_is_never_stored(floor: Floor) -> None:
    floor.embedder.moods = {
        "red": lambda vector: vector * np.nan,
        "green": lambda vector: vector * 0,
    }
    for colour in ("red", "green", "blue"):
        floor.save(colour, picture(colour))
    floor.work()
    reasons = floor.quarantine()
    assert set(reasons) == {"red", "green"}
    assert all(reason.startswith("invalid-vector: ") for reason in reasons.values())
    floor.embedder.moods.clear()
    ids = [floor.save(sku, picture(sku)) for sku in reasons]
    floor.db.write(lambda session: queue.request(session, ids, image=True, priority=SINGLE))
    floor.work()
    assert floor.progress().indexed == 3


def test_a_failure_that_may_pass_is_tried_again_ever_later_and_then_quarantined(
    floor: Floor,
) -> None:
    floor.options = EmbedOptions(
        claim_size=8,
        batch_size=4,
        lease=LEASE,
        max_failures=3,
        retry=timedelta(seconds=10),
    )
    id_ = floor.save_reference("s", ImageRef(uri="https://images.example/s.png"))
    for failures, wait in ((1, 10), (2, 20)):
        floor.embed()
        row = entry(floor.db, id_)
        assert row.due_at
        assert (row.due_at - utcnow()).total_seconds() == pytest.approx(wait, abs=3)
        assert (row.failures, row.last_error) == (
            failures,
            "image-unavailable: the host does not answer",
        )
        assert floor.embed() == 0
        floor.db.write(queue.free_leases)
    floor.embed()
    assert list(floor.quarantine()) == ["s"]


def test_a_remote_image_is_fetched_once_and_known_from_then_on(floor: Floor) -> None:
    uri = "https://images.example/s.png"
    id_ = floor.save_reference("s", ImageRef(uri=uri))
    floor.embed()
    floor.remote[uri] = picture("red")
    floor.work()
    assert floor.progress().indexed == 1
    assert entry(floor.db, id_).embedded_digest == hashlib.sha256(picture("red")).hexdigest()
    with floor.db.read() as session:
        assert session.get_one(Product, id_).image_digest == entry(floor.db, id_).embedded_digest
    floor.remote.clear()
    floor.save("s", price=2.0)
    floor.work()
    assert floor.payload(id_)["price"] == 2.0


# --- the index's own trouble -----------------------------------------------------------------


def test_while_the_index_does_not_answer_its_rows_wait(floor: Floor) -> None:
    floor.save("s", picture("red"))
    floor.embed()
    working, floor.index = floor.index, ExactIndex(size=13, schema=indexing.schema())
    floor.index.close()
    with pytest.raises(IndexUnavailable):
        floor.apply()
    assert (floor.apply(), floor.progress().pending) == (0, 1)
    floor.index = working
    floor.db.write(queue.free_leases)
    floor.work()
    assert floor.progress().indexed == 1


def test_a_product_that_the_index_refuses_stands_aside_until_it_is_mended(
    any_floor: Floor,
) -> None:
    floor = any_floor
    floor.save("good", picture("red"), attributes={"stitches": 2**40})
    floor.save("bad", picture("blue"), attributes={"stitches": 2**70})
    floor.work()
    assert floor.quarantine()["bad"].startswith("invalid-product: ")
    assert floor.progress().indexed == 1
    floor.save("bad", attributes={"stitches": 7})
    floor.work()
    assert (floor.quarantine(), floor.progress().indexed) == ({}, 2)


def test_vectors_of_the_wrong_size_and_wrong_payloads_stand_aside_together(floor: Floor) -> None:
    floor.save("good", picture("red"))
    floor.save("payload", picture("green"), attributes={"stitches": 2**70})
    floor.save("vector", picture("blue"))
    floor.embed()
    digest = hashlib.sha256(picture("blue")).hexdigest()
    short = image_vectors.pack(np.ones(5, dtype=np.float32))

    def shorten(session: Any) -> None:
        row = session.get_one(ImageVector, (digest, floor.embedder.fingerprint))
        row.vector = short

    floor.db.write(shorten)
    floor.work()
    codes = {sku: reason.partition(":")[0] for sku, reason in floor.quarantine().items()}
    assert codes == {"payload": "invalid-product", "vector": "invalid-vector"}
    assert floor.progress().indexed == 1


def test_a_vector_that_sql_has_lost_is_computed_again(floor: Floor) -> None:
    id_ = floor.save("s", picture("red"), price=1.0)
    floor.work()
    floor.db.write(lambda session: session.execute(delete(ImageVector)))
    floor.save("s", price=2.0)
    floor.work()
    assert floor.payload(id_)["price"] == 2.0
    assert floor.progress().indexed == 1


def test_a_point_whose_vector_is_lost_and_whose_image_is_gone_is_deleted(floor: Floor) -> None:
    id_ = floor.save("s", picture("red"))
    floor.work()
    floor.db.write(lambda session: session.execute(delete(ImageVector)))
    (floor.folder / "s.png").write_bytes(b"no image")
    floor.save("s", price=2.0)
    floor.work()
    assert list(floor.quarantine()) == ["s"]
    assert floor.index.vector(id_) is None
