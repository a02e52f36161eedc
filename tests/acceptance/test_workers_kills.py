"""Nothing is lost: everything is killed at random moments of an import, and all comes right.

`make prove-kills RUNS=20` runs it with that many new seeds, or `SEED=7` again with an old one. A
seed decides what is done and when; how the processes interleave is up to the machine. The clocks of
the two workers' hosts are wrong by 45 seconds, in both directions.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from sqlalchemy import select
from support.catalogue import draw_catalogue
from support.catalogue_editor import CatalogueEditor
from support.image_files import random_image
from support.installation import PATIENCE_SECONDS, Installation, distributed, is_ready
from support.servers import load_per_processor, wait_for

from backend import indexing
from backend.catalogue import image_vectors
from backend.database.models import Product
from backend.images.store import digest_of
from backend.vectors import VectorIndex
from workers.names import Queue

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 * load_per_processor())]

IMPORTED = 2000
MORE = 3  # beyond one of each kind
SECONDS = 12.0  # in which all that happens
APART = 45  # seconds by which the clocks of the two workers are wrong


def seeds() -> list[int]:
    if given := os.environ.get("PROVE_KILLS_SEED"):
        return [int(given)]
    runs = int(os.environ.get("PROVE_KILLS_RUNS", "0"))
    return [random.randrange(10**6) for _ in range(runs)] or [11, 22, 33]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_catalogue(tmp_path_factory.mktemp("catalogue") / "shop", IMPORTED)


@pytest.mark.parametrize("seed", seeds())
def test_whatever_is_killed_every_product_is_indexed_once_and_right(
    seed: int, tmp_path: Path, postgres_url: str, catalogue: Path
) -> None:
    with distributed(tmp_path, postgres_url) as shop:
        shop.clock_ahead = {"w1": APART, "w2": -APART}
        trouble = Trouble(shop, random.Random(seed))
        trouble.start_everything()
        editor = CatalogueEditor(shop, random.Random(seed + 1))
        with editor, importing(shop, catalogue):
            trouble.make()
        trouble.restore()
        began = time.monotonic()
        wait_for(lambda: is_at_rest(shop, IMPORTED + editor.count), seconds=90)
        wait_for(lambda: {round(skew / APART) for skew in shop.skews()} >= {1, -1}, seconds=30)
        found = shop.verify()
        report(seed, trouble, editor, took=time.monotonic() - began)
        assert found["drift"] == 0, found
        trouble.stop_the_api()
        compare(shop, editor)


def is_at_rest(shop: Installation, count: int) -> bool:
    now = shop.progress()
    return now.at_rest and (now.products, now.quarantined) == (count, 0)


def report(seed: int, trouble: Trouble, editor: CatalogueEditor, *, took: float) -> None:
    done = ", ".join(
        f"{what} {times} times" if times > 1 else what
        for what, times in sorted(trouble.done.items())
    )
    sys.stdout.write(
        f"\nseed {seed}: {IMPORTED + editor.count} products; {editor.writes} writes over REST; "
        f"{done}; at rest {took:.1f} s after the last\n"
    )


class Trouble:
    """Kills, restarts, doubles and drops; what has no supervisor is started again at once."""

    def __init__(self, shop: Installation, chance: random.Random) -> None:
        self.shop = shop
        self.chance = chance
        self.done: Counter[str] = Counter()
        self._messages: set[bytes] = set()
        self._kinds: dict[str, Callable[[], None]] = {
            "worker killed": self._kill_worker,
            "supervisor killed": self._kill_supervisor,
            "API killed": self._kill_api,
            "Redis killed": lambda: self._kill_redis(lose_data=False),
            "Redis killed with its data": lambda: self._kill_redis(lose_data=True),
            "PostgreSQL restarted": self._restart_postgres,
            "scheduler killed": self._kill_scheduler,
            "messages doubled": self._double,
            "messages dropped": self._drop,
        }

    def start_everything(self) -> None:
        for name in ("w1", "w2"):
            self.shop.worker(name)
        self.shop.start("beat")
        self.shop.api()
        self.shop.wait_until_ready("w1", "w2")

    def make(self) -> None:
        """Do all kinds, and some of them again, in any order, each at a moment of its own."""
        kinds = sorted(self._kinds) + self.chance.choices(sorted(self._kinds), k=MORE)
        self.chance.shuffle(kinds)
        moments = sorted(self.chance.uniform(0, SECONDS) for _ in kinds)
        began = time.monotonic()
        for kind, moment in zip(kinds, moments, strict=True):
            while time.monotonic() < began + moment:
                self._note_messages()
                time.sleep(0.05)
            self._kinds[kind]()
            self.done[kind] += 1

    def restore(self) -> None:
        """See that all is running again."""
        wait_for(lambda: self.shop.url and is_ready(self.shop.url), seconds=PATIENCE_SECONDS)
        for name in ("w1", "w2"):
            self.shop.pid_of_worker(name)

    def stop_the_api(self) -> None:
        """Stop it in good order, so that its index can be opened here."""
        self.shop.end("api", signal.SIGTERM)

    def _kill_worker(self) -> None:
        os.kill(self.shop.pid_of_worker(self.chance.choice(["w1", "w2"])), signal.SIGKILL)

    def _kill_supervisor(self) -> None:
        name = self.chance.choice(["w1", "w2"])
        self.shop.end(name, signal.SIGKILL)
        self.shop.worker(name)

    def _kill_api(self) -> None:
        self.shop.kill_api()
        self.shop.start("serve", "--port", "0", name="api")

    def _kill_scheduler(self) -> None:
        self.shop.end("beat", signal.SIGKILL)
        self.shop.start("beat")

    def _kill_redis(self, *, lose_data: bool) -> None:
        self.shop.redis.kill(lose_data=lose_data)
        time.sleep(self.chance.choice([0, 0.1, 1]))
        self.shop.redis.start()

    def _restart_postgres(self) -> None:
        """Kill one of its processes: the server ends all others and recovers from its log."""
        url = str(self.shop.settings.database_url).replace("+psycopg", "")
        with wait_for(lambda: _connected(url)) as connection:
            os.kill(connection.info.backend_pid, signal.SIGKILL)

    def _note_messages(self) -> None:
        self._messages.update(self.shop.redis.client.lrange(Queue.INDEX, 0, -1))

    def _double(self) -> None:
        if self._messages:
            copies = self.chance.choices(sorted(self._messages), k=30)
            self.shop.redis.client.lpush(Queue.INDEX, *copies)

    def _drop(self) -> None:
        self.shop.redis.client.flushall()


def _connected(url: str) -> psycopg.Connection | None:
    """Connect, unless the server is just recovering."""
    try:
        return psycopg.connect(url)
    except psycopg.OperationalError:
        return None


class importing:  # noqa: N801  (reads as a statement)
    """Runs `lookalike import`, again if it dies of what happens, until it has gone through."""

    def __init__(self, shop: Installation, catalogue: Path) -> None:
        self._start = lambda: shop.start("import", str(catalogue))
        self._process = self._start()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, *_: object) -> None:
        tries = 5
        while kind is None and self._process.wait(60 * load_per_processor()) != 0:
            tries -= 1
            assert tries, "the import does not go through"
            self._process = self._start()


# --- what the index really holds ---------------------------------------------------------------


def compare(shop: Installation, editor: CatalogueEditor) -> None:
    """Open the index and compare each point with what the shop was told to sell."""
    generation = shop.generation
    shop.services.owner.acquire()
    index = shop.services.indexes.of(generation)
    expected = {row.id: row for row in live_products(shop)}
    assert {row.sku for row in expected.values()} == set(editor.has) | set(
        map(str, range(IMPORTED))
    )
    found = payloads(index, generation.size)
    assert found == {id_: indexing.payload(row) for id_, row in expected.items()}
    assert [id_ for id_, _ in index.claims()] == sorted(expected)
    check_vectors(shop, index, expected, editor)


def live_products(shop: Installation) -> Iterator[Product]:
    with shop.db.read() as session:
        yield from session.scalars(select(Product).where(Product.removed_at.is_(None)))


def payloads(index: VectorIndex, size: int) -> dict[int, dict[str, Any]]:
    """All points of the index: a search without a limit that matters, whatever the vector."""
    hits = index.nearest(np.ones(size, np.float32), limit=10 * IMPORTED, exact=True)
    assert len({hit.id for hit in hits}) == len(hits)
    return {hit.id: dict(hit.payload) for hit in hits}


def check_vectors(
    shop: Installation, index: VectorIndex, expected: dict[int, Product], editor: CatalogueEditor
) -> None:
    """Each point has the vector of its product's present image, and the shop's present price."""
    digests = {}
    for id_, row in expected.items():
        if row.sku in editor.has:
            price, seed = editor.has[row.sku]
            assert row.price == price
        else:
            seed = int(row.sku)
        digests[id_] = digest_of(random_image(seed))
    with shop.db.read() as session:
        vectors = image_vectors.load(session, shop.generation.fingerprint, set(digests.values()))
    for id_, digest in digests.items():
        stored = index.vector(id_)
        assert stored is not None
        assert np.allclose(stored, vectors[digest], atol=1e-4)
