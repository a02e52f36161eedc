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
from sqlalchemy import delete, select, update
from support import hostile_decoding
from support.catalogue import file_reference
from support.exact_index import ExactIndex
from support.image_files import colour_image
from support.rows import entry
from support.shop import LIMITS, FakeEmbedder, Shop

from backend import indexing, queue
from backend.catalogue import image_vectors
from backend.catalogue.products import NO_IMAGE, ImageRef
from backend.database.models import ImageVector, IndexEntry, Product, utcnow
from backend.embedders.mean_colour import MeanColour
from backend.errors import IndexUnavailable, ModelMismatch, NotSearchable
from backend.images.decoder_pool import DecoderPool
from backend.queue import SINGLE, Stage
from backend.queue.progress import State, quarantine, states
from backend.search.query import Query
from backend.search.query_text import TextEncoder
from backend.search.similar import SimilarProducts
from backend.settings import Settings
from backend.vectors.points import unit_vector
from backend.worker.maintenance import wake_awaited

SIZE = 13
SETTINGS = {"embedder": "mean-colour?grid=2", "retry_seconds": 0, "image_wait_hours": 0}


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, limits=LIMITS, seconds=5, decode=hostile_decoding.decode) as pool:
        yield pool


def shop_with(
    index: ExactIndex | None, settings: Settings, decoders: DecoderPool
) -> Iterator[Shop]:
    """A shop that quarantines after three failures and tries again at once."""
    fake = FakeEmbedder()
    shop = Shop(settings, fake_embedder=fake, decoders=decoders, index=index, **SETTINGS)
    yield shop
    shop.close()


def raises(_vector: Any) -> Any:
    raise ValueError("this one hurts")


@pytest.fixture
def shop(settings: Settings, decoders: DecoderPool) -> Iterator[Shop]:
    yield from shop_with(ExactIndex(size=SIZE, schema=indexing.schema()), settings, decoders)


@pytest.fixture(params=["exact", "edge"])
def any_shop(
    request: pytest.FixtureRequest, settings: Settings, decoders: DecoderPool
) -> Iterator[Shop]:
    exact = ExactIndex(size=SIZE, schema=indexing.schema())
    yield from shop_with(exact if request.param == "exact" else None, settings, decoders)


# --- one product's way -----------------------------------------------------------------------


def test_a_product_becomes_a_point_with_its_payload(any_shop: Shop) -> None:
    shop = any_shop
    id_ = shop.save("s", colour_image("red"), display_name="Shirt", gender="Men", price=9.5)
    shop.work()
    shown = shop.payload(id_)
    assert (shown["sku"], shown["gender"], shown["price"]) == ("s", "Men", 9.5)
    assert (shown["in_stock"], shown["attributes"]) == (True, {})
    assert "season" not in shown
    assert shop.progress().indexed == 1


def test_what_is_indexed_is_the_rounded_vector_that_sql_keeps(any_shop: Shop) -> None:
    shop = any_shop
    id_ = shop.save("s", colour_image("teal"))
    shop.work()
    with shop.db.read() as session:
        (stored,) = session.scalars(select(ImageVector.vector))
    rounded = image_vectors.unpack(stored)
    assert len(stored) == 2 * shop.embedder.size
    assert np.array_equal(shop.index.vector(id_), unit_vector(rounded, shop.embedder.size))
    exact = MeanColour(grid=2).embed([Image.new("RGB", (16, 16), "teal")])[0]
    assert rounded @ exact == pytest.approx(1, abs=1e-3)


def test_a_rebuilt_index_equals_the_first_and_opens_nothing(shop: Shop) -> None:
    ids = [shop.save(colour, colour_image(colour)) for colour in ("red", "green", "blue")]
    shop.work()
    first = [shop.index.vector(id_) for id_ in ids]
    shop.index = ExactIndex(size=SIZE, schema=indexing.schema())
    indexing.reconcile(shop.db, shop.generation, shop.index, fix=True)
    shop.images.opened.clear()
    shop.work()
    assert np.array_equal(first, [shop.index.vector(id_) for id_ in ids])
    assert shop.images.opened == []


def test_a_new_price_shows_though_the_image_is_gone_and_nothing_was_opened(
    any_shop: Shop,
) -> None:
    shop = any_shop
    id_ = shop.save_in_place("s", colour_image("red"), price=1.0)
    shop.work()
    (shop.settings.data_dir.parent / "s.png").unlink()
    shop.images.opened.clear()
    shop.save("s", price=2.0)
    shop.work()
    assert shop.payload(id_)["price"] == 2.0
    assert shop.images.opened == []
    assert shop.progress().indexed == 1


