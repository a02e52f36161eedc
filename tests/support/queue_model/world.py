"""A small world around the real queue: workers that interleave, crash and come late.

Whatever production code does to the database, the index, an image or the embedder is a step.
Before each step a worker halts, and the history decides who goes next, or that this one died here.
The code under test is the production code itself: a worker is a thread, and only one of them moves
at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self
from unittest.mock import patch

import numpy as np
from sqlalchemy import update

from backend import indexing, queue
from backend.catalogue import product_images
from backend.catalogue.draft_images import ImageRef
from backend.database import clock
from backend.database.models import ACTIVE, Base, Generation, Product
from backend.indexing import EmbedOptions
from backend.queue.progress import progress, quarantine
from backend.vectors.image_points import point_id
from support.queue_model.parts import (
    BAD,
    ModelEmbedder,
    ModelImages,
    SteppedDatabase,
    WatchedIndex,
    Worker,
    Wrong,
    expect,
    vector_of,
)

LEASE: Final = 60
MAX_FAILURES: Final = 4
ROUNDS_TO_REST: Final = 60


@dataclass
class Shelf:
    """What the shop believes of one product."""

    sku: str
    id: int = 0
    image: str = "none"
    price: float = 1.0
    live: bool = False
    versions: int = 0
    past: set[str] = field(default_factory=set)  # good images it has had
    more: tuple[str, ...] = ()  # its images beyond the first
    needed_until: float = 0.0  # opening its image is fine for who began before; inf: still is

    @property
    def uri(self) -> str | None:
        """Where the image lies: a place of its own for every change."""
        if self.image == "none":
            return None
        return f"{self.image}/{self.sku}/{self.versions}"

    @property
    def good(self) -> list[str]:
        """Its images that can have a point, each once."""
        every = (self.image, *self.more)
        return list(dict.fromkeys(image for image in every if image not in BAD))

    @property
    def further(self) -> tuple[ImageRef, ...]:
        """Its images beyond the first, of which nobody has seen one yet."""
        name = f"{self.sku}/{self.versions}"
        return tuple(ImageRef(uri=f"{it}/{name}.{at}") for at, it in enumerate(self.more))


class World:
    """The shop, the clock, the index, and the workers of one history at a time."""

    def __init__(self) -> None:
        self.db = SteppedDatabase(self)
        Base.metadata.create_all(self.db.engine)
        self._stack = ExitStack()
        self._stack.enter_context(patch.object(clock, "now", lambda _session: self.now))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.begin()
        self._stack.close()
        self.db.close()

    def begin(self, *, shelves: int = 3, reconciles: bool = True) -> None:
        """Forget the last history and start another."""
        for worker in getattr(self, "workers", []):
            worker.crash()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.moment = 0
        self.reconciles = reconciles
        self.index = WatchedIndex(self)
        self.workers: list[Worker] = []
        self.active: Worker | None = None
        self.harm = 0  # claims that ended in a crash or came late, for no fault of an image
        self.images = ModelImages(self)
        self.vectors_lost = False
        self.shelves = [Shelf(sku=f"s{number}") for number in range(shelves)]
        for table in (
            *("index_entries", "image_vectors", "product_images", "products", "generations"),
        ):
            self.db.raw(f"DELETE FROM {table}")
        self.generation = Generation(
            collection="c", embedder="e", fingerprint="f", size=3, state=ACTIVE
        )
        self.db.write(lambda session: session.add(self.generation))

    # --- what the shop does ---

    def put(
        self, number: int, image: str, *, seen: bool = True, more: tuple[str, ...] = ()
    ) -> None:
        """Catalogue a product, give it other images, or bring it back after a removal.

        `seen`: the image's digest is known, as it is for a file; else it is somewhere remote.
        """
        shelf = self.shelves[number]
        comes_back = bool(shelf.id) and not shelf.live
        if comes_back:
            shelf.past = set()  # a new life: its former images are no more its own
        shelf.image, shelf.live, shelf.needed_until = image, True, float("inf")
        shelf.versions += 1
        shelf.more = tuple(each for each in more if each != "none")
        digest = image if seen and image != "none" else None
        values = {"image_uri": shelf.uri, "image_digest": digest, "removed_at": None}
        values["more_images"] = len(shelf.more) or None

        def write(session: Any) -> None:
            if not shelf.id:
                product = Product(sku=shelf.sku, price=shelf.price, **values)
                session.add(product)
                session.flush()
                shelf.id = product.id
            else:
                session.execute(update(Product).where(Product.id == shelf.id).values(values))
            product_images.replace_further(session, {shelf.id: shelf.further})
            if comes_back:
                queue.request_anew(session, [shelf.id], priority=0)
            else:
                queue.request(session, [shelf.id], image=True, priority=0)

        shelf.past.update(shelf.good)
        self.db.write(write)

    def edit(self, number: int) -> None:
        """Change a price."""
        shelf = self.shelves[number]
        if shelf.live:
            shelf.price += 1
            self._change(shelf, {"price": shelf.price}, queue.request, image=False)

    def remove(self, number: int) -> None:
        """Take a product out of the catalogue."""
        shelf = self.shelves[number]
        if shelf.live:
            shelf.live, shelf.needed_until = False, self.moment
            self._change(shelf, {"removed_at": self.now}, queue.request_removal)

    def lose_points(self) -> None:
        """Lose the index."""
        self.index.points.clear()

    def lose_vectors(self) -> None:
        """Lose the vectors in SQL, so that from now on any image may have to be opened."""
        self.db.raw("DELETE FROM image_vectors")
        self.vectors_lost = True

    def _change(
        self, shelf: Shelf, values: dict[str, Any], request: Callable[..., None], **options: Any
    ) -> None:
        def write(session: Any) -> None:
            session.execute(update(Product).where(Product.id == shelf.id).values(values))
            request(session, [shelf.id], priority=0, **options)

        self.db.write(write)

    # --- what the workers do ---

    def embed(self) -> Worker:
        """Start a round of the first stage."""
        options = EmbedOptions(
            claim_size=4,
            batch_size=2,
            lease=timedelta(seconds=LEASE),
            max_failures=MAX_FAILURES,
            retry=timedelta(seconds=5),
        )
        return self._start(
            lambda: indexing.embed_pending(
                self.db,
                self.generation,
                embedder=ModelEmbedder(self),
                image_opener=self.images,
                options=options,
            ),
            embeds=True,
        )

    def apply(self) -> Worker:
        """Start a round of the second stage."""
        lease = timedelta(seconds=LEASE)
        return self._start(
            lambda: indexing.apply_pending(self.db, self.generation, self.index, lease=lease)
        )

    def reconcile(self) -> Worker:
        """Start a comparison of everything."""
        return self._start(
            lambda: indexing.reconcile(self.db, self.generation, self.index, fix=True)
        )

    def _start(self, work: Callable[[], object], *, embeds: bool = False) -> Worker:
        self.moment += 1
        worker = Worker(work, began=self.moment, embeds=embeds)
        self.workers.append(worker)
        return worker

    def step(self, worker: Worker, *, steps: int = 1) -> None:
        """Let a worker take some steps; what it then left in SQL is looked at."""
        for _ in range(steps):
            if worker.over:
                break
            self.moment += 1
            self.active = worker
            try:
                worker.step()
            finally:
                self.active = None
            if self.index.wrong:
                raise self.index.wrong
        self._look()
        if worker.over:
            self.workers.remove(worker)

    def run(self, worker: Worker) -> None:
        """Let a worker run to its end."""
        self.step(worker, steps=10_000)

    def crash(self, worker: Worker) -> None:
        """Let a worker die where it halts."""
        self.harm += worker.embeds
        worker.crash()
        self.workers.remove(worker)

    def wait(self, seconds: float) -> None:
        """Let time pass; an embedder that exceeds its lease is late."""
        self.now += timedelta(seconds=seconds)
        for worker in self.workers:
            worker.held += seconds
            if worker.embeds and worker.held >= LEASE:
                self.harm, worker.held = self.harm + 1, 0.0

    def halt(self) -> None:
        """Stop the worker that is about to take a step; the shop itself does not stop."""
        if self.active:
            self.active.halt()

    def see_opened(self, sku: str) -> None:
        """Somebody opens a product's image: something must have changed about it."""
        shelf = next(shelf for shelf in self.shelves if shelf.sku == sku)
        began = self.active.began if self.active else self.moment
        needed = shelf.needed_until >= began or self.vectors_lost
        expect(needed, f"the image of {sku} was opened for no reason")

    def _look(self) -> None:
        """Note whose image is settled, one way or the other: from now on nobody needs it."""
        rows = self.db.raw(
            "SELECT product_id FROM index_entries WHERE embedded = wanted OR"
            " (due_at IS NULL AND last_error IS NOT NULL)"
        )
        settled = {id_ for (id_,) in rows}
        for shelf in self.shelves:
            if shelf.id in settled and shelf.needed_until == float("inf"):
                shelf.needed_until = self.moment

    # --- what must be true in the end ---

    def end(self) -> None:
        """Let the stragglers come back, come to rest, reconcile, and judge."""
        while self.workers:
            self.run(self.workers[0])
        self.rest()
        if self.reconciles:
            self.run(self.reconcile())
            self.rest()
        self.judge()

    def rest(self) -> None:
        """Let fresh workers do all there is to do, while halted ones stay halted."""
        for _ in range(ROUNDS_TO_REST):
            ((due,),) = self.db.raw("SELECT min(due_at) FROM index_entries")
            if due is None:
                return
            self.wait(max(0.0, (_moment(due) - self.now).total_seconds()))
            self.run(self.embed())
            self.run(self.apply())
        raise Wrong("the queue does not come to rest")

    def judge(self) -> None:
        """Compare what the index holds with what the shop believes."""
        with self.db.read() as session:
            counts = progress(session, self.generation.id)
            held_back = {row.product_id for row in quarantine(session, self.generation.id)}
        live = [shelf for shelf in self.shelves if shelf.live]
        expect(counts.at_rest, "something is pending at rest")
        expect(counts.products == len(live), "progress counts the wrong products")
        expect(counts.quarantined == len(held_back), "progress and the quarantine's list differ")
        expect(counts.indexed == len(live) - len(held_back), "the counts do not add up")
        rows = self.db.raw("SELECT product_id, embedded_digest, more_digests FROM index_entries")
        digests = {
            id_: [first, *json.loads(more or "[]")] if first else [] for id_, first, more in rows
        }
        expected = set()
        for shelf in live:
            self._judge_quarantine(shelf, shelf.id in held_back)
            found = digests.get(shelf.id, [])
            if shelf.id not in held_back:
                self._judge_images(shelf, found)
            for slot, digest in enumerate(found):
                expected.add(point_id(shelf.id, slot))
                self._judge_vector(shelf, slot, digest)
        expect(set(self.index.points) == expected, "the index holds other products than it should")

    def _judge_quarantine(self, shelf: Shelf, held_back: bool) -> None:
        """A bad image is in quarantine; a good one only if bad luck used all its attempts up."""
        if not shelf.good:
            expect(held_back, f"{shelf.sku} has a bad image and is not in quarantine")
        elif held_back:
            spent = self.harm + 2  # a batch shared with one killer, and a failure to fetch
            expect(spent >= MAX_FAILURES, f"{shelf.sku} is in quarantine for another's sake")

    def _judge_images(self, shelf: Shelf, found: list[str]) -> None:
        """All good images have a point, but for those that bad luck used all attempts of up."""
        spent = self.harm + 2 >= MAX_FAILURES or "killer" in shelf.more
        missing = set(shelf.good) - set(found)
        right = [image for image in shelf.good if image in found]
        every = (shelf.image, *shelf.more)
        is_ordered = len(set(every)) == len(every)  # else one of two equal images may be lost
        agrees = found == right if is_ordered else set(found) == set(right)
        expect(agrees, f"{shelf.sku} was embedded from other images")
        expect(not missing or (spent and shelf.more), f"{shelf.sku} lacks an image")

    def _judge_vector(self, shelf: Shelf, slot: int, digest: str) -> None:
        """A point shows the present price, and a present image or the last good one."""
        expect(digest in shelf.past, f"{shelf.sku} was embedded from an image it never had")
        point = self.index.points.get(point_id(shelf.id, slot))
        expect(point is not None, f"{shelf.sku} has a vector and no point")
        if point:
            price = point.payload["price"]
            expect(price == shelf.price, f"{shelf.sku} shows an old price")
            same = np.allclose(point.vector, vector_of(digest), atol=1e-3)
            expect(same, f"{shelf.sku} shows another image than SQL says")


def _moment(stored: str) -> datetime:
    return datetime.fromisoformat(stored).replace(tzinfo=UTC)
