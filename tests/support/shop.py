"""A shop that serves its API: real SQLite, index, image store and decoders, the fast embedder."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import delete, func, select
from werkzeug.test import TestResponse

from backend import generations
from backend.api import create_app
from backend.bootstrap import Services, build
from backend.database.models import ImageVector, IndexEntry, Job, Product
from backend.settings import Settings, read_settings
from backend.worker.loop import Worker

PROBLEM = "application/problem+json"


def picture(colour: str, *, size: tuple[int, int] = (30, 40), format: str = "PNG") -> bytes:
    """The file of a picture in one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, format)
    return file.getvalue()


class Shop:
    """A client of the API, and the worker that a server would run in a thread."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.worker = Worker(services)
        self.app = create_app(services)
        self.client: FlaskClient = self.app.test_client()
        self.filled: tuple[Any, ...] | None = None  # what `history` was when it was a wardrobe

    def put(self, sku: str, colour: str | None = None, **fields: Any) -> TestResponse:
        """PUT a product, and its image if it has a colour; nothing is indexed yet."""
        stored = self.client.put(f"/v1/products/{sku}", json=fields)
        assert stored.status_code in (200, 201), stored.text
        if colour:
            self.put_image(sku, picture(colour))
        return stored

    def put_image(self, sku: str, data: bytes) -> TestResponse:
        """PUT an image."""
        return self.client.put(f"/v1/products/{sku}/image", data=data, content_type="image/png")

    def work(self) -> None:
        """Work until there is nothing left that is due."""
        while self.worker.work_once():
            pass

    def skus(self, url: str, **query: Any) -> list[str]:
        """The skus of a list or an answer, in order."""
        response = self.client.get(url, query_string=query or None)
        assert response.status_code == 200, response.text
        return [item["sku"] for item in response.json["items"]]

    def history(self) -> tuple[Any, ...]:
        """Numbers that every write changes."""
        numbers = (func.sum(IndexEntry.wanted), func.sum(IndexEntry.claim), func.max(Product.id))
        with self.services.db.read() as session:
            joined = select(*numbers).outerjoin(IndexEntry, IndexEntry.product_id == Product.id)
            return tuple(session.execute(joined).one())

    def empty(self) -> None:
        """Forget every product, also in the index."""
        with self.services.db.read() as session:
            index = self.services.indexes.of(generations.active(session))
        index.delete(dict(index.claims()))
        self.services.db.write(
            lambda session: [
                session.execute(delete(row)) for row in (IndexEntry, Product, ImageVector, Job)
            ]
        )


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
    services = build(api_settings)
    services.owner.acquire()
    shop = Shop(services)
    shop.worker.recover()
    yield shop
    services.close()


@pytest.fixture
def shop(_open_shop: Shop) -> Shop:
    """An empty shop: opened once, since an index takes a second to open."""
    _open_shop.empty()
    return _open_shop


@pytest.fixture
def client(shop: Shop) -> FlaskClient:
    """A client of an empty shop."""
    return shop.client


GARMENTS = [
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
    if shop.history() != shop.filled:
        shop.empty()
        for sku, colour, *values in GARMENTS:
            fields = dict(zip(NAMES, values, strict=True))
            shop.put(sku, colour, display_name=f"Shirt {sku}", **fields)
        shop.work()
        shop.filled = shop.history()
    return shop