def test_a_second_product_with_the_same_image_is_indexed_too_without_opening_it(
    shop: Shop,
) -> None:
    first = shop.save("first", colour_image("red"))
    shop.work()
    shop.images.opened.clear()
    second = shop.save("second", colour_image("red"))
    shop.work()
    assert shop.images.opened == []
    assert np.array_equal(shop.index.vector(first), shop.index.vector(second))


def test_two_products_with_the_same_image_can_come_in_one_batch(shop: Shop) -> None:
    ids = [shop.save(sku, colour_image("red")) for sku in "ab"]
    shop.work()
    assert shop.index.count() == len(ids)


def test_a_removed_product_leaves_the_index_and_comes_back_without_its_image_being_opened(
    any_shop: Shop,
) -> None:
    shop = any_shop
    id_ = shop.save("s", colour_image("red"))
    shop.work()
    shop.remove("s")
    shop.work()
    assert shop.index.count() == 0
    assert shop.progress().at_rest
    shop.images.opened.clear()
    assert shop.save("s", colour_image("red"), price=3.0) == id_
    shop.work()
    assert shop.payload(id_)["price"] == 3.0
    assert shop.images.opened == [], "the same content has its vector"


@pytest.mark.parametrize("image", [None, b"<html>"], ids=["no image", "a bad one"])
def test_a_product_that_comes_back_is_never_found_by_its_former_image(
    any_shop: Shop, image: bytes | None
) -> None:
    shop = any_shop
    id_ = shop.save("s", colour_image("red"))
    other = shop.save("other", colour_image("red"))
    shop.work()
    shop.remove("s")
    shop.save("s", image, image=None)  # before the old point is deleted
    similar = SimilarProducts(shop.db, lambda _: shop.index, TextEncoder(shop.db).encode)
    found = similar.to_product("other", Query())
    assert shop.index.vector(id_) is not None
    assert found.items == [], "the old point is not shown"
    with pytest.raises(NotSearchable):
        similar.to_product("s", Query())
    shop.work()
    assert [one for one, _ in shop.index.claims()] == [other]
    assert list(shop.quarantine()) == ["s"]


def test_a_worker_that_embedded_the_former_image_changes_nothing(shop: Shop) -> None:
    id_ = shop.save("s", colour_image("red"))
    (late,) = shop.db.write(
        lambda s: queue.claim(s, shop.generation.id, Stage.EMBED, limit=1, lease=shop.lease)
    )
    shop.remove("s")
    shop.save("s", image=NO_IMAGE)
    for settle in (
        lambda s: queue.settle_embedded(s, shop.generation.id, [(late, "d" * 64)]),
        lambda s: queue.fail(s, shop.generation.id, [(late, "corrupt-image: the former one")]),
    ):
        assert shop.db.write(settle) == 0
    assert entry(shop.db, id_).claim > late.claim
    shop.work()
    assert shop.quarantine() == {"s": "no-image: the product has no image"}
    assert shop.index.count() == 0


# --- images that are still to come -----------------------------------------------------------


@pytest.fixture
def patient(shop: Shop) -> Shop:
    """A shop that waits a day for an image."""
    shop.restart(retry_seconds=10, image_wait_hours=24)
    return shop


def look_again(shop: Shop, *, after: float) -> float:
    """Look for the images as many hours after the first time; return the next pause in seconds."""
    now = utcnow()
    since = now - timedelta(hours=after)
    awaited = update(IndexEntry).where(IndexEntry.image_retry_at.is_not(None))
    shop.execute(awaited.values(image_awaited_since=since, image_retry_at=now))
    assert wake_awaited(shop.db)
    shop.work()
    with shop.db.read() as session:
        retry_at = session.scalar(select(IndexEntry.image_retry_at))
    return (retry_at - now).total_seconds() if retry_at else 0.0


