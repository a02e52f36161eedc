"""Another index is built beside the active one, checked, promoted, and gone back from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select
from support.image_files import encoded
from support.servers import migrated
from support.shop import Shop

from backend import embedders, generations, jobs
from backend import reindex as reindexing
from backend.database.models import (
    ACTIVE,
    BUILDING,
    RETIRED,
    STANDBY,
    Generation,
    ImageVector,
    IndexEntry,
    Job,
    Product,
)
from backend.embedders import Compute
from backend.embedders.mean_colour import MeanColour
from backend.errors import EmbedderBusy, IndexUnavailable, ModelMismatch, ReindexRunning, WrongState
from backend.generations import EmbedderIdentity
from backend.reindex import ReindexPlan, calibration, waiting_for_worker
from backend.reindex import job as reindex_job
from backend.search.query import Answer, Query
from backend.search.query_text import TextEncoder
from backend.search.similar import SimilarProducts
from backend.settings import Settings
from backend.vectors.edge import shard
from backend.vectors.edge.index import EdgeIndex
from backend.worker.loop import Worker

COLOURS = {"Red": (200, 30, 30), "Green": (30, 160, 40), "Blue": (30, 40, 190)}
BETTER = "mean-colour?grid=4"


def photograph(kind: str, number: int) -> bytes:
    """A garment of a colour, with noise that differs from image to image."""
    noise = np.random.default_rng(number).normal(0, 25, (16, 12, 3))
    pixels = np.clip(np.asarray(COLOURS[kind]) + noise, 0, 255).astype(np.uint8)
    return encoded(Image.fromarray(pixels).resize((48, 64)))


class ReindexedShop(Shop):
    """A shop whose products have labels, and which is re-indexed."""

    def add(self, sku: str, kind: str, number: int) -> None:
        self.save(sku, photograph(kind, number), article_type=kind)

    def fill(self, count: int) -> None:
        kinds = list(COLOURS)
        for number in range(count):
            self.add(f"s{number}", kinds[number % len(kinds)], number)
        self.work()

    def reindex(self, **plan: Any) -> Job:
        return self.follow(reindexing.request(self.db, ReindexPlan(**plan)).id)

    def promote(self, generation_id: int, *, force: bool = False) -> Job:
        job = reindexing.request_promotion(self.db, generation_id, force=force)
        return self.follow(job.id)

    def roll_back(self, **arguments: bool) -> dict[str, Any]:
        return self.services.promoter.roll_back(**arguments)

    def similar(self, sku: str) -> Answer:
        return self.services.similar.to_product(sku, Query())

    @property
    def ids(self) -> dict[str, int]:
        """The id of every product."""
        with self.db.read() as session:
            return {row.sku: row.id for row in session.scalars(select(Product))}

    def stored_payload(self, sku: str) -> dict[str, Any]:
        """Return all that the active index stores with a product's point."""
        index = self.services.indexes.of(self.generation_in(ACTIVE))
        assert isinstance(index, EdgeIndex)
        with index.store.using() as shard:
            found = shard.retrieve([self.ids[sku]], True, False)
        return dict(found[0].payload or {})

    def unfinished_reindex(self) -> Job | None:
        with self.db.read() as session:
            return next(iter(jobs.unfinished(session, "reindex")), None)


SETTINGS: Mapping[str, Any] = {
    "embedder": "mean-colour?grid=1",
    "poll_seconds": 0.05,
    "retry_seconds": 0.0,
    "promote_samples": 40,
    "drop_seconds": 0.0,
}


@pytest.fixture
def shop(settings: Settings) -> Iterator[ReindexedShop]:
    """A shop on SQLite."""
    with ReindexedShop(settings, **SETTINGS) as found:
        yield found


@pytest.fixture
def pg_shop(settings: Settings, pg_url: str) -> Iterator[ReindexedShop]:
    """A shop on PostgreSQL."""
    with ReindexedShop(settings, database_url=migrated(pg_url), **SETTINGS) as found:
        yield found


# --- building and promoting ------------------------------------------------------------------


