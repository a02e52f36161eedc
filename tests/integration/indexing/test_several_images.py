"""A product with several images has a point for each; every stage knows of all of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update
from support.image_files import colour_image
from support.shop import LIMITS, QUICK, FakeEmbedder, Shop

from backend import backup, queue
from backend.catalogue import products
from backend.catalogue.products import Draft
from backend.database.models import Generation, IndexEntry, ProductImage
from backend.images.decoder_pool import DecoderPool
from backend.indexing import schema
from backend.indexing.snapshot import snapshot
from backend.queue import SINGLE
from backend.queue.progress import count_points, count_products
from backend.settings import Settings
from backend.vectors import SLOT, Point
from backend.vectors.image_points import MOST_IMAGES, STRIDE, point_id, product_of, slot_of

PLAN = {"embedder": None, "quantization": None, "hnsw": {}, "promote": True, "force": True}


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, limits=LIMITS) as pool:
        yield pool


def open_shop(folder: Path, decoders: DecoderPool) -> Shop:
    options = QUICK | {"embedder": "mean-colour?grid=2"}
    settings = Settings(_env_file=None, data_dir=folder)
    return Shop(settings, decoders=decoders, fake_embedder=FakeEmbedder(), **options)


@pytest.fixture(scope="module")
def opened_shop(tmp_path_factory: pytest.TempPathFactory, decoders: DecoderPool) -> Iterator[Shop]:
    with open_shop(tmp_path_factory.mktemp("several") / "shop", decoders) as made:
        yield made


@pytest.fixture
def shop(opened_shop: Shop) -> Shop:
    """An empty shop, opened once."""
    opened_shop.empty()
    opened_shop.execute(update(Generation).values(most_images=None))
    opened_shop.embedder.when.clear()
    opened_shop.embedder.batches.clear()
    return opened_shop


@pytest.fixture
def own_shop(tmp_path: Path, decoders: DecoderPool) -> Iterator[Shop]:
    """A shop of the test's own."""
    with open_shop(tmp_path / "shop", decoders) as made:
        yield made


def save(shop: Shop, sku: str, *colours: str | bytes, **values: Any) -> int:
    """Save a product with these images; bytes are the file of one, as it is."""
    files = [colour_image(each) if isinstance(each, str) else each for each in colours]
    draft = Draft(sku=sku, values=values, images=[shop.store(file) for file in files])
    saved = shop.db.write(
        lambda session: products.save(session, [draft], priority=SINGLE, complete=False)
    )
    return saved.ids[sku]


def points(shop: Shop, id_: int) -> list[int]:
    """The slots of a product's points."""
    return [slot_of(each) for each, _ in shop.index.claims() if product_of(each) == id_]


def entry(shop: Shop, id_: int) -> IndexEntry:
    with shop.db.read() as session:
        return session.get_one(IndexEntry, (shop.generation.id, id_))


def similar(shop: Shop, sku: str, **query: Any) -> list[str]:
    return shop.skus(f"/v1/products/{sku}/similar", **query)


def test_ids_of_points_are_told_apart_and_small_enough_for_json() -> None:
    for slot in range(MOST_IMAGES):
        id_ = point_id(STRIDE - 1, slot)
        assert (product_of(id_), slot_of(id_)) == (STRIDE - 1, slot)
        assert id_ < 2**53


def test_each_image_is_embedded_once_and_has_a_point_of_its_own(shop: Shop) -> None:
    one = save(shop, "one", "red", price=5)
    shop.work()
    two = save(shop, "two", "green", "red", "blue", price=7)
    shop.work()
    assert points(shop, one) == [0]
    assert points(shop, two) == [0, 1, 2]
    assert shop.embedder.batches == [1, 2]  # red is embedded once
    for record in shop.index.records([point_id(two, slot) for slot in range(3)]):
        assert record.payload["price"] == 7
        assert record.payload.get(SLOT, 0) == slot_of(record.id)
    progress = shop.progress()
    assert (progress.products, progress.indexed) == (2, 2)
    with shop.db.read() as session:
        assert count_points(session, shop.generation.id) == 4
        assert count_products(session, shop.generation.id) == 2
    assert shop.run("verify", full=True)["drift"] == 0


