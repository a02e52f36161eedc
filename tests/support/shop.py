"""One process of a shop: real database, index, image store and decoders, the fast embedder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from threading import Thread
from typing import Any, Self

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import delete, func, insert, select, update
from werkzeug.test import TestResponse

from backend import indexing, jobs, queue
from backend.api import create_app
from backend.bootstrap import build
from backend.catalogue.image_vectors import pack
from backend.database.engine import Database
from backend.database.models import (
    ApiKey,
    CategoryPair,
    Event,
    Experiment,
    Feed,
    Generation,
    ImageVector,
    IndexEntry,
    Job,
    ListedAnswer,
    ListedArm,
    ListedDay,
    Placement,
    PlacementChange,
    Product,
    RuleChange,
    RuleRow,
    utcnow,
)
from backend.embedders.mean_colour import MeanColour
from backend.errors import ImageUnavailable
from backend.images.decoder_pool import DecoderPool
from backend.images.limits import ImageLimits
from backend.images.open_images import ImageOpener
from backend.indexing import EmbedOptions
from backend.search.query_text import TextEncoder
from backend.search.similar import SimilarProducts
from backend.settings import Settings, read_settings
from backend.vectors import Vector, VectorIndex
from backend.worker.loop import Worker
from support.catalogue import Catalogue, file_reference
from support.image_files import colour_image

PROBLEM = "application/problem+json"
LIMITS = ImageLimits(max_bytes=1_000_000, max_pixels=1_000_000, max_side=2000, min_side=8)


class CountedImages(ImageOpener):
    """Images that remember which of them were opened."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.opened: list[str | None] = []

    def open(self, uris: Sequence[str | None], target: Any, **options: Any) -> Iterator[Any]:
        self.opened += uris
        return super().open(uris, target, **options)


class FakeEmbedder(MeanColour):
    """Calls a function of the test's whenever an image of some colour is in the batch."""

    def __init__(self) -> None:
        super().__init__(grid=2)
        self.batch_size = 4
        self.batches: list[int] = []
        self.when: dict[str, Callable[[Any], Any]] = {}  # colour -> its vector, changed

    def embed(self, images: Sequence[Image.Image]) -> Any:
        self.batches.append(len(images))
        vectors = super().embed(images)
        for row, image in enumerate(images):
            for colour, change in self.when.items():
                if image.getpixel((0, 0)) == Image.new("RGB", (1, 1), colour).getpixel((0, 0)):
                    vectors[row] = change(vectors[row])
        return vectors