def test_another_embedder_is_built_checked_and_promoted_by_itself(shop: ReindexedShop) -> None:
    shop.fill(30)
    job = shop.reindex(embedder=BETTER)
    assert job.error is None
    assert job.result is not None
    assert shop.states() == {1: STANDBY, 2: ACTIVE}
    assert (job.result["state"], job.result["indexed"]) == (ACTIVE, 30)
    answer = shop.similar("s0")
    assert answer.generation.id == 2
    assert {item.product.article_type for item in answer.items[:5]} == {"Red"}
    assert shop.skus_in(shop.generation_in(ACTIVE)) == {f"s{number}" for number in range(30)}


def test_the_numbers_of_the_check_are_kept_with_the_generation(shop: ReindexedShop) -> None:
    shop.fill(30)
    shop.reindex(embedder=BETTER)
    quality = shop.generation_in(ACTIVE).quality
    assert quality is not None
    checks = quality["checks"]
    assert checks["recall@10"]["value"] == 1.0
    assert checks["mAP@5"]["value"] > 0.8
    assert checks["coverage"]["value"] == 1.0
    assert checks["counts"]["value"] == 30
    assert checks["unsettled"]["value"] == 0
    assert checks["query_encoder"]["passed"]
    assert checks["overlap@10"]["bound"] is None  # of another embedder it is only reported
    assert checks["match_error"]["value"] is None
    assert checks["match_error"]["says"] == "too few labels for a curve of `match`"
    assert not quality["forced"]


def test_a_promotion_fits_the_match_of_its_own_generation(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "LEAST_PRODUCTS", 20)
    shop.fill(30)
    shop.reindex(embedder=BETTER)
    active, standby = shop.generation_in(ACTIVE), shop.generation_in(STANDBY)
    assert active.match_curve is not None
    assert active.match_curve["by"] == "article_type"
    assert active.quality is not None
    check = active.quality["checks"]["match_error"]
    assert (check["value"], check["bound"]) == (active.match_curve["error"], None)
    items = shop.similar("s0").items
    assert items[0].match is not None
    assert items[0].match > 0.9
    assert standby.match_curve is None
    shop.roll_back()
    assert {item.match for item in shop.similar("s0").items} == {None}


