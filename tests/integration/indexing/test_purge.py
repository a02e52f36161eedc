"""A takedown leaves nothing of a product, and takes nothing from another one without a word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from support.catalogue import file_reference
from support.image_files import colour_image
from support.rows import entry
from support.shop import QUICK, Shop
from typer.testing import Result

from backend import queue
from backend.catalogue import named_images, products, unnamed_images
from backend.catalogue.products import Draft
from backend.database.models import (
    Cursor,
    Event,
    ImageVector,
    IndexEntry,
    Product,
    ProductImage,
    UnnamedImage,
    utcnow,
)
from backend.errors import ImageUnavailable, IndexUnavailable
from backend.images.store import digest_of
from backend.indexing.purge import purge
from backend.queue import Stage
from backend.settings import Settings
from backend.worker.maintenance import wake_awaited

RED, BLUE = colour_image("red"), colour_image("blue")


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    with Shop(settings, **QUICK) as shop:
        shop.save("r", RED, display_name="Red", attributes={"fit": "slim"})
        shop.save("b", BLUE)
        shop.work()
        yield shop


def vectors(shop: Shop) -> set[str]:
    with shop.db.read() as session:
        return set(session.scalars(select(ImageVector.image_digest)))


def test_a_purged_product_leaves_nothing_but_a_blank_row(shop: Shop) -> None:
    id_ = entry(shop.db, 1).product_id
    shop.db.write(lambda session: session.add(Event(product_id=id_, kind="view")))
    result = shop.run("purge", skus=["r", "nobody"])
    counts = {name: result[name] for name in ("products", "points", "images", "bytes", "vectors")}
    assert counts == {"products": 1, "points": 1, "images": 1, "bytes": len(RED), "vectors": 1}
    assert (result["unknown"], result["kept"]) == (["nobody"], [])
    assert shop.index.vector(id_) is None
    assert not shop.services.image_store.exists(digest_of(RED))
    assert vectors(shop) == {digest_of(BLUE)}
    assert (shop.count(Event), shop.count(UnnamedImage)) == (0, 0)
    with shop.db.read() as session:
        row = session.get_one(Product, id_)
    assert (row.sku, row.display_name, row.attributes, row.image_digest) == ("r", None, {}, None)
    assert row.removed_at is not None
    assert shop.client.get("/v1/products/r").status_code == 404
    shop.work()
    assert shop.progress().at_rest
    assert shop.run("verify")["drift"] == 0


def test_a_second_purge_finds_nothing(shop: Shop) -> None:
    shop.run("purge", skus=["r"])
    again = shop.run("purge", skus=["r"])
    assert not any(again.values())


def test_a_product_that_was_deleted_before_is_purged_too(shop: Shop) -> None:
    shop.remove("r")
    shop.work()
    assert digest_of(RED) in vectors(shop)
    result = shop.run("purge", skus=["r"])
    assert (result["products"], result["points"], result["images"]) == (1, 0, 1)
    assert digest_of(RED) not in vectors(shop)


def test_what_another_product_shows_is_kept_and_told_unless_it_is_to_go_everywhere(
    shop: Shop,
) -> None:
    shop.save("also", RED)
    shop.save("also, once", RED)
    shop.work()
    shop.save("also, once", b"<html>")  # indexed by its last good image
    shop.work()
    kept = shop.run("purge", skus=["r"])
    others = {"digest": digest_of(RED), "products": 2, "skus": ["also", "also, once"]}
    assert (kept["kept"], kept["images"], kept["vectors"], kept["emptied"]) == ([others], 0, 0, [])
    assert shop.services.image_store.exists(digest_of(RED))
    assert "also" in shop.skus("/v1/products/b/similar")
    gone = shop.run("purge", skus=["also"], everywhere=True)
    assert (gone["emptied"], gone["images"], gone["vectors"]) == (["also, once"], 1, 1)
    shop.work()
    assert vectors(shop) == {digest_of(BLUE)}
    assert [id_ for id_, _ in shop.index.claims()] == [2]
    assert list(shop.quarantine()) == ["also, once"]
    assert shop.run("verify")["drift"] == 0


def test_an_image_taken_from_another_product_is_no_image_of_it(shop: Shop) -> None:
    shop.save("also", RED)
    shop.work()
    shop.run("purge", skus=["r"], everywhere=True)
    shop.work()
    assert shop.quarantine() == {"also": "no-image: the product has no image"}
    assert shop.client.get("/v1/products/also").json["image_uri"] is None


def test_an_image_in_a_folder_of_the_shop_stays_and_is_named(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "in place.png"
    path.write_bytes(colour_image("green"))
    shop.save("g", image=file_reference(path, path.read_bytes()))
    shop.work()
    result = shop.run("purge", skus=["g"])
    assert result["elsewhere"] == [{"sku": "g", "uri": path.as_uri()}]
    assert (result["images"], result["vectors"], path.exists()) == (0, 1, True)


def test_a_late_worker_stores_no_vector_of_a_purged_image(shop: Shop) -> None:
    id_ = shop.save("r", colour_image("green"))
    generation = shop.generation
    (late,) = shop.db.write(
        lambda s: queue.claim(s, generation.id, Stage.EMBED, limit=9, lease=shop.lease)
    )
    shop.run("purge", skus=["r"])
    with shop.db.read() as session:
        assert queue.still_ours(session, generation.id, [late]) == set()
    assert entry(shop.db, id_).claim > late.claim


def test_a_store_that_fails_has_its_files_deleted_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = shop.services.image_store

    def fail(digest: str) -> None:
        raise ImageUnavailable("the image store failed: full")

    with monkeypatch.context() as broken:
        broken.setattr(store, "delete", fail)
        job = shop.follow(shop.client.post("/v1/admin/purge", json={"skus": ["r"]}).json["id"])
        assert (job.state, job.error) == (
            "failed",
            "image-unavailable: the image store failed: full",
        )
    assert shop.client.get("/v1/products/r").status_code == 404
    assert store.exists(digest_of(RED))
    assert shop.run("purge", skus=["r"])["images"] == 1
    assert not store.exists(digest_of(RED))


def test_an_index_that_does_not_answer_has_its_points_deleted_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(claims: object) -> None:
        raise IndexUnavailable("no answer")

    with monkeypatch.context() as broken:
        broken.setattr(shop.index, "delete", fail)
        result = purge(
            shop.db,
            shop.services.image_store,
            [shop.generation],
            index_of=lambda _: shop.index,
            skus=["r"],
        )
    assert (result["points_later"], result["images"]) == (True, 1)
    shop.work()
    assert [id_ for id_, _ in shop.index.claims()] == [2]


def test_it_can_be_asked_for_over_rest(shop: Shop) -> None:
    asked = shop.client.post("/v1/admin/purge", json={"skus": ["r"]})
    assert asked.status_code == 202
    assert shop.follow(asked.json["id"]).result["products"] == 1
    for body in ({}, {"skus": []}, {"skus": ["a\tb"]}, {"skus": ["r"], "all": True}):
        assert shop.client.post("/v1/admin/purge", json=body).status_code == 422


def test_status_tells_what_nothing_names(shop: Shop) -> None:
    shop.remove("r")
    grace = timedelta(days=7)
    for hours in (2, 4):  # a pass that has begun, and a whole one
        now = utcnow() + timedelta(hours=hours)
        while unnamed_images.look_through(
            shop.db, shop.services.image_store, grace=grace, seconds=9, now=now
        ):
            pass
    unnamed = shop.client.get("/v1/status").json["unnamed"]
    assert unnamed.pop("checked_at")
    assert unnamed == {"images": 1, "bytes": len(RED), "vectors": 1}


def test_the_worker_looks_for_what_nothing_names(shop: Shop) -> None:
    shop.worker.maintenance.look_for_unnamed_images()
    assert shop.count(Cursor, name="unnamed-images") == 1


def test_after_a_look_the_worker_rests(shop: Shop) -> None:
    def position() -> int:
        with shop.db.read() as session:
            return session.scalars(
                select(Cursor.position).where(Cursor.name == "unnamed-images")
            ).one()

    shop.worker.maintenance.look_for_unnamed_images()
    before = position()
    shop.worker.maintenance.look_for_unnamed_images()
    assert position() == before


def test_the_command_is_done_by_the_server_that_owns_the_index(
    shop: Shop, run_command: Callable[..., Result]
) -> None:
    with shop.working():
        done = run_command("purge", "r", "[/x]", code=1)
    assert "Removed: 1 products, 1 points, 1 images" in done.stdout
    assert "No such product: [/x]" in done.stderr
    assert shop.index.vector(1) is None


def test_all_images_of_a_product_are_taken_down(shop: Shop) -> None:
    images = [shop.store(colour_image(colour)) for colour in ("green", "white", "blue")]
    draft = Draft(sku="many", values={}, images=images)
    shop.db.write(lambda session: products.save(session, [draft], priority=queue.SINGLE))
    shop.work()
    with shop.db.read() as session:
        found = named_images.named(session, [image.digest or "" for image in images])
    assert found == {image.digest for image in images}
    result = shop.run("purge", skus=["many"])
    assert (result["points"], result["images"], result["vectors"]) == (3, 2, 2)
    assert [one["skus"] for one in result["kept"]] == [["b"]], "blue is another product's too"
    assert sorted(id_ for id_, _ in shop.index.claims()) == [1, 2]
    assert shop.count(ProductImage) == 0
    assert shop.run("verify")["drift"] == 0


def test_a_further_image_that_is_not_there_yet_does_not_keep_the_others_waiting(
    shop: Shop, tmp_path: Path
) -> None:
    path = tmp_path / "late.png"
    images = [shop.store(colour_image("green")), file_reference(path, colour_image("white"))]
    draft = Draft(sku="many", values={}, images=images)
    shop.db.write(lambda session: products.save(session, [draft], priority=queue.SINGLE))
    shop.work()
    shown = shop.client.get("/v1/products/many").json
    assert shown["state"] == "indexed"
    assert shop.index.count() == 3
    row = entry(shop.db, 3)
    assert row.image_retry_at is not None
    path.write_bytes(colour_image("white"))
    shop.execute(update(IndexEntry).values(image_retry_at=utcnow() - timedelta(days=1)))
    assert wake_awaited(shop.db)
    shop.work()
    assert shop.index.count() == 4
    assert entry(shop.db, 3).image_retry_at is None
