"""Examples of recommendations that are not embedded yet: their images are, for the request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from support.host_faults import ImageHost
from support.image_files import colour_image
from support.keys import with_settings
from support.shop import PROBLEM, Shop

from backend.api import create_app
from backend.api.image_slots import image_slot
from backend.api.problems import RequestError
from backend.errors import EmbedderBusy
from backend.images.limits import ImageLimits

BLUE = "#2424d4"


@contextmanager
def all_slots_taken(app: Flask) -> Iterator[None]:
    """Hold every thread that requests with an image may take."""
    with app.app_context(), ExitStack() as stack:
        while True:
            try:
                stack.enter_context(image_slot())
            except RequestError:
                break
        yield


def recommend(client: FlaskClient, **body: Any) -> Any:
    answer = client.post("/v1/recommendations", json={"limit": 2, "fields": ["sku"], **body})
    assert answer.status_code == 200, answer.text
    return answer.json


def skus(answer: Any) -> list[str]:
    return [item["sku"] for item in answer["items"]]


@pytest.fixture
def waiting(shop: Shop) -> Shop:
    """Three indexed products, and a blue one that waits."""
    for sku, colour in (("red-1", "#d02020"), ("red-2", "#c02828"), ("blue-1", "#2020d0")):
        shop.put(sku, colour)
    shop.work()
    shop.put("waits", BLUE)
    return shop


@pytest.fixture
def host() -> Iterator[ImageHost]:
    found = ImageHost(colour_image(BLUE))
    yield found
    found.close()


def test_a_product_that_waits_is_an_example_as_if_it_were_indexed(waiting: Shop) -> None:
    positive = ["red-1", {"sku": "waits", "weight": 2.0}]
    before = recommend(waiting.client, positive=positive, strategy="best-score")
    assert before["unresolved"] == []
    assert before["items"][0]["sku"] == "blue-1"
    assert before["items"][0]["because"] == [{"sku": "waits", "share": 1.0}]
    assert waiting.client.get("/v1/products/waits").json["state"] == "pending"
    waiting.work()
    after = recommend(waiting.client, positive=positive, strategy="best-score")
    assert skus(before) == skus(after) == ["blue-1", "red-2"]
    scores = [[item["score"] for item in answer["items"]] for answer in (before, after)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_a_product_that_waits_speaks_against_what_looks_like_it(waiting: Shop) -> None:
    answer = recommend(waiting.client, positive=["red-1"], negative=["waits"], limit=3)
    assert [it["sku"] for it in answer["items"] if it["reason"] == "look"] == ["red-2"]
    assert answer["unresolved"] == []


def test_where_no_thread_is_left_for_images_the_other_examples_are_used(waiting: Shop) -> None:
    with all_slots_taken(waiting.app):
        answer = recommend(waiting.client, positive=["red-1", "waits"], limit=1)
        assert skus(answer) == ["red-2"]
        assert answer["unresolved"] == [{"sku": "waits", "state": "pending"}]
        alone = waiting.client.post("/v1/recommendations", json={"positive": ["waits"]})
    assert (alone.status_code, alone.content_type) == (503, PROBLEM)
    assert alone.json["code"] == "too-many-images"
    assert alone.headers["Retry-After"]


def test_a_network_that_does_not_answer_is_asked_once(
    waiting: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer_nobody(*_: Any) -> Any:
        asked.append(1)
        raise EmbedderBusy("no worker has answered")

    monkeypatch.setattr(waiting.services.query_encoder, "encode", answer_nobody)
    waiting.put("waits-2", "#2828d8")
    alone = waiting.client.post("/v1/recommendations", json={"positive": ["waits", "waits-2"]})
    assert (alone.status_code, alone.json["code"]) == (503, "embedder-busy")
    answer = recommend(waiting.client, positive=["waits", "waits-2", "red-1"])
    assert [it["sku"] for it in answer["unresolved"]] == ["waits", "waits-2"]
    assert len(asked) == 2


def test_an_image_that_other_products_have_is_not_embedded_again(waiting: Shop) -> None:
    waiting.put("twin", "#2020d0")
    with all_slots_taken(waiting.app):
        answer = recommend(waiting.client, positive=["twin"], limit=1)
    assert (skus(answer), answer["unresolved"]) == (["blue-1"], [])


def test_five_images_at_most_are_embedded(waiting: Shop) -> None:
    more = [f"waits-{number}" for number in range(5)]
    for number, sku in enumerate(more):
        waiting.put(sku, f"#2424d{number}")
    answer = recommend(waiting.client, positive=["waits", *more])
    assert answer["unresolved"] == [{"sku": "waits-4", "state": "pending"}]


def test_what_has_no_image_that_can_be_used_stays_unresolved(
    waiting: Shop, host: ImageHost
) -> None:
    services = with_settings(waiting.services, image_hosts=(f"localhost:{host.port}",))
    fetch_image = partial(host.fetch, limits=ImageLimits(max_bytes=50_000))
    client = create_app(replace(services, fetch_image=fetch_image)).test_client()
    waiting.put("bare")
    for name in ("there", "missing"):
        put = client.put(f"/v1/products/{name}", json={"image_uri": host.uri(name)})
        assert put.status_code == 201, put.text
    answer = recommend(client, positive=["there", "bare", "missing"], limit=1)
    assert skus(answer) == ["blue-1"]
    assert [it["sku"] for it in answer["unresolved"]] == ["bare", "missing"]
    assert {it["state"] for it in answer["unresolved"]} == {"pending"}
    alone = client.post("/v1/recommendations", json={"positive": ["bare", "missing"]})
    assert (alone.status_code, alone.json["code"]) == (422, "no-example")