class Shop(Catalogue):
    """A shop in one process, as `serve` runs it, without the thread of its worker.

    `fake_embedder`, `index` and `decoders` take the place of the real ones; with `decoders` of the
    test's own, `images` counts what is opened and fetches from `remote`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        fake_embedder: FakeEmbedder | None = None,
        index: VectorIndex | None = None,
        decoders: DecoderPool | None = None,
        recover: bool = True,
        **changes: Any,
    ) -> None:
        self.settings = settings.model_copy(update={"embedder": "mean-colour"} | changes)
        self.embedder = fake_embedder
        self.remote: dict[str, bytes] = {}  # what the hosts of images answer
        self._index, self._decoders, self._recover = index, decoders, recover
        self.filled: tuple[Any, ...] | None = None  # what `history` was when it was a wardrobe
        self.start()

    # --- as a process ----------------------------------------------------------------------

    def start(self) -> None:
        for made in ("app", "client"):
            self.__dict__.pop(made, None)
        self.services = build(self.settings)
        if self._decoders:
            store = self.services.image_store
            outages = self.services.outages
            self.images = CountedImages(store, self._decoders, fetch=self._fetch, outages=outages)
            self.services = replace(self.services, image_opener=self.images)
        if self._index:
            self.index = self._index
        if self.embedder:
            self.services.embedders.of = lambda generation: self.embedder
        self.services.owner.acquire()
        self.worker = Worker(self.services)
        if self._recover:
            self.worker.recover()

    def close(self) -> None:
        """Let go of everything, as the end of `serve` does."""
        self.worker.optimizer.stop()
        self.services.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def restart(self, **changes: Any) -> None:
        """End, and start again as another process, perhaps under other settings."""
        self.close()
        self.settings = self.settings.model_copy(update=changes)
        self.start()

    def _fetch(self, uri: str) -> bytes:
        if uri not in self.remote:
            raise ImageUnavailable("the host does not answer")
        return self.remote[uri]

    @property
    def index(self) -> VectorIndex:
        return self._index or self.services.indexes.of(self.generation)

    @index.setter
    def index(self, index: VectorIndex) -> None:
        self._index = index
        self.services.indexes.of = lambda generation: index
        self.services.similar = SimilarProducts(
            self.db, self.services.indexes.of, TextEncoder(self.db).encode
        )

    # --- work ------------------------------------------------------------------------------

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.settings.lease_seconds)

    def embed(self) -> int:
        """Work off one claim of the first stage; return how many products it was."""
        embedder = self.services.embedders.of(self.generation)
        options = EmbedOptions(
            claim_size=2 * embedder.batch_size,
            batch_size=embedder.batch_size,
            lease=self.lease,
            max_failures=self.settings.max_failures,
            retry=timedelta(seconds=self.settings.retry_seconds),
        )
        opener = self.services.image_opener
        return indexing.embed_pending(
            self.db, self.generation, embedder=embedder, image_opener=opener, options=options
        )

    def apply(self) -> int:
        """Write all that is due to the index; return how many products it was."""
        total = 0
        while done := indexing.apply_pending(
            self.db, self.generation, self.index, lease=self.lease
        ):
            total += done
        return total

    def work(self) -> None:
        """Work, as the server's loop does, until nothing is due."""
        while self.worker.work_once():
            pass

    @contextmanager
    def working(self) -> Iterator[None]:
        """Have the worker's loop run in a thread, which must end when it is told to."""
        thread = Thread(target=self.worker.run)
        thread.start()
        try:
            yield
        finally:
            self.worker.stop()
            thread.join(timeout=60)
            assert not thread.is_alive()
            self.worker = Worker(self.services)  # for the next test: this one begins no long job

    def follow(self, job_id: int, *, rounds: int = 500) -> Job:
        """Work until a job is over."""
        for _ in range(rounds):
            job = jobs.read(self.db, job_id)
            assert job is not None
            if job.state in jobs.ENDED:
                return job
            if not self.worker.work_once():
                self.worker.wake_up.wait(0.05)
        raise AssertionError(f"{job.verb} is still {job.state}: {job.arguments} {job.result}")

    def run(self, verb: str, **arguments: Any) -> Mapping[str, Any]:
        """Ask for a job, follow it, and return its result."""
        job = self.follow(jobs.write(self.db, verb, arguments))
        assert job.state == jobs.DONE, job.error
        return job.result or {}

    def repair(self, **arguments: Any) -> Mapping[str, Any]:
        """Let `verify --fix` repair, show that it did, and return what it found."""
        found = self.run("verify", fix=True, **arguments)
        assert self.run("verify", **arguments)["drift"] == 0
        assert self.progress().at_rest
        return found

    # --- products --------------------------------------------------------------------------

    def save_in_place(self, sku: str, data: bytes, **values: Any) -> int:
        """Save a product whose image stays where it lies: `folder / "sku.png"`."""
        path = self.settings.data_dir.parent / f"{sku}.png"
        path.write_bytes(data)
        return self.save(sku, image=file_reference(path, data), **values)

    def reprice(self, ids: Iterable[int], price: float) -> None:
        """Change prices, which only asks for a write."""
        some = list(ids)

        def change(session: Any) -> None:
            session.execute(update(Product).where(Product.id.in_(some)).values(price=price))
            queue.request(session, some, image=False, priority=queue.SINGLE)

        self.db.write(change)

    def empty(self) -> None:
        """Forget every product, also in the index."""
        self.index.delete(dict(self.index.claims()))
        self.services.answer_log.flush()
        listed = (ListedAnswer, ListedDay, ListedArm, CategoryPair)
        for row in (IndexEntry, Event, *listed, Product, ImageVector, Job, Feed):
            self.execute(delete(row))

    def forget_staff(self) -> None:
        """Forget what operators and merchandisers have set: keys, rules, placements, experiments.

        Names of keys and placements occur again in other tests, and a rule acts on all lists.
        """
        rules = (RuleRow, RuleChange, Placement, PlacementChange, Experiment)
        for row in (ApiKey, *rules):
            self.execute(delete(row))

    def history(self) -> tuple[Any, ...]:
        """Numbers that every write changes."""
        numbers = (func.sum(IndexEntry.wanted), func.sum(IndexEntry.claim), func.max(Product.id))
        numbers += (select(func.max(Event.id)).scalar_subquery(),)
        with self.db.read() as session:
            joined = select(*numbers).outerjoin(IndexEntry, IndexEntry.product_id == Product.id)
            return tuple(session.execute(joined).one())

    # --- over REST -------------------------------------------------------------------------

    @cached_property
    def app(self) -> Flask:
        return create_app(self.services)

    @cached_property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def put(self, sku: str, colour: str | None = None, **fields: Any) -> TestResponse:
        """PUT a product, and its image if it has a colour; nothing is indexed yet."""
        stored = self.client.put(f"/v1/products/{sku}", json=fields)
        assert stored.status_code in (200, 201), stored.text
        if colour:
            self.put_image(sku, colour_image(colour))
        return stored

    def put_image(self, sku: str, data: bytes) -> TestResponse:
        return self.client.put(f"/v1/products/{sku}/image", data=data, content_type="image/png")

    def skus(self, url: str, **query: Any) -> list[str]:
        """The skus of a list or an answer, in order."""
        response = self.client.get(url, query_string=query or None)
        assert response.status_code == 200, response.text
        return [item["sku"] for item in response.json["items"]]

    def similar(self, sku: str, **query: Any) -> Any:
        """The answer about what looks like a product."""
        response = self.client.get(f"/v1/products/{sku}/similar", query_string=query)
        assert response.status_code == 200, response.text
        return response.json