def test_a_change_of_the_payload_reaches_all_points_and_opens_no_image(shop: Shop) -> None:
    id_ = save(shop, "1", "red", "green", price=1)
    shop.work()
    opened = len(shop.images.opened)
    shop.reprice([id_], 9)
    shop.work()
    assert [each.payload["price"] for each in shop.index.records([id_, point_id(id_, 1)])] == [9, 9]
    assert len(shop.images.opened) == opened


def test_points_come_and_go_with_the_images(shop: Shop) -> None:
    id_ = save(shop, "1", "red", "green", "blue")
    shop.work()
    save(shop, "1", "blue")
    shop.work()
    assert points(shop, id_) == [0]
    assert entry(shop, id_).more_points is None
    save(shop, "1", "blue", "tan")
    shop.work()
    assert points(shop, id_) == [0, 1]
    shop.remove("1")
    shop.work()
    assert points(shop, id_) == []


def test_one_bad_image_costs_itself(shop: Shop) -> None:
    id_ = save(shop, "1", "red", b"no image", "blue")
    bad = save(shop, "2", b"none", b"none either")
    first = save(shop, "3", b"bad first", "tan")
    shop.work()
    assert points(shop, id_) == [0, 1]
    assert (points(shop, bad), points(shop, first)) == ([], [0])
    assert shop.progress().quarantined == 1

    images = shop.client.get("/v1/products/1").json["images"]
    assert [image["state"] for image in images] == ["indexed", "quarantined", "indexed"]
    assert images[1]["reason"].startswith("not-an-image")
    assert shop.client.get("/v1/products/1").json["state"] == "indexed"
    listed = shop.client.get("/v1/quarantine").json["items"]
    assert [(item["sku"], item["image"]) for item in listed] == [("1", 2), ("2", None), ("3", 1)]
    assert listed[0]["image_uri"] == images[1]["uri"]
    assert shop.client.get("/v1/products/2").json["state"] == "quarantined"
    assert shop.run("verify", full=True)["drift"] == 0


def test_an_image_that_cannot_be_had_is_tried_again_and_then_left_out(shop: Shop) -> None:
    uri = "https://images.example/2"
    draft = Draft(
        sku="1", values={}, images=[shop.store(colour_image("red")), products.ImageRef(uri=uri)]
    )
    saved = shop.db.write(lambda s: products.save(s, [draft], priority=SINGLE))
    id_ = saved.ids["1"]
    shop.embed()
    assert entry(shop, id_).embedded == 0  # it waits for the second image
    shop.work()
    assert points(shop, id_) == [0]
    assert (entry(shop, id_).image_errors or {}).keys() == {uri}
    shop.remote[uri] = colour_image("blue")
    shop.db.write(lambda s: queue.request(s, [id_], image=True, priority=SINGLE))
    shop.work()
    assert points(shop, id_) == [0, 1]
    assert entry(shop, id_).image_errors is None
    with shop.db.read() as session:
        assert session.get_one(ProductImage, (id_, 1)).digest is not None


def test_an_image_that_kills_its_process_costs_itself(shop: Shop) -> None:
    class Killed(BaseException):
        pass

    def kill(_: Any) -> Any:
        raise Killed

    shop.embedder.when["green"] = kill
    id_ = save(shop, "1", "red", "green", "blue", "tan")
    for _ in range(shop.settings.max_failures):
        with pytest.raises(Killed):
            shop.embed()
        shop.worker.recover()
    shop.work()
    assert points(shop, id_) == [0, 1, 2]
    (reason,) = (entry(shop, id_).image_errors or {}).values()
    assert reason.startswith("decoder-died")


