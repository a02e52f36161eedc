"""`lookalike quarantine` shows single images too, and tries them again without the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from support.image_files import colour_image
from support.shop import QUICK, Shop

from backend.catalogue import products
from backend.catalogue.products import Draft
from backend.settings import Settings


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    """A shop of one product, whose second image is none."""
    with Shop(settings, **QUICK) as made:
        images = [made.store(data) for data in (colour_image("red"), b"no image")]
        draft = Draft(sku="1", values={}, images=images)
        made.db.write(lambda session: products.save(session, [draft], priority=0))
        made.work()
        yield made


def test_a_single_image_is_listed_tried_again_and_not_discarded(
    shop: Shop, run_command: Callable[..., Any]
) -> None:
    run = partial(run_command, "quarantine")
    (row,) = json.loads(run("list", "--json").stdout)["items"]
    assert (row["sku"], row["image"]) == ("1", 2)
    assert row["reason"].startswith("not-an-image")
    assert "│ 2:" in run("list").stdout
    assert json.loads(run("retry", "--all", "--json").stdout) == {"retried": ["1"]}
    assert shop.progress().pending == 1
    shop.work()
    assert json.loads(run("discard", "--all", "--json").stdout) == {"discarded": []}
    assert shop.progress().indexed == 1