QUICK = {"embedder": "mean-colour", "retry_seconds": 0, "poll_seconds": 0.02}


def four_products(shop: Shop) -> Shop:
    """Index four products at a price of 1, and take their images away."""
    for colour in ("red", "green", "blue", "white"):
        shop.save(colour, colour_image(colour), price=1.0)
    shop.run("index")
    shutil.rmtree(shop.settings.data_dir / "images")
    return shop


# --- many products without images ----------------------------------------------------------


def vector_of(product_id: int, size: int = 13) -> Vector:
    """Draw a product's vector, as SQL keeps it."""
    drawn = np.random.default_rng(product_id).normal(size=size)
    return (drawn / np.linalg.norm(drawn)).astype(np.float16).astype(np.float32)


def stock(db: Database, generation: Generation, count: int) -> None:
    """Catalogue products whose vectors are known, each due to be written to the index."""
    ids, fingerprint = range(1, count + 1), generation.fingerprint
    rows = [{"id": n, "sku": f"s{n}", "price": 1.0, "gender": f"g{n % 4}"} for n in ids]
    vectors = [
        {
            "image_digest": f"d{n}",
            "fingerprint": fingerprint,
            "vector": pack(vector_of(n, generation.size)),
        }
        for n in ids
    ]
    entry = {"generation_id": generation.id, "embedded": 1}
    entry |= dict.fromkeys(("requested_at", "due_at"), utcnow())
    queue = [entry | {"product_id": n, "embedded_digest": f"d{n}"} for n in ids]
    for table, values in ((Product, rows), (ImageVector, vectors), (IndexEntry, queue)):
        db.write(lambda session, t=table, v=values: session.execute(insert(t), v))


# --- a shop for a whole session ------------------------------------------------------------


@pytest.fixture(scope="session")
def api_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Small limits, one declared facet, one allowed host; nothing of the shell's environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name in ("DATABASE_URL", "BROKER_URL") or name.startswith(("LOOKALIKE_", "QDRANT_")):
                patch.delenv(name)
        return read_settings(
            _env_file=None,
            data_dir=tmp_path_factory.mktemp("shop"),
            embedder="mean-colour",
            facets=("fit",),
            image_hosts=("images.example",),
            max_batch=5,
            max_image_bytes=50_000,
            retry_seconds=0,
        )


@pytest.fixture(scope="session")
def _open_shop(api_settings: Settings) -> Iterator[Shop]:
    with Shop(api_settings) as shop:
        yield shop


@pytest.fixture
def shop(_open_shop: Shop) -> Shop:
    """An empty shop: opened once, since an index takes a second to open."""
    _open_shop.empty()
    _open_shop.forget_staff()
    return _open_shop


@pytest.fixture
def client(shop: Shop) -> FlaskClient:
    """A client of an empty shop."""
    return shop.client


PRODUCTS = [
    ("0001", "#d02020", "Women", "Red", 2011, 10.0, True, {"fit": "slim"}),
    ("0002", "#c82828", "Women", "Red", 2012, 20.0, True, {"fit": "loose"}),
    ("0003", "#b03030", "Men", "Dark, red", 2013, 30.0, False, {"fit": "slim", "size": 42}),
    ("0004", "#2020d0", "Men", "Blue", 2014, None, True, {"size": "42"}),
    ("0005", "#808080", "Women", None, None, 50.0, True, {}),
]
NAMES = ("gender", "base_colour", "year", "price", "in_stock", "attributes")


@pytest.fixture
def wardrobe(_open_shop: Shop) -> Shop:
    """A shop of five garments, all indexed: three reds, the first two the closest, a blue, a grey.

    The shop of the test before is used again if that test only read.
    """
    shop = _open_shop
    shop.forget_staff()
    if shop.history() != shop.filled:
        shop.empty()
        for sku, colour, *values in PRODUCTS:
            fields = dict(zip(NAMES, values, strict=True))
            shop.put(sku, colour, display_name=f"Shirt {sku}", **fields)
        shop.work()
        shop.filled = shop.history()
    return shop