def test_a_worker_that_dies_before_it_settles_leaves_no_point(shop: Shop, monkeypatch: Any) -> None:
    id_ = save(shop, "1", "red", "green", "blue")
    shop.embed()

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("backend.queue.settle_indexed", die)
        with pytest.raises(KeyboardInterrupt):
            shop.apply()
    assert points(shop, id_) == [0, 1, 2]
    save(shop, "1", "red")
    shop.worker.recover()
    shop.work()
    assert points(shop, id_) == [0]


def test_a_late_writer_has_its_points_deleted_again(shop: Shop, monkeypatch: Any) -> None:
    id_ = save(shop, "1", "red", "green")
    shop.embed()
    upsert = type(shop.index).upsert

    def overtaken(index: Any, late: Sequence[Point]) -> None:
        monkeypatch.undo()
        save(shop, "1", "red")
        shop.worker.recover()
        shop.work()
        assert points(shop, id_) == [0]
        upsert(index, late)

    monkeypatch.setattr(type(shop.index), "upsert", overtaken)
    shop.apply()
    shop.work()
    assert points(shop, id_) == [0]


def test_a_stray_point_does_not_answer_and_is_repaired(shop: Shop) -> None:
    id_ = save(shop, "1", "red")
    save(shop, "2", "blue")
    shop.work()
    (record,) = shop.index.records([id_], vectors=True)
    assert record.vector is not None
    vector = shop.index.records([id_ + 1], vectors=True)[0].vector
    assert vector is not None
    stray = Point(id=point_id(id_, 3), vector=vector, payload=record.payload, claim=record.claim)
    shop.index.upsert([stray])
    answer = shop.client.get("/v1/products/2/similar").json["items"]
    assert [item["sku"] for item in answer] == ["1"]
    assert answer[0]["score"] < 0.99  # by its own image, not by the stray one
    found = shop.repair()
    assert (found["stray"], found["examples"]["stray"]) == (1, [id_])
    assert points(shop, id_) == [0]


def test_a_lost_point_of_one_image_is_written_again(shop: Shop) -> None:
    id_ = save(shop, "1", "red", "green", "blue")
    shop.work()
    claim = entry(shop, id_).indexed_claim or 0
    shop.index.delete({point_id(id_, 2): claim})
    assert shop.run("verify")["missing"] == 1
    assert shop.repair()["missing"] == 1
    assert points(shop, id_) == [0, 1, 2]


def test_a_lost_index_is_refilled_with_all_points(shop: Shop) -> None:
    id_ = save(shop, "1", "red", "green", "blue")
    shop.work()
    shop.index.delete(dict(shop.index.claims()))
    assert shop.repair()["missing"] == 3
    assert points(shop, id_) == [0, 1, 2]


def test_the_builder_reads_all_points_from_sql(shop: Shop) -> None:
    save(shop, "1", "red", "green", "blue", price=3)
    save(shop, "2", "tan")
    shop.work()
    pages = snapshot(shop.db, shop.generation, schema())
    built = [each for page in pages for each in page]
    stored = {each.id: each for each in shop.index.records([p.id for p in built], vectors=True)}
    assert {each.id for each in built} == {id_ for id_, _ in shop.index.claims()}
    for each in built:
        vector = stored[each.id].vector
        assert vector is not None
        assert np.allclose(each.vector / np.linalg.norm(each.vector), vector, atol=1e-3)
        assert each.claim == stored[each.id].claim
        given = {name: value for name, value in each.payload.items() if name != "claim"}
        assert given == stored[each.id].payload


def test_a_reindex_by_the_same_embedder_opens_no_image(own_shop: Shop) -> None:
    id_ = save(own_shop, "1", "red", "green", "blue")
    save(own_shop, "2", "tan")
    own_shop.work()
    opened = len(own_shop.images.opened)
    own_shop.run("reindex", **PLAN)
    assert points(own_shop, id_) == [0, 1, 2]
    assert own_shop.generation.most_images == 3
    assert len(own_shop.images.opened) == opened
    assert own_shop.run("verify", full=True)["drift"] == 0


# --- answers --------------------------------------------------------------------------------


