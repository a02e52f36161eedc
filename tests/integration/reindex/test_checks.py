"""What is checked before a generation is promoted, and what keeps it from that."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from support.reindexed_shop import BETTER, COLOURS, REINDEX_SETTINGS, ReindexedShop

from backend import embedders, jobs
from backend.database.models import (
    ACTIVE,
    BUILDING,
    STANDBY,
    Generation,
)
from backend.embedders import Compute
from backend.embedders.mean_colour import MeanColour
from backend.errors import EmbedderBusy, ModelMismatch
from backend.generations import EmbedderIdentity
from backend.reindex import ReindexPlan, waiting_for_worker
from backend.settings import Settings
from backend.worker.loop import Worker


@pytest.fixture
def shop(settings: Settings) -> Iterator[ReindexedShop]:
    """A shop on SQLite."""
    with ReindexedShop(settings, **REINDEX_SETTINGS) as found:
        yield found


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
    assert "0.050 above the 0.950" in quality["checks"]["recall@10"]["says"]
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
