"""A shop that is queried and edited all through a re-index answers always, and never wrongly.

`make prove-reindex` runs it on real products (PRODUCTS=10000) and prints the latencies. With
SKEW=45 the clocks of the workers' hosts are wrong by so many seconds, in both directions.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sqlalchemy import select
from support import real_catalogue
from support.catalogue import draw_catalogue
from support.catalogue_editor import CatalogueEditor
from support.installation import Installation, distributed
from support.query_load import (
    ActivePeriod,
    QueryLoad,
    failures,
    inactive_answers,
    latencies,
    removed_but_shown,
    wrong_scores,
)
from support.servers import load_per_processor, wait_for

from backend.catalogue.image_vectors import unpack
from backend.database.models import Generation, ImageVector, Product
from backend.queue.progress import progress

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600 * load_per_processor())]

SKEW = float(os.environ.get("PROVE_REINDEX_SKEW", "0"))  # seconds


@dataclass(frozen=True)
class Scale:
    """How big a shop is asked how often, for how long in each phase."""

    products: int
    embedder: str
    next_embedder: str
    per_second: float
    seconds: float
    patience: float  # seconds that filling one generation may take


SMALL = Scale(
    products=1200,
    embedder="mean-colour?grid=1",
    next_embedder="mean-colour?grid=4",
    per_second=20,
    seconds=4,
    patience=120,
)
REAL = Scale(
    products=int(os.environ.get("PROVE_REINDEX_PRODUCTS", "0")),
    embedder="efficientnet-lite0",
    next_embedder="lookalike-fashion",
    per_second=20,
    seconds=30,
    patience=1800,
)


@pytest.fixture
def scale() -> Scale:
    return REAL if REAL.products else SMALL


@pytest.fixture
def catalogue(scale: Scale, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / "shop"
    if scale is SMALL:
        return draw_catalogue(folder, scale.products)
    shared: Path = request.getfixturevalue("shared_data")
    return real_catalogue.unpack(shared, folder, scale.products, only_with_image=True)


@pytest.fixture
def shop(scale: Scale, tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    changes = {
        "embedder": scale.embedder,
        "lease_seconds": 20,
        "hang_seconds": 60,
        "decode_seconds": 10,
        "interactive_seconds": 10,
        "promote_map_drop": 0.02,  # small samples scatter; other tests try the checks
    }
    with distributed(tmp_path / "installation", postgres_url, **changes) as found:
        found.clock_ahead = {"w1": SKEW, "shoppers": -SKEW} if SKEW else {}
        yield found


def test_a_reindex_under_load_is_killed_resumes_is_promoted_and_rolled_back(
    shop: Installation, catalogue: Path, scale: Scale
) -> None:
    run = ReindexRun(shop, catalogue, scale)
    run.fill()
    editor = CatalogueEditor(shop, random.Random(5), pause=1 / scale.per_second)
    images = sorted((catalogue / "images").iterdir())
    with QueryLoad(shop, images, per_second=scale.per_second) as load, editor:
        run.go(load)
    run.settle(scale.products + editor.count)
    if SKEW:
        wait_for(lambda: 1 in {round(skew / SKEW) for skew in shop.skews()}, seconds=30)

    assert failures(load.answers) == []
    assert inactive_answers(load.answers, run.periods) == []
    assert removed_but_shown(load.answers, editor.absences) == []
    vectors = {period.generation: run.vectors(period.generation) for period in run.periods}
    checked, wrong = wrong_scores(load.answers, vectors)
    assert wrong == []
    assert checked > len(load.answers)
    assert {period.generation for period in run.periods} == {
        one.body["generation"] for one in load.answers
    }
    shop.prints_logs = False
    sys.stdout.write(
        f"\n{scale.products} products, {editor.writes} writes and {len(editor.absences)} removals; "
        f"{checked} scores checked; {run.story}\n{latencies(load.answers, first='before')}\n"
    )


class ReindexRun:
    """The shop, and what is done to it."""

    def __init__(self, shop: Installation, catalogue: Path, scale: Scale) -> None:
        self.shop = shop
        self.catalogue = catalogue
        self.scale = scale
        self.periods: list[ActivePeriod] = []
        self.story = ""

    def fill(self) -> None:
        """Fill the first generation."""
        for name, queue in (("w1", "index"), ("shoppers", "interactive")):
            self.shop.worker(name, queue=queue)
        self.shop.start("beat")
        self.shop.api()
        self.shop.wait_until_ready("w1", "shoppers", seconds=120)
        self.shop.run("import", str(self.catalogue))
        self.shop.wait_until_indexed(self.scale.products, seconds=self.scale.patience)
        self.periods.append(ActivePeriod(self.shop.generation.id, since=0.0))

    def go(self, load: QueryLoad) -> None:
        """Re-index with kills, promote, roll back, each under the eyes of the load."""
        time.sleep(self.scale.seconds)
        load.phase = "building"
        spec = self.scale.next_embedder
        self.shop.run("reindex", "--embedder", spec, "--promote", "manual", "--no-wait")
        new = wait_for(self.building, seconds=60)
        self.at(new, 0.2, self.kill_a_worker)
        self.at(new, 0.4, self.kill_a_supervisor)
        with load.paused():
            self.at(new, 0.5, self.kill_the_api)
        self.reach(new, 1.0)
        for phase, verb in (("promoted", "promote"), ("rolled back", "rollback")):
            load.phase = f"{verb}…"
            self.change_active(verb, new.id)
            load.phase = phase
            time.sleep(self.scale.seconds)

    def building(self) -> Generation | None:
        with self.shop.db.read() as session:
            return session.scalar(select(Generation).where(Generation.state == "building"))

    def at(self, generation: Generation, share: float, act: Callable[[], None]) -> None:
        """Wait until this share of the generation is filled, then act."""
        self.reach(generation, share)
        self.story += f"{act.__name__.replace('_', ' ')} at {self.filled(generation):.0%}, "
        act()

    def reach(self, generation: Generation, share: float) -> None:
        wait_for(lambda: self.filled(generation) >= share, seconds=self.scale.patience)

    def filled(self, generation: Generation) -> float:
        with self.shop.db.read() as session:
            now = progress(session, generation.id)
        return now.indexed / max(1, now.products)

    def kill_a_worker(self) -> None:
        os.kill(self.shop.pid_of_worker("w1"), signal.SIGKILL)

    def kill_a_supervisor(self) -> None:
        self.shop.end("w1", signal.SIGKILL)
        self.shop.worker("w1")

    def kill_the_api(self) -> None:
        """Kill the one process that owns the shard; it is away until its successor is ready."""
        began = time.time()
        self.shop.kill_api()
        self.shop.api()
        self.story += f"away for {time.time() - began:.1f} s"

    def change_active(self, verb: str, new: int) -> None:
        """Promote or roll back; the old generation may answer until the command is over.

        A loaded machine answers a check too late, so the command is repeated, as it would be.
        """
        began = time.time()
        command = ["generations", verb, *([str(new)] if verb == "promote" else [])]
        wait_for(lambda: self.shop.runs(*command), seconds=60)
        old = self.periods[-1]
        old.until = time.time()
        self.periods.append(ActivePeriod(self.shop.generation.id, since=began))
        assert self.periods[-1].generation != old.generation

    def settle(self, count: int) -> None:
        """Wait until nothing is due, and compare SQL with the index product by product."""
        self.shop.wait_until_indexed(count, seconds=self.scale.patience)
        found = self.shop.verify()
        assert found["drift"] == 0, found

    def vectors(self, generation_id: int) -> dict[str, npt.NDArray[np.float32]]:
        """Return the unit vectors of the catalogue's products in a generation, by sku."""
        skus = {path.stem for path in (self.catalogue / "images").iterdir()}
        with self.shop.db.read() as session:
            generation = session.get_one(Generation, generation_id)
            rows = session.execute(
                select(Product.sku, ImageVector.vector)
                .join(ImageVector, ImageVector.image_digest == Product.image_digest)
                .where(ImageVector.fingerprint == generation.fingerprint)
            )
            found = {sku: unpack(blob) for sku, blob in rows if sku in skus}
        return {sku: vector / np.linalg.norm(vector) for sku, vector in found.items()}