def test_a_product_is_found_by_its_nearest_image_and_once(shop: Shop) -> None:
    save(shop, "query", "#d02020")
    save(shop, "several", "blue", "#d02121", "green")
    save(shop, "close", "#c03030")
    shop.work()
    answer = shop.client.get("/v1/products/query/similar").json["items"]
    assert [item["sku"] for item in answer] == ["several", "close"]
    assert answer[0]["score"] > 0.999


def test_a_query_can_use_any_image_of_a_product(shop: Shop) -> None:
    save(shop, "1", "red", "blue", b"no image")
    save(shop, "reddish", "#f00808")
    save(shop, "bluish", "#0808f0")
    shop.work()
    assert similar(shop, "1", limit=1) == similar(shop, "1", limit=1, image=1) == ["reddish"]
    assert similar(shop, "1", limit=1, image=2) == ["bluish"]
    body = {"sku": "1", "limit": 1, "image": 2}
    assert shop.client.post("/v1/similar", json=body).json["items"][0]["sku"] == "bluish"
    failed = shop.client.get("/v1/products/1/similar?image=3")
    assert (failed.status_code, failed.json["code"]) == (409, "not-searchable")
    assert "not-an-image" in failed.json["detail"]
    missing = shop.client.get("/v1/products/1/similar?image=4")
    assert (missing.status_code, missing.json["code"]) == (404, "no-image")
    assert shop.client.get("/v1/products/1/similar?image=0").status_code == 422


def test_answers_hold_as_many_products_as_are_asked_for(shop: Shop) -> None:
    for number in range(6):
        reds = [f"#{200 + number:02x}{at:02x}10" for at in range(16)]
        save(shop, f"many{number}", *reds)
    for number in range(20):
        save(shop, f"one{number}", f"#20{number:02x}d0")
    shop.work()
    found = similar(shop, "many0", limit=25)
    assert len(found) == len(set(found)) == 25
    assert set(found[:5]) == {f"many{number}" for number in range(1, 6)}
    assert "many0" not in found
    without = similar(shop, "many0", limit=10, exclude="many1,many2")
    assert not {"many1", "many2"} & set(without)


def test_facets_count_products(shop: Shop) -> None:
    save(shop, "1", "red", "green", gender="Men")
    save(shop, "2", "blue", gender="Women")
    shop.work()
    items = shop.client.get("/v1/facets?fields=gender").json["items"]
    assert [value["count"] for value in items[0]["values"]] == [1, 1]


def test_single_images_ask_the_index_once_and_for_no_more_than_before(
    shop: Shop, monkeypatch: Any
) -> None:
    for number in range(30):
        save(shop, str(number), f"#{number:02x}4080")
    shop.work()
    limits = []
    nearest = type(shop.index).nearest

    def counted(index: Any, vector: Any, *, limit: int, **options: Any) -> Any:
        limits.append((limit, len(options["exclude"])))
        return nearest(index, vector, limit=limit, **options)

    monkeypatch.setattr(type(shop.index), "nearest", counted)
    similar(shop, "0", limit=10)
    assert limits == [(19, 0)]  # one more: the product itself is left out afterwards


def test_a_backup_holds_all_images(own_shop: Shop, tmp_path: Path) -> None:
    id_ = save(own_shop, "1", "red", "green")
    own_shop.work()
    manifest = backup.save(own_shop.settings, tmp_path / "backup")
    assert manifest.images == 2
    own_shop.close()
    shutil.rmtree(own_shop.settings.data_dir / "images")
    backup.restore(own_shop.settings, tmp_path / "backup", force=True)
    own_shop.start()
    for number in (1, 2):
        assert own_shop.client.get(f"/v1/products/1/images/{number}").status_code == 200
    own_shop.work()
    assert points(own_shop, id_) == [0, 1]


def test_entries_of_single_images_carry_nothing_new(shop: Shop) -> None:
    id_ = save(shop, "1", "red")
    shop.work()
    row = entry(shop, id_)
    assert (row.more_digests, row.more_points, row.image_errors) == (None, None, None)
    with shop.db.read() as session:
        assert session.scalar(select(Generation.most_images)) is None
