"""One catalogue gives the same products, images and vectors, whichever platform exported it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.platform_exports import ARTICLES, WRITERS, Article, hosted, image
from support.shop import LIMITS, QUICK, Shop

from backend.catalogue.import_run import import_catalogue
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


@pytest.fixture
def shop(settings: Settings, decoders: DecoderPool) -> Iterator[Shop]:
    with Shop(settings, decoders=decoders, **QUICK) as shop:
        shop.remote = hosted()
        yield shop


@pytest.mark.parametrize("platform", WRITERS)
def test_every_export_gives_the_same_products_images_and_neighbours(
    tmp_path: Path, shop: Shop, platform: str
) -> None:
    path = WRITERS[platform](tmp_path / platform)

    first = import_catalogue(shop.db, shop.services.image_store, path)
    shop.work()
    again = import_catalogue(shop.db, shop.services.image_store, path)

    assert (first.added, first.rejected, list(first.warnings)) == (len(ARTICLES), 0, [])
    assert again.counts()["unchanged"] == len(ARTICLES)
    for article in ARTICLES:
        product = shop.client.get(f"/v1/products/{article.sku}").json
        assert {name: product[name] for name in FIELDS} == _fields(article)
        assert product["image"]["digest"] == digest_of(image(article.images[0]))


def _fields(article: Article) -> Mapping[str, Any]:
    values = (article.name, *article.categories, article.colour, article.gender)
    return dict(zip(FIELDS, (*values, float(article.price), article.stock > 0), strict=True))