def test_an_image_that_is_not_there_yet_is_looked_for_with_growing_pauses(patient: Shop) -> None:
    path = patient.settings.data_dir.parent / "late.png"
    id_ = patient.save("s", image=file_reference(path, colour_image("red")))
    patient.work()
    now = patient.progress()
    assert (now.pending, now.awaited, now.quarantined, now.at_rest) == (1, 1, 0, True)
    assert now.oldest_request is None, "it waits for no worker"
    with patient.db.read() as session:
        known = states(session, patient.generation.id, [id_])
        (listed,) = quarantine(session, patient.generation.id, awaited=True)
    assert known == {id_: (State.PENDING, f"no-image: there is no file {path}")}
    assert (listed.sku, patient.quarantine()) == ("s", {})
    hours = (0, 1 / 60, 1 / 2, 5, 23.9)
    pauses = [look_again(patient, after=after) for after in hours]
    assert pauses == pytest.approx([10, 60, 1800, 3600, 360], abs=5)
    path.write_bytes(colour_image("red"))
    look_again(patient, after=23.9)
    assert patient.progress().indexed == 1
    assert entry(patient.db, id_).image_awaited_since is None


def test_an_image_that_never_comes_is_quarantined_when_the_time_is_up(patient: Shop) -> None:
    patient.save("s", image=file_reference(Path("/nowhere/s.png"), b"later"))
    patient.save("bad", b"<html>")
    patient.work()
    assert list(patient.quarantine()) == ["bad"], "bad bytes are not waited for"
    assert look_again(patient, after=24) == 0
    assert sorted(patient.quarantine()) == ["bad", "s"]
    assert patient.progress().awaited == 0


def test_while_a_new_image_is_awaited_the_last_good_one_is_shown_at_the_present_price(
    patient: Shop,
) -> None:
    id_ = patient.save("s", colour_image("red"), price=1.0)
    patient.work()
    patient.save("s", image=file_reference(Path("/nowhere/s.png"), b"later"))
    patient.work()
    patient.reprice([id_], 2.0)
    patient.work()
    assert patient.payload(id_)["price"] == 2.0
    assert (patient.progress().awaited, patient.progress().pending) == (1, 1)
    patient.save("s", colour_image("blue"))
    patient.work()
    assert (patient.progress().awaited, patient.progress().indexed) == (0, 1)


def test_a_product_that_is_removed_before_it_was_embedded_is_never_opened(shop: Shop) -> None:
    shop.save("s", colour_image("red"))
    shop.remove("s")
    shop.work()
    assert shop.images.opened == []
    assert shop.progress().at_rest


def test_images_are_embedded_in_batches(shop: Shop) -> None:
    for number in range(6):
        shop.save(f"s{number}", colour_image(f"rgb({40 * number},0,0)"))
    assert shop.embed() == 6
    assert shop.embedder.batches == [4, 2]


def test_another_embedder_than_the_generations_is_refused(shop: Shop) -> None:
    shop.save("s", colour_image("red"))
    shop.embedder.fingerprint = "another"
    with pytest.raises(ModelMismatch):
        shop.embed()


def test_nothing_due_means_nothing_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.save("s", colour_image("red"))
    shop.work()
    monkeypatch.setattr(shop.db, "write", raises)
    assert shop.embed() == shop.apply() == 0


# --- images that are edited ------------------------------------------------------------------


def test_an_edited_image_replaces_the_vector(shop: Shop) -> None:
    id_ = shop.save("s", colour_image("red"))
    shop.work()
    before = shop.index.vector(id_)
    shop.save("s", colour_image("blue"))
    shop.work()
    assert not np.allclose(before, shop.index.vector(id_))


def test_an_image_that_is_edited_while_it_is_embedded_is_embedded_again(shop: Shop) -> None:
    id_ = shop.save("s", colour_image("red"))

    def edit(vector: Any) -> Any:
        shop.save("s", colour_image("blue"))
        return vector

    shop.embedder.when["red"] = edit
    shop.work()
    blue = MeanColour(grid=2).embed([Image.new("RGB", (16, 16), "blue")])[0]
    assert shop.index.vector(id_) @ blue == pytest.approx(1, abs=1e-3)
    assert shop.progress().indexed == 1


def test_a_file_that_was_replaced_behind_the_catalogues_back_keeps_its_own_digest(
    shop: Shop,
) -> None:
    """The vector belongs to the content that was read, never to what the product says it was."""
    id_ = shop.save_in_place("s", colour_image("red"))
    (shop.settings.data_dir.parent / "s.png").write_bytes(colour_image("blue"))
    shop.work()
    content = hashlib.sha256(colour_image("blue")).hexdigest()
    assert entry(shop.db, id_).embedded_digest == content
    other = shop.save("other", colour_image("red"))
    shop.work()
    assert not np.allclose(shop.index.vector(id_), shop.index.vector(other))


