"""A shop that is asked and edited all through a re-index answers always, and never wrongly.

`make prove-reindex` runs it on real products (PRODUCTS=10000) and prints the latencies.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sqlalchemy import select
from support.catalogue_editor import Clerk
from support.installation import Fleet, draw_catalogue, fleet
from support.query_load import Crowd, Reign, failures, latencies, miscalculated, revenants, usurpers
from support.servers import wait_for

from backend.catalogue.image_vectors import unpack
from backend.database.models import Generation, ImageVector, Product
from backend.queue.progress import progress

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


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
    (folder / "images").mkdir(parents=True)
    with zipfile.ZipFile(shared / "fashion-products-small.zip") as archive:
        names = {Path(name).name: name for name in archive.namelist()}
        head, *rows = archive.read(names["styles.csv"]).decode().splitlines()
        rows = [row for row in rows if f"{row.split(',', 1)[0]}.jpg" in names][: scale.products]
        (folder / "styles.csv").write_text("\n".join([head, *rows]) + "\n")
        for sku in (row.split(",", 1)[0] for row in rows):
            (folder / "images" / f"{sku}.jpg").write_bytes(archive.read(names[f"{sku}.jpg"]))
    return folder


@pytest.fixture
def shop(scale: Scale, tmp_path: Path, postgres_url: str) -> Iterator[Fleet]:
    knobs = {
        "embedder": scale.embedder,
        "lease_seconds": 20,
        "hang_seconds": 60,
        "decode_seconds": 10,
        "interactive_seconds": 10,
        "promote_map_drop": 0.02,  # small samples scatter; what the gate refuses is tried elsewhere
    }
    with fleet(tmp_path / "fleet", postgres_url, **knobs) as found:
        yield found


def test_a_reindex_under_load_is_killed_resumes_is_promoted_and_rolled_back(
    shop: Fleet, catalogue: Path, scale: Scale
) -> None:
    stage = Stage(shop, catalogue, scale)
    stage.open()
    clerk = Clerk(shop, random.Random(5), pause=1 / scale.per_second)
    images = sorted((catalogue / "images").iterdir())
    with Crowd(shop, images, per_second=scale.per_second) as crowd, clerk:
        stage.play(crowd)
    stage.settle(scale.products + clerk.count)

    assert failures(crowd.answers) == []
    assert usurpers(crowd.answers, stage.reigns) == []
    assert revenants(crowd.answers, clerk.absences) == []
    vectors = {reign.generation: stage.vectors(reign.generation) for reign in stage.reigns}
    checked, wrong = miscalculated(crowd.answers, vectors)
    assert wrong == []
    assert checked > len(crowd.answers)
    assert {reign.generation for reign in stage.reigns} == {
        one.body["generation"] for one in crowd.answers
    }
    shop.tells = False
    sys.stdout.write(
        f"\n{scale.products} products, {clerk.writes} writes and {len(clerk.absences)} removals; "
        f"{checked} scores checked; {stage.story}\n{latencies(crowd.answers, first='before')}\n"
    )


class Stage:
    """The shop, and what is done to it."""

    def __init__(self, shop: Fleet, catalogue: Path, scale: Scale) -> None:
        self.shop = shop
        self.catalogue = catalogue
        self.scale = scale
        self.reigns: list[Reign] = []
        self.story = ""

    def open(self) -> None:
        """Fill the first generation."""
        for name, queue in (("w1", "index"), ("shoppers", "interactive")):
            self.shop.worker(name, queue=queue)
        self.shop.run("beat", name="beat")
        self.shop.api()
        self.shop.ready("w1", "shoppers", seconds=120)
        assert self.shop.run("import", str(self.catalogue), name="import").wait(300) == 0
        self.shop.wait_until_indexed(self.scale.products, seconds=self.scale.patience)
        self.reigns.append(Reign(self.shop.generation().id, since=0.0))

    def play(self, crowd: Crowd) -> None:
        """Re-index with kills, promote, roll back, each under the eyes of the crowd."""
        time.sleep(self.scale.seconds)
        crowd.phase = "building"
        spec = self.scale.next_embedder
        self.ask("reindex", "--embedder", spec, "--promote", "manual", "--no-wait")
        new = wait_for(self.building, seconds=60)
        self.at(new, 0.2, self.kill_a_worker)
        self.at(new, 0.4, self.kill_a_supervisor)
        with crowd.kept_out():
            self.at(new, 0.5, self.kill_the_api)
        self.reach(new, 1.0)
        for phase, verb in (("promoted", "promote"), ("rolled back", "rollback")):
            crowd.phase = f"{verb}…"
            self.change_reign(verb, new.id)
            crowd.phase = phase
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
        master = self.shop.process("api")
        for process in [*master.children(recursive=True), master]:
            process.kill()
        self.shop.end("api", signal.SIGKILL)
        self.shop.api()
        self.story += f"away for {time.time() - began:.1f} s"

    def change_reign(self, verb: str, new: int) -> None:
        """Promote or roll back; the old generation may answer until the command is over."""
        began = time.time()
        self.ask("generations", verb, *([str(new)] if verb == "promote" else []), seconds=300)
        old = self.reigns[-1]
        old.until = time.time()
        self.reigns.append(Reign(self.shop.generation().id, since=began))
        assert self.reigns[-1].generation != old.generation

    def ask(self, *arguments: str, seconds: float = 60) -> str:
        """Run a command beside the running shop and return what it prints."""
        name = "-".join(word for word in arguments[:2] if word.isalpha())
        status = self.shop.run(*arguments, name=name).wait(seconds)
        assert status == 0, self.shop.log_of(name)
        return self.shop.log_of(name)

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
