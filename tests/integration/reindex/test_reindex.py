"""Another index is built beside the active one, promoted, and gone back from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from support.reindexed_shop import BETTER, REINDEX_SETTINGS, ReindexedShop, photograph
from support.servers import migrated, wait_for

from backend import generations, jobs
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
)
from backend.embedders.mean_colour import MeanColour
from backend.errors import IndexUnavailable, ReindexRunning, WrongState
from backend.reindex import ReindexPlan, calibration
from backend.reindex import job as reindex_job
from backend.search.query import Query
from backend.search.query_text import TextEncoder
from backend.search.similar import SimilarProducts
from backend.settings import Settings
from backend.vectors.edge import shard
from backend.worker.loop import Worker


@pytest.fixture
def shop(settings: Settings) -> Iterator[ReindexedShop]:
    """A shop on SQLite."""
    with ReindexedShop(settings, **REINDEX_SETTINGS) as found:
        yield found


@pytest.fixture
def pg_shop(settings: Settings, pg_url: str) -> Iterator[ReindexedShop]:
    """A shop on PostgreSQL."""
    with ReindexedShop(settings, database_url=migrated(pg_url), **REINDEX_SETTINGS) as found:
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

    def waits() -> Job | None:
        with suppress(IndexUnavailable):
            shop.worker.work_once()
        found = jobs.read(shop.db, job.id)
        return found if found and found.result and "waits" in found.result else None

    found = wait_for(waits)
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