def test_a_reindex_without_another_embedder_opens_no_image_and_runs_no_network(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.fill(20)
    shop.add("bad", "Red", 1)

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("an image was opened, or a network run")

    shop.work()
    monkeypatch.setattr(shop.services.image_opener, "open", refuse)
    monkeypatch.setattr(shop.services.query_encoder, "check", lambda _: None)
    monkeypatch.setattr(MeanColour, "embed", refuse)
    job = shop.reindex(quantization="int8", hnsw={"m": 32})
    assert job.error is None
    new = shop.generation_in(ACTIVE)
    assert (new.id, new.quantization, new.index_options) == (2, "int8", {"hnsw_m": 32})
    assert shop.count(IndexEntry, generation_id=2) == 21
    assert len(shop.skus_in(new)) == 21
    assert new.quality is not None
    assert new.quality["checks"]["overlap@10"]["value"] == 1.0
    assert new.quality["checks"]["overlap@10"]["bound"] == 0.95


def test_a_reindex_gives_an_older_generation_the_tokens_of_its_attributes(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the release before tokens has made answers as it did, until it is re-indexed."""
    shop.fill(3)
    older = shop.generation_in(ACTIVE)
    assert older.attribute_tokens
    shop.db.write(lambda session: setattr(session.merge(older), "attribute_tokens", None))
    shop.restart()
    shop.save("cotton", photograph("Red", 7), attributes={"fabric": "cotton", "width": 42.5})
    shop.work()
    assert shop.generation_in(ACTIVE).attribute_tokens is None
    asked = {"attributes.fabric": "cotton", "attributes.width_gte": 42}
    assert shop.skus("/v1/products/s0/similar", **asked) == ["cotton"]
    assert "tokens" not in shop.stored_payload("cotton")

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a network was run")

    monkeypatch.setattr(shop.services.query_encoder, "check", lambda _: None)
    monkeypatch.setattr(MeanColour, "embed", refuse)
    job = shop.reindex()
    assert job.error is None
    assert job.result is not None
    assert job.result["attribute_tokens"] is shop.generation_in(ACTIVE).attribute_tokens is True
    assert 'fabric="cotton"' in shop.stored_payload("cotton")["tokens"]
    assert shop.skus("/v1/products/s0/similar", **asked) == ["cotton"]


def test_a_quarantined_image_stays_shut_in_a_reindex_and_keeps_its_last_good_vector(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.fill(12)
    for sku in ("s0", "new"):
        shop.save(sku, b"no image at all " + sku.encode(), article_type="Red")
    shop.work()
    assert shop.count(IndexEntry, generation_id=1) == 13

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(shop.services.image_opener, "open", refuse)
    job = shop.reindex(quantization="int8")
    assert job.error is None
    assert job.result is not None
    assert (job.result["indexed"], job.result["quarantined"]) == (11, 2)
    assert shop.skus_in(shop.generation_in(ACTIVE)) == {f"s{number}" for number in range(12)}


def test_a_second_embedder_computes_only_what_is_not_stored(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.fill(9)
    shop.reindex(embedder=BETTER)
    shop.add("late", "Red", 99)
    shop.work()
    seen: list[int] = []
    embed = MeanColour.embed

    def counted(self: MeanColour, images: Any) -> Any:
        seen.append(len(images))
        return embed(self, images)

    monkeypatch.setattr(MeanColour, "embed", counted)
    job = shop.reindex(embedder="mean-colour?grid=1")
    assert job.error is None
    assert sum(seen) == 1  # the sample image of the check


def test_a_reindex_that_is_promoted_by_hand_waits_and_receives_every_write(
    shop: ReindexedShop,
) -> None:
    shop.fill(15)
    job = shop.reindex(embedder=BETTER, promote="manual")
    assert job.result is not None
    assert (job.state, job.result["state"]) == (jobs.DONE, BUILDING)
    shop.add("later", "Blue", 70)
    shop.remove("s3")
    shop.work()
    assert "later" in shop.skus_in(shop.generation_in(BUILDING))
    assert "s3" not in shop.skus_in(shop.generation_in(BUILDING))
    assert shop.promote(2).error is None
    assert shop.states() == {1: STANDBY, 2: ACTIVE}


def test_a_second_reindex_is_refused_while_one_is_asked_for_or_building(
    shop: ReindexedShop,
) -> None:
    shop.fill(6)
    job = reindexing.request(shop.db, ReindexPlan(embedder=BETTER, promote="manual"))
    with pytest.raises(ReindexRunning, match=f"job {job.id}"):
        reindexing.request(shop.db, ReindexPlan())
    shop.follow(job.id)
    with pytest.raises(ReindexRunning, match=r"generation 2 .* is building already"):
        reindexing.request(shop.db, ReindexPlan())
    generations.drop(shop.db, 2)
    reindexing.request(shop.db, ReindexPlan())


def test_a_build_goes_on_after_a_restart(shop: ReindexedShop) -> None:
    shop.fill(12)
    job = reindexing.request(shop.db, ReindexPlan(embedder=BETTER))
    while BUILDING not in shop.states().values():
        shop.worker.work_once()
    shop.restart()
    assert shop.follow(job.id).error is None
    assert shop.states() == {1: STANDBY, 2: ACTIVE}


def test_a_build_waits_for_room_on_the_disk_of_the_index(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.fill(9)
    monkeypatch.setattr(shard, "RESERVE", 2**62)
    monkeypatch.setattr(reindex_job, "FULL_SECONDS", 0.0)
    job = reindexing.request(shop.db, ReindexPlan(embedder=BETTER))
    found: Job | None = None
    for _ in range(30):
        with suppress(IndexUnavailable):
            shop.worker.work_once()
        found = jobs.read(shop.db, job.id)
        if found is not None and found.result and "waits" in found.result:
            break
    assert found is not None
    assert found.state not in jobs.ENDED
    assert "disk of the embedded index is full" in (found.result or {})["waits"]
    monkeypatch.undo()
    assert shop.follow(job.id).state == jobs.DONE
    assert shop.generation_in(ACTIVE).embedder == BETTER


def test_a_generation_that_is_dropped_while_it_builds_ends_its_job(shop: ReindexedShop) -> None:
    shop.fill(6)
    job = reindexing.request(shop.db, ReindexPlan(embedder=BETTER))
    while BUILDING not in shop.states().values():
        shop.worker.work_once()
    generations.drop(shop.db, 2)
    ended = shop.follow(job.id)
    assert ended.state == jobs.FAILED
    assert "dropped" in str(ended.error)
    assert shop.states() == {1: ACTIVE, 2: RETIRED}


# --- the checks --------------------------------------------------------------------------------


class Shuffled(MeanColour):
    """A network whose weights were shuffled: an image's vector says nothing about it."""

    def __init__(self) -> None:
        super().__init__(1)
        self.name = self.fingerprint = "shuffled"

    def embed(self, images: Any) -> Any:
        seeds = [hash(image.tobytes()) % 2**32 for image in images]
        rows = np.stack([np.random.default_rng(seed).normal(size=self.size) for seed in seeds])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def shuffled(monkeypatch: pytest.MonkeyPatch) -> str:
    def make(variant: str, *, compute: Compute) -> Shuffled:
        return Shuffled()

    monkeypatch.setitem(embedders.FACTORIES, "shuffled", make)
    return "shuffled"


def test_a_broken_embedder_is_not_promoted_and_the_number_that_failed_is_named(
    shop: ReindexedShop, shuffled: str
) -> None:
    shop.fill(30)
    job = shop.reindex(embedder=shuffled)
    assert job.state == jobs.FAILED
    error = str(job.error)
    assert error.startswith(
        "promotion-refused: generation 2 is not promoted: mAP@5 by article_type"
    )
    assert "below the active generation's 1.000" in error
    assert shop.states() == {1: ACTIVE, 2: BUILDING}
    quality = shop.generation_in(BUILDING).quality
    assert quality is not None
    assert not quality["checks"]["mAP@5"]["passed"]
    assert shop.similar("s0").generation.id == 1


def test_force_promotes_it_all_the_same_and_says_so(shop: ReindexedShop, shuffled: str) -> None:
    shop.fill(30)
    shop.reindex(embedder=shuffled)
    assert shop.promote(2, force=True).error is None
    quality = shop.generation_in(ACTIVE).quality
    assert quality is not None
    assert quality["forced"]
    assert not quality["checks"]["mAP@5"]["passed"]


def test_an_index_that_lost_products_is_not_promoted(shop: ReindexedShop) -> None:
    shop.fill(20)
    shop.reindex(embedder=BETTER, promote="manual")
    index = shop.services.indexes.of(shop.generation_in(BUILDING))
    index.delete(dict(list(index.claims())[:3]))
    error = str(shop.promote(2).error)
    assert "the index holds 17 products, SQL says 20" in error
    assert shop.states() == {1: ACTIVE, 2: BUILDING}


def test_a_generation_that_embeds_too_few_products_is_not_promoted(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.fill(20)
    embed = MeanColour.embed

    def picky(self: MeanColour, images: Any) -> Any:
        if self.size > 4 and any(image.getpixel((0, 0))[0] > 150 for image in images):
            raise ValueError("red is too hard")
        return embed(self, images)

    monkeypatch.setattr(MeanColour, "embed", picky)
    error = str(shop.reindex(embedder=BETTER).error)
    assert "of them, 0.990 are demanded" in error


def test_an_encoder_that_does_not_answer_is_not_promoted(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.fill(12)

    def mute(_: Generation) -> None:
        raise ModelMismatch("the interactive worker has another one")

    monkeypatch.setattr(shop.services.query_encoder, "check", mute)
    error = str(shop.reindex(embedder=BETTER).error)
    assert "the query encoder does not answer: the interactive worker has another one" in error


def stand_beside_workers(shop: ReindexedShop, **changes: Any) -> None:
    """Run the jobs as a process does whose shoppers' images are embedded by others."""
    jobs_of = shop.services.reindex_jobs
    shop.services.reindex_jobs = replace(jobs_of, has_workers=True, **changes)
    shop.worker = Worker(shop.services)


def test_work_goes_on_while_a_promotion_waits_for_an_interactive_worker(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that loads another network answers late, or there is none: nobody can tell."""
    monkeypatch.setattr(waiting_for_worker, "ASK_SECONDS", 0)
    shop.fill(12)
    asked, found = [], []

    def answer_late(_: Generation) -> None:
        asked.append(1)
        if len(asked) == 1:
            shop.add("meanwhile", "Red", 70)
        found.append("meanwhile" in shop.skus_in(shop.generation_in(ACTIVE)))
        if not found[-1]:
            raise EmbedderBusy("no worker embedded the image within 2 seconds")

    stand_beside_workers(shop)
    monkeypatch.setattr(shop.services.query_encoder, "check", answer_late)
    job = shop.reindex(embedder=BETTER)
    assert job.error is None
    assert found[0] is False
    assert found[-1] is True
    assert shop.generation_in(ACTIVE).id == 2


@pytest.mark.parametrize(
    "refusal",
    [
        EmbedderBusy("no worker has answered lately"),
        EmbedderBusy("a worker cannot embed the image", cause="weights-unavailable"),
    ],
)
def test_a_promotion_is_refused_when_no_worker_answers_in_time_or_one_says_that_it_cannot(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch, refusal: EmbedderBusy
) -> None:
    if "cause" not in refusal.context:
        monkeypatch.setattr(waiting_for_worker, "WORKER_LOADS", timedelta(seconds=0.2))
        monkeypatch.setattr(waiting_for_worker, "ASK_SECONDS", 0.05)
    shop.fill(12)

    def refuse(_: Generation) -> None:
        raise refusal

    stand_beside_workers(shop)
    monkeypatch.setattr(shop.services.query_encoder, "check", refuse)
    error = str(shop.reindex(embedder=BETTER).error)
    assert f"the query encoder does not answer: {refusal.message}" in error


def test_a_reindex_waits_for_the_worker_that_names_the_network(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_for_worker, "ASK_SECONDS", 0)
    shop.fill(12)
    identify, asked = shop.services.reindex_jobs.identify, []

    def answer_late(spec: str) -> EmbedderIdentity:
        asked.append(spec)
        if asked.count(spec) == 1:
            raise EmbedderBusy("no worker embedded the image within 2 seconds")
        return identify(spec)

    stand_beside_workers(shop, identify=answer_late)
    job = shop.reindex(embedder=BETTER)
    assert job.error is None
    assert asked == ["mean-colour?grid=1"] * 2 + [BETTER] * 2
    assert waiting_for_worker.SINCE not in job.arguments
    assert shop.generation_in(ACTIVE).id == 2


def test_products_that_wait_keep_a_generation_from_being_promoted(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.restart(promote_wait_seconds=0.3)
    shop.fill(12)
    shop.reindex(embedder=BETTER, promote="manual")
    apply = shop.worker.rounds.apply
    monkeypatch.setattr(
        shop.worker.rounds,
        "apply",
        lambda generation: 0 if generation.id == 2 else apply(generation),
    )
    shop.add("stuck", "Red", 70)
    error = str(shop.promote(2).error)
    assert "1 products that were due when the check began are not indexed yet" in error
    assert "a product has been waiting for" in error


def test_a_better_embedder_is_promoted_under_live_writes(shop: ReindexedShop) -> None:
    shop.fill(40)
    stop = threading.Event()
    written: list[str] = []
    gone: list[str] = []

    def write() -> None:
        kinds = list(COLOURS)
        while not stop.is_set():
            number = len(written)
            shop.add(f"live{number}", kinds[number % 3], 1000 + number)
            written.append(f"live{number}")
            if number % 4 == 3:
                shop.remove(f"live{number - 1}")
                gone.append(f"live{number - 1}")
            stop.wait(0.02)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            job = shop.reindex(embedder=BETTER)
        finally:
            stop.set()
        writer.result()
    assert job.error is None
    assert written
    shop.work()
    expected = {f"s{number}" for number in range(40)} | set(written) - set(gone)
    assert shop.skus_in(shop.generation_in(ACTIVE)) == expected
    assert shop.skus_in(shop.generation_in(STANDBY)) == expected


# --- going back, and clearing away -----------------------------------------------------------


def test_a_rollback_is_one_step_and_the_standby_has_every_write(shop: ReindexedShop) -> None:
    shop.fill(12)
    shop.reindex(embedder=BETTER)
    shop.add("later", "Green", 71)
    shop.remove("s1")
    shop.work()
    assert shop.roll_back()["id"] == 1
    assert shop.states() == {1: ACTIVE, 2: STANDBY}
    held = shop.skus_in(shop.generation_in(ACTIVE))
    assert "later" in held
    assert "s1" not in held
    assert shop.similar("later").generation.id == 1
    assert shop.roll_back()["id"] == 2


def test_there_is_exactly_one_standby(shop: ReindexedShop) -> None:
    shop.fill(9)
    shop.reindex(embedder=BETTER)
    shop.reindex(embedder="mean-colour?grid=2")
    assert shop.states() == {1: RETIRED, 2: STANDBY, 3: ACTIVE}
    generations.drop(shop.db, 2)
    with pytest.raises(WrongState, match="no standby"):
        shop.roll_back()
    with pytest.raises(WrongState):
        generations.drop(shop.db, 3)


def test_a_retired_generation_goes_with_its_index_entries_and_vectors(shop: ReindexedShop) -> None:
    shop.fill(9)
    shop.reindex(embedder=BETTER)
    old = shop.generation_in(STANDBY)
    folder = shop.settings.index_dir / old.collection
    assert folder.exists()
    generations.drop(shop.db, old.id)
    while Worker(shop.services).maintenance.clean_up():
        pass
    assert not folder.exists()
    assert shop.count(IndexEntry, generation_id=old.id) == 0
    assert shop.count(ImageVector, fingerprint=old.fingerprint) == 0
    assert shop.count(ImageVector) == 9
    assert shop.similar("s0").generation.id == 2
    with shop.db.read() as session:
        assert session.get_one(Generation, old.id).dropped_at is not None


def test_vectors_that_another_generation_uses_stay(shop: ReindexedShop) -> None:
    shop.fill(9)
    shop.reindex(quantization="int8")
    generations.drop(shop.db, 1)
    while Worker(shop.services).maintenance.clean_up():
        pass
    assert shop.count(ImageVector) == 9


def test_a_standby_retires_when_its_time_is_over_and_its_index_goes_later(
    shop: ReindexedShop,
) -> None:
    shop.restart(standby_hours=0.0, drop_seconds=300.0)
    shop.fill(6)
    shop.reindex(embedder=BETTER)
    Worker(shop.services).maintenance.clean_up()
    assert shop.states() == {1: RETIRED, 2: ACTIVE}
    with shop.db.read() as session:
        retired = session.get_one(Generation, 1)
    assert (shop.settings.index_dir / retired.collection).exists()


def test_a_question_whose_index_was_dropped_is_asked_again_of_the_active_one(
    shop: ReindexedShop,
) -> None:
    shop.fill(6)
    shop.reindex(embedder=BETTER)
    old, services = shop.generation_in(STANDBY), shop.services
    generations.drop(shop.db, old.id)
    Worker(services).maintenance.clean_up()
    asked = []

    def slow(generation: Generation) -> Any:
        asked.append(generation.id)
        return services.indexes.of(old if len(asked) == 1 else generation)

    answer = SimilarProducts(shop.db, slow, TextEncoder(shop.db).encode).to_product("s0", Query())
    assert (asked, answer.generation.id) == ([2, 2], 2)
    assert not (shop.settings.index_dir / old.collection).exists()


@pytest.mark.slow
def test_on_postgresql_too_an_index_is_built_promoted_gone_back_from_and_dropped(
    pg_shop: ReindexedShop,
) -> None:
    shop = pg_shop
    shop.fill(12)
    assert shop.reindex(embedder=BETTER).error is None
    shop.add("later", "Green", 71)
    shop.remove("s1")
    shop.work()
    assert shop.similar("later").generation.id == 2
    assert shop.roll_back()["id"] == 1
    assert "later" in shop.skus_in(shop.generation_in(ACTIVE))
    assert "s1" not in shop.skus_in(shop.generation_in(ACTIVE))
    assert shop.reindex(quantization="int8").error is None
    assert shop.states() == {1: STANDBY, 2: RETIRED, 3: ACTIVE}
    while Worker(shop.services).maintenance.clean_up():
        pass
    assert shop.count(IndexEntry, generation_id=2) == 0
    assert shop.count(ImageVector) == 13  # of the embedder that is left


def test_an_adaptation_that_nobody_asked_for_leaves_nothing_when_it_is_refused(
    shop: ReindexedShop, shuffled: str
) -> None:
    shop.fill(30)
    plan = ReindexPlan(embedder=shuffled, adapt="off").as_arguments()
    job = shop.follow(jobs.write(shop.db, "reindex", {**plan, "automatic": True}))
    assert job.state == jobs.DONE
    assert job.result is not None
    assert "mAP@5 by article_type" in job.result["refused"]
    assert (shop.states()[1], BUILDING in shop.states().values()) == (ACTIVE, False)


# --- upgrades --------------------------------------------------------------------------------


def test_an_index_of_a_former_default_goes_on_where_no_embedder_is_set(
    shop: ReindexedShop, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.fill(9)
    shop.close()
    unset = {name: value for name, value in SETTINGS.items() if name != "embedder"}
    shop.settings = settings.model_copy(update=unset)
    assert shop.settings.embedder != SETTINGS["embedder"]
    shop.start()
    assert shop.unfinished_reindex() is None
    shop.add("new", "Red", 9)
    shop.work()
    assert shop.states() == {1: ACTIVE}
    assert shop.similar("new").generation.embedder == SETTINGS["embedder"]
    assert f"lookalike reindex --embedder {shop.settings.embedder}" in capsys.readouterr().out
    # naming another one is still a wish for another index
    shop.restart(embedder=BETTER)
    job = shop.unfinished_reindex()
    assert job is not None
    assert job.arguments["embedder"] == BETTER


def test_another_embedder_in_the_settings_is_built_by_itself(shop: ReindexedShop) -> None:
    shop.fill(12)
    shop.restart(embedder=BETTER)
    assert shop.similar("s0").generation.id == 1  # stored vectors answer meanwhile
    job = shop.unfinished_reindex()
    assert job is not None
    assert shop.follow(job.id).error is None
    assert shop.similar("s0").generation.embedder == BETTER
    shop.restart()
    assert shop.unfinished_reindex() is None


def test_a_rollback_from_the_settings_embedder_is_respected_by_the_next_start(
    shop: ReindexedShop,
) -> None:
    shop.fill(9)
    shop.restart(embedder=BETTER)
    job = shop.unfinished_reindex()
    assert job is not None
    shop.follow(job.id)
    shop.roll_back()
    generations.drop(shop.db, 2)
    shop.restart()
    assert shop.unfinished_reindex() is None


def test_an_embedder_chosen_on_the_command_line_stays_after_a_restart(shop: ReindexedShop) -> None:
    shop.fill(9)
    shop.reindex(embedder=BETTER)
    generations.drop(shop.db, 1)
    shop.restart()
    assert shop.unfinished_reindex() is None


@pytest.fixture
def upgrade(shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Restart with a package in which the same name means another network."""

    def make() -> None:
        init = MeanColour.__init__

        def newer(self: MeanColour, grid: int, **options: Any) -> None:
            init(self, grid, **options)
            self.fingerprint = f"newer {self.fingerprint}"[:64]

        monkeypatch.setattr(MeanColour, "__init__", newer)
        shop.restart()

    return make


def test_an_upgrade_reindexes_by_itself_and_meanwhile_refuses_only_images(
    shop: ReindexedShop, upgrade: Callable[[], None]
) -> None:
    shop.fill(12)
    upgrade()
    job = shop.unfinished_reindex()
    assert job is not None
    assert shop.similar("s0").generation.id == 1
    services = shop.services
    with pytest.raises(ModelMismatch):
        services.similar.to_image(
            services.query_encoder.encode,
            photograph("Red", 1),
            Query(),
        )
    shop.add("new", "Red", 72)
    assert shop.follow(job.id).error is None
    assert shop.states() == {1: STANDBY, 2: ACTIVE}
    shop.work()
    assert shop.worker.problem is None
    answer = services.similar.to_image(services.query_encoder.encode, photograph("Red", 1), Query())
    assert answer.generation.id == 2
    assert shop.similar("new").generation.id == 2


def test_a_checkpoint_that_was_trained_anew_is_another_embedder(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.fill(12)
    init = MeanColour.__init__

    def retrained(self: MeanColour, grid: int, **options: Any) -> None:
        init(self, grid, **options)
        self.fingerprint = "retrained"

    monkeypatch.setattr(MeanColour, "__init__", retrained)
    job = reindexing.request(shop.db, ReindexPlan(embedder=shop.settings.embedder))
    while BUILDING not in shop.states().values():
        shop.worker.work_once()
    services = shop.services
    image = photograph("Red", 1)
    old = services.similar.to_image(services.query_encoder.encode, image, Query())
    assert old.generation.id == 1  # by the network that this process still holds
    shop.follow(job.id)
    assert shop.generation_in(ACTIVE).fingerprint == "retrained"