def test_a_product_whose_new_image_is_bad_stays_findable_at_its_present_price(
    shop: Shop,
) -> None:
    id_ = shop.save("s", colour_image("red"), price=1.0)
    shop.work()
    before = shop.index.vector(id_)
    shop.save("s", b"no image", price=2.0)
    shop.work()
    assert np.array_equal(shop.index.vector(id_), before)
    assert shop.payload(id_)["price"] == 2.0
    assert shop.quarantine()["s"].startswith("not-an-image: ")
    shop.save("s", price=3.0)
    shop.images.opened.clear()
    shop.work()
    assert shop.payload(id_)["price"] == 3.0
    assert (list(shop.quarantine()), shop.images.opened) == (["s"], [])


def test_a_product_leaves_the_quarantine_with_a_good_image(shop: Shop) -> None:
    id_ = shop.save("s", b"no image")
    shop.work()
    assert shop.index.vector(id_) is None
    shop.save("s", colour_image("red"))
    shop.work()
    assert shop.quarantine() == {}
    assert shop.progress().indexed == 1


# --- bad images ------------------------------------------------------------------------------


def test_bad_images_stand_aside_with_their_reasons_and_the_others_go_through(
    shop: Shop,
) -> None:
    whole = colour_image("red")
    bad = {
        "text": (b"<html>", "not-an-image"),
        "empty": (b"", "not-an-image"),
        "torn": (whole[:-30], "corrupt-image"),
        "tiny": (_png((2, 2)), "image-too-small"),
        "huge": (_png((1500, 1500)), "image-too-large"),
        "killer": (b"DIE", "decoder-died"),
    }
    for sku, (data, _) in bad.items():
        shop.save(sku, data)
    shop.save("none", image=NO_IMAGE)
    shop.save("gone", image=file_reference(Path("/nowhere/x.png"), b"gone"))
    good = [shop.save(f"good{number}", colour_image(f"rgb(0,{number},0)")) for number in range(20)]
    shop.work()
    assert shop.progress().indexed == shop.index.count() == len(good)
    codes = {sku: reason.partition(":")[0] for sku, reason in shop.quarantine().items()}
    assert codes == {sku: code for sku, (_, code) in bad.items()} | {
        "none": "no-image",
        "gone": "no-image",
    }


