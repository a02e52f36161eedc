"""The dial for colour on every kind of query, embedded and on a server, against NumPy."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update
from support.image_files import GARMENTS, encoded
from support.pages import pages_of, part, read, skus_in
from support.qdrant_wire import LOCAL_MODE_WARNINGS, Wire
from support.shop import PROBLEM, Shop
from typer.testing import Result

from backend.catalogue.image_vectors import unpack
from backend.database.models import Generation, ImageVector, Product
from backend.settings import Settings

pytestmark = LOCAL_MODE_WARNINGS

LOOK, COLOUR = slice(0, 256), slice(256, 384)
FILES = {f"{number:04}": encoded(image) for number, image in enumerate(GARMENTS)}
URL = "/v1/products/0000/similar"


@pytest.fixture(scope="module", params=["embedded", "server"])
def garments(
    request: pytest.FixtureRequest,
    api_settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """Twelve garments, embedded by `efficientnet-lite0`."""
    changes: dict[str, Any] = {"embedder": "efficientnet-lite0", "max_image_bytes": 500_000}
    with ExitStack() as stack:
        if request.param == "server":
            wire = Wire()
            stack.callback(wire.stop)
            changes |= {"qdrant_url": "http://127.0.0.1:1", "qdrant_grpc_port": wire.port}
        folder = tmp_path_factory.mktemp("garments")
        shop = stack.enter_context(Shop(api_settings, data_dir=folder, **changes))
        for sku, data in FILES.items():
            shop.put(sku, display_name=f"Shirt {sku}")
            shop.put_image(sku, data)
        shop.work()
        yield shop


def stored_vectors(shop: Shop) -> dict[str, np.ndarray]:
    """The vectors of the products, of length 1, as the index has them."""
    joined = select(Product.sku, ImageVector.vector).join(
        ImageVector, ImageVector.image_digest == Product.image_digest
    )
    with shop.db.read() as session:
        found = {sku: unpack(blob) for sku, blob in session.execute(joined)}
    return {sku: vector / np.linalg.norm(vector) for sku, vector in found.items()}


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def expected(shop: Shop, query: str, colour: float) -> dict[str, float]:
    """Scores of all other products, best first: (1 - colour / 2) look + colour / 2 colour."""
    vectors = stored_vectors(shop)
    own = vectors.pop(query)
    scores = {
        sku: (1 - colour / 2) * cosine(own[LOOK], vector[LOOK])
        + colour / 2 * cosine(own[COLOUR], vector[COLOUR])
        for sku, vector in vectors.items()
    }
    return dict(sorted(scores.items(), key=lambda pair: -pair[1]))


def scores_of(answer: Any) -> dict[str, float]:
    return {item["sku"]: item["score"] for item in answer["items"]}


@pytest.mark.parametrize("colour", [0, 0.3, 0.7, 1])
def test_every_kind_of_query_weighs_look_and_colour(garments: Shop, colour: float) -> None:
    oracle = expected(garments, "0000", colour)
    data, options = FILES["0000"], {"colour": str(colour), "limit": "20", "exclude": "0000"}
    client = garments.client
    answers = [
        client.get(URL, query_string=options),
        client.post("/v1/similar", json={"sku": "0000", "colour": colour, "limit": 20}),
        client.post(f"/v1/similar?colour={colour}&limit=20", json={"sku": "0000"}),
        client.post("/v1/similar", query_string=options, data=data, content_type="image/png"),
        client.post("/v1/similar", data={"image": (io.BytesIO(data), "x.png"), **options}),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert list(scores_of(answer.json)) == list(oracle)
        assert scores_of(answer.json) == pytest.approx(oracle, abs=1e-3)
        assert answer.json["meta"]["colour"] == pytest.approx(colour)


def test_without_the_dial_the_embedder_s_own_share_holds(garments: Shop) -> None:
    answer = garments.client.get(URL, query_string={"limit": 20}).json
    assert answer["meta"]["colour"] == pytest.approx(0.3, abs=1e-3)
    assert scores_of(answer) == pytest.approx(expected(garments, "0000", 0.3), abs=1e-3)


def test_an_image_finds_itself_with_the_score_1_at_every_setting(garments: Shop) -> None:
    for colour in (0, 0.5, 1):
        answer = garments.client.post(
            f"/v1/similar?colour={colour}&limit=1", data=FILES["0003"], content_type="image/png"
        )
        assert scores_of(answer.json) == {"0003": pytest.approx(1, abs=2e-3)}


@pytest.mark.parametrize("colour", [0, 1])
def test_the_least_score_holds_for_weighed_scores(garments: Shop, colour: int) -> None:
    found = scores_of(garments.client.get(URL, query_string={"colour": colour}).json)
    least = list(found.values())[4]
    cut = garments.client.get(URL, query_string={"colour": colour, "min_score": str(least)})
    assert list(scores_of(cut.json)) == list(found)[:5]


@pytest.mark.parametrize("colour", [None, 0, 0.8])
def test_an_explanation_adds_up_to_the_score(garments: Shop, colour: float | None) -> None:
    vectors = stored_vectors(garments)
    options = {"explain": "true"} | ({} if colour is None else {"colour": str(colour)})
    answer = garments.client.get(URL, query_string=options).json
    assert len(answer["items"]) == 10
    for item in answer["items"]:
        look, shade = item["explain"]["parts"]
        assert (look["name"], shade["name"]) == ("look", "colour")
        own, other = vectors["0000"], vectors[item["sku"]]
        assert look["similarity"] == pytest.approx(cosine(own[LOOK], other[LOOK]), abs=1e-3)
        assert shade["similarity"] == pytest.approx(cosine(own[COLOUR], other[COLOUR]), abs=1e-3)
        assert look["weight"] + shade["weight"] == pytest.approx(1)
        assert shade["weight"] == pytest.approx(0.15 if colour is None else colour / 2, abs=1e-3)
        added = sum(part["weight"] * part["similarity"] for part in (look, shade))
        assert item["score"] == pytest.approx(added, abs=1e-4)
    assert "explain" not in garments.client.get(URL).json["items"][0]


def test_a_value_off_the_dial_is_refused(garments: Shop) -> None:
    for options in ({"colour": "1.1"}, {"colour": "-0.1"}, {"colour": "red"}, {"explain": "yes"}):
        refused = garments.client.get(URL, query_string=options)
        assert (refused.status_code, refused.content_type) == (422, PROBLEM)
        assert [fault["parameter"] for fault in refused.json["errors"]] == [*options]
    refused = garments.client.post("/v1/similar", json={"sku": "0000", "colour": 2})
    assert refused.status_code == 422
    twice = garments.client.post("/v1/similar?colour=1", json={"sku": "0000", "colour": 1})
    assert twice.status_code == 422


def test_what_was_begun_before_blocks_were_noted_has_no_dial_until_a_worker_notes_them(
    garments: Shop,
) -> None:
    garments.execute(update(Generation).values(blocks=None))
    garments.restart()
    garments.execute(update(Generation).values(blocks=None))
    assert garments.client.get(URL).status_code == 200  # and the row is known to this process
    refused = garments.client.get(URL, query_string={"colour": 0})
    assert (refused.status_code, refused.json["code"]) == (422, "no-colour")
    assert "not known yet" in refused.json["detail"]
    garments.worker.recover()
    asked = garments.client.get(URL, query_string={"colour": 0, "limit": 20})
    assert scores_of(asked.json) == pytest.approx(expected(garments, "0000", 0), abs=1e-3)


def test_the_command_has_the_dial_and_shows_both_parts(
    settings: Settings, run_command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", "efficientnet-lite0")
    with Shop(settings, embedder="efficientnet-lite0") as shop:
        for sku in ("0000", "0001", "0002"):
            shop.put(sku)
            shop.put_image(sku, FILES[sku])
        shop.work()
        oracle = expected(shop, "0000", 1)
    shown = run_command("similar", "0000", "--colour", "1", "--explain").output
    assert "0.50 look" in shown
    assert "0.50 colour" in shown
    scores = [float(score) for score in re.findall(r"^│ (-?\d\.\d{3})", shown, re.MULTILINE)]
    assert scores == pytest.approx(list(oracle.values()), abs=2e-3)


def test_the_page_of_a_product_has_the_dial_and_shows_both_parts(garments: Shop) -> None:
    browser = pages_of(garments)
    by_look, by_colour = (read(browser, f"/products/0000?colour={it}") for it in ("0", "1"))

    assert 'name="colour"' in by_look
    assert skus_in(part(by_look, "similar")) == list(expected(garments, "0000", 0))
    assert skus_in(part(by_colour, "similar")) == list(expected(garments, "0000", 1))
    assert by_colour.count("counts 50 %") == 2 * (len(FILES) - 1)
    assert by_colour.count("Similarity of colour") == len(FILES) - 1


def test_an_embedder_without_a_part_for_colour_has_no_dial(wardrobe: Shop) -> None:
    url = "/v1/products/0001/similar"
    for refused in (
        wardrobe.client.get(url, query_string={"colour": "0.5"}),
        wardrobe.client.post("/v1/similar", json={"sku": "0001", "colour": 0}),
    ):
        assert (refused.status_code, refused.content_type) == (422, PROBLEM)
        assert refused.json["code"] == "no-colour"
        assert "re-index" in refused.json["detail"]
    answer = wardrobe.client.get(url, query_string={"explain": "true"}).json
    assert answer["meta"]["colour"] is None
    for item in answer["items"]:
        [part] = item["explain"]["parts"]
        assert (part["name"], part["weight"]) == ("whole", 1)
        assert part["similarity"] == pytest.approx(item["score"], abs=1e-5)
