"""One catalogue gives the same products, images and vectors, whichever platform exported it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from support.platform_exports import ARTICLES, WRITERS, Article, hosted, image
from support.shop import LIMITS, QUICK, Shop

from backend import embedders, images
from backend.catalogue.image_vectors import unpack
from backend.catalogue.import_run import import_catalogue
from backend.database.models import ImageVector
from backend.images.decoder_pool import DecoderPool
from backend.images.store import digest_of
from backend.settings import Settings

FIELDS = (
    *("display_name", "master_category", "sub_category", "article_type"),
    *("base_colour", "gender", "price", "in_stock"),
)


@pytest.fixture(scope="module")
def decoders() -> Iterator[DecoderPool]:
    with DecoderPool(1, limits=LIMITS) as pool:
        yield pool


@pytest.fixture(scope="module")
def vectors() -> Mapping[str, Any]:
    """The vector of each image by its digest, embedded here."""
    embedder = embedders.load("mean-colour")
    decoded = {
        data: images.decode(data, limits=LIMITS, target=embedder.input_size)
        for data in hosted().values()
    }
    return {digest_of(data): embedder.embed([image])[0] for data, image in decoded.items()}


@pytest.fixture
def shop(settings: Settings, decoders: DecoderPool) -> Iterator[Shop]:
    with Shop(settings, decoders=decoders, **QUICK) as shop:
        shop.remote = hosted()
        yield shop


@pytest.mark.parametrize("platform", WRITERS)
def test_every_export_gives_the_same_products_images_and_vectors(
    tmp_path: Path, shop: Shop, vectors: Mapping[str, Any], platform: str
) -> None:
    path = WRITERS[platform](tmp_path / platform)

    first = import_catalogue(shop.db, shop.services.image_store, path)
    shop.work()
    again = import_catalogue(shop.db, shop.services.image_store, path)
    shop.images.opened.clear()
    shop.work()

    assert (first.added, first.rejected, list(first.warnings)) == (len(ARTICLES), 0, [])
    assert again.counts()["unchanged"] == len(ARTICLES)
    assert shop.images.opened == []
    stored = stored_vectors(shop)
    for article in ARTICLES:
        product = shop.client.get(f"/v1/products/{article.sku}").json
        digests = digests_of(article, platform)
        assert {name: product[name] for name in FIELDS} == fields_of(article)
        assert product["state"] == "indexed"
        assert [each["digest"] for each in product["images"]] == digests
        for digest in digests:
            assert float(stored[digest] @ vectors[digest]) > 0.999
    assert stored.keys() == {digest for it in ARTICLES for digest in digests_of(it, platform)}


def fields_of(article: Article) -> Mapping[str, Any]:
    values = (article.name, *article.categories, article.colour, article.gender)
    return dict(zip(FIELDS, (*values, float(article.price), article.stock > 0), strict=True))


def digests_of(article: Article, platform: str) -> Sequence[str]:
    """Return the digests of an article's images; Kaggle's layout has one image for each product."""
    taken = article.images[:1] if platform == "kaggle" else article.images
    return [digest_of(image(number)) for number in taken]


def stored_vectors(shop: Shop) -> Mapping[str, Any]:
    with shop.db.read() as session:
        rows = session.execute(select(ImageVector.image_digest, ImageVector.vector)).all()
    found = {digest: unpack(vector) for digest, vector in rows}
    return {digest: vector / np.linalg.norm(vector) for digest, vector in found.items()}