def _png(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("1", size).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_exactly_the_image_that_kills_its_decoder_is_quarantined(shop: Shop, count: int) -> None:
    for number in range(count):
        colour = f"rgb({number % 256},{number // 256},9)"
        shop.save(f"s{number}", b"DIE" if number == 17 else colour_image(colour))
    shop.work()
    assert list(shop.quarantine()) == ["s17"]
    assert shop.progress().indexed == count - 1


def test_an_image_that_breaks_the_embedder_is_found_by_halving_its_batch(shop: Shop) -> None:
    shop.embedder.when["red"] = raises
    for colour in ("green", "red", "blue", "white"):
        shop.save(colour, colour_image(colour))
    shop.embed()
    assert shop.embedder.batches[:5] == [4, 2, 1, 1, 2]
    shop.work()
    assert shop.quarantine() == {"red": "embedding-failed: ValueError: this one hurts"}
    assert shop.progress().indexed == 3


def test_an_impossible_vector_is_never_stored(shop: Shop) -> None:
    shop.embedder.when = {
        "red": lambda vector: vector * np.nan,
        "green": lambda vector: vector * 0,
    }
    for colour in ("red", "green", "blue"):
        shop.save(colour, colour_image(colour))
    shop.work()
    reasons = shop.quarantine()
    assert set(reasons) == {"red", "green"}
    assert all(reason.startswith("invalid-vector: ") for reason in reasons.values())
    shop.embedder.when.clear()
    ids = [shop.save(sku, colour_image(sku)) for sku in reasons]
    shop.db.write(lambda session: queue.request(session, ids, image=True, priority=SINGLE))
    shop.work()
    assert shop.progress().indexed == 3


def test_a_failure_that_may_pass_is_tried_again_ever_later_and_then_quarantined(
    shop: Shop,
) -> None:
    """The host gives other images, so it is this one's own fault that it fails."""
    shop.restart(retry_seconds=10)
    uri = "https://images.example/s.png"
    id_ = shop.save("s", image=ImageRef(uri=uri))
    for failures, wait in ((1, 10), (2, 20)):
        shop.remote[f"{uri}?{failures}"] = colour_image(f"rgb({failures},0,0)")
        shop.save(f"other{failures}", image=ImageRef(uri=f"{uri}?{failures}"))
        shop.embed()
        row = entry(shop.db, id_)
        assert row.due_at
        assert (row.due_at - utcnow()).total_seconds() == pytest.approx(wait, abs=3)
        assert (row.failures, row.last_error) == (
            failures,
            "image-unavailable: the host does not answer",
        )
        assert shop.embed() == 0
        shop.db.write(queue.free_leases)
    shop.embed()
    assert list(shop.quarantine()) == ["s"]


def test_a_remote_image_is_fetched_once_and_known_from_then_on(shop: Shop) -> None:
    uri = "https://images.example/s.png"
    id_ = shop.save("s", image=ImageRef(uri=uri))
    shop.embed()
    shop.remote[uri] = colour_image("red")
    shop.work()
    assert shop.progress().indexed == 1
    assert entry(shop.db, id_).embedded_digest == hashlib.sha256(colour_image("red")).hexdigest()
    with shop.db.read() as session:
        assert session.get_one(Product, id_).image_digest == entry(shop.db, id_).embedded_digest
    shop.remote.clear()
    shop.save("s", price=2.0)
    shop.work()
    assert shop.payload(id_)["price"] == 2.0


# --- the index's own trouble -----------------------------------------------------------------


def test_while_the_index_does_not_answer_its_rows_wait(shop: Shop) -> None:
    shop.save("s", colour_image("red"))
    shop.embed()
    working, shop.index = shop.index, ExactIndex(size=SIZE, schema=indexing.schema())
    shop.index.close()
    with pytest.raises(IndexUnavailable):
        shop.apply()
    assert (shop.apply(), shop.progress().pending) == (0, 1)
    shop.index = working
    shop.db.write(queue.free_leases)
    shop.work()
    assert shop.progress().indexed == 1


def test_a_product_that_the_index_refuses_stands_aside_until_it_is_mended(
    any_shop: Shop,
) -> None:
    shop = any_shop
    shop.save("good", colour_image("red"), attributes={"stitches": 2**40})
    shop.save("bad", colour_image("blue"), attributes={"stitches": 2**70})
    shop.work()
    assert shop.quarantine()["bad"].startswith("invalid-product: ")
    assert shop.progress().indexed == 1
    shop.save("bad", attributes={"stitches": 7})
    shop.work()
    assert (shop.quarantine(), shop.progress().indexed) == ({}, 2)


def test_vectors_of_the_wrong_size_and_wrong_payloads_stand_aside_together(shop: Shop) -> None:
    shop.save("good", colour_image("red"))
    shop.save("payload", colour_image("green"), attributes={"stitches": 2**70})
    shop.save("vector", colour_image("blue"))
    shop.embed()
    digest = hashlib.sha256(colour_image("blue")).hexdigest()
    short = image_vectors.pack(np.ones(5, dtype=np.float32))

    def shorten(session: Any) -> None:
        row = session.get_one(ImageVector, (digest, shop.embedder.fingerprint))
        row.vector = short

    shop.db.write(shorten)
    shop.work()
    codes = {sku: reason.partition(":")[0] for sku, reason in shop.quarantine().items()}
    assert codes == {"payload": "invalid-product", "vector": "invalid-vector"}
    assert shop.progress().indexed == 1


def test_a_vector_that_sql_has_lost_is_computed_again(shop: Shop) -> None:
    id_ = shop.save("s", colour_image("red"), price=1.0)
    shop.work()
    shop.db.write(lambda session: session.execute(delete(ImageVector)))
    shop.save("s", price=2.0)
    shop.work()
    assert shop.payload(id_)["price"] == 2.0
    assert shop.progress().indexed == 1


def test_a_point_whose_vector_is_lost_and_whose_image_is_gone_is_deleted(shop: Shop) -> None:
    id_ = shop.save_in_place("s", colour_image("red"))
    shop.work()
    shop.db.write(lambda session: session.execute(delete(ImageVector)))
    (shop.settings.data_dir.parent / "s.png").write_bytes(b"no image")
    shop.save("s", price=2.0)
    shop.work()
    assert list(shop.quarantine()) == ["s"]
    assert shop.index.vector(id_) is None
