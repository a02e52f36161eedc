"""Queries by a region of an image, and by an image that is named by its address."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.host_faults import ImageHost
from support.image_files import encoded
from support.keys import with_settings
from support.shop import PROBLEM, Shop

from backend.api import create_app
from backend.bootstrap import query_fetcher
from backend.images.addresses import host_of
from backend.images.guard import guarded
from backend.images.limits import ImageLimits
from backend.outages import Outages


def street() -> Image.Image:
    """A blue garment on the left, a red one on the right."""
    image = Image.new("RGB", (200, 100), "#2020d0")
    image.paste("#d02020", (100, 0, 200, 100))
    return image


STREET = encoded(street())
RIGHT = [0.5, 0, 1, 1]
LISTS = "/v1/recommendations"


@pytest.fixture
def host() -> Iterator[ImageHost]:
    found = ImageHost(STREET)
    yield found
    found.close()


@pytest.fixture
def client(wardrobe: Shop, host: ImageHost) -> FlaskClient:
    """A client of a server that may fetch images from the host, although it is on loopback."""
    services = with_settings(wardrobe.services, image_hosts=(f"localhost:{host.port}",))
    fetch, outages = partial(host.fetch, limits=ImageLimits(max_bytes=50_000)), Outages()
    fetch_image = lambda uri: guarded(outages, host_of(uri), lambda: fetch(uri))  # noqa: E731
    return create_app(replace(services, fetch_image=fetch_image)).test_client()


def best(answer: Any) -> tuple[str, Any]:
    assert answer.status_code == 200, answer.text
    item = answer.json["items"][0]
    return item["sku"], item["score"]


def asked(client: FlaskClient, body: Any, path: str = "/v1/similar") -> Any:
    return client.post(path, json=body)


def by_bytes(client: FlaskClient, data: bytes, **query: str) -> Any:
    url = "/v1/similar"
    return client.post(url, data=data, query_string=query, content_type="image/png")


def by_form(client: FlaskClient, data: bytes, **fields: Any) -> Any:
    return client.post("/v1/similar", data={"image": (io.BytesIO(data), "x.png"), **fields})


# --- box ---------------------------------------------------------------------------------------


def test_a_region_finds_what_its_cut_out_image_finds(client: FlaskClient) -> None:
    right = encoded(street().crop((100, 0, 200, 100)))
    expected = best(by_bytes(client, right))
    assert expected[0] == "0001"
    answers = [
        by_bytes(client, STREET, box="0.5,0,1,1"),
        by_bytes(client, STREET, box="100,0,200,100"),
        by_form(client, STREET, box="0.5,0,1,1"),
        by_form(client, STREET, box=["0.5", "0", "1", "1"]),
    ]
    for answer in answers:
        assert best(answer) == (expected[0], pytest.approx(expected[1], abs=1e-3))
    assert best(by_bytes(client, STREET, box="0,0,0.5,1"))[0] == "0004"


def test_a_region_is_that_of_the_image_as_people_see_it(client: FlaskClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned to the left: the upper half as stored is the right half as seen
    file = io.BytesIO()
    street().transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
    assert best(by_bytes(client, file.getvalue(), box="0.5,0,1,1"))[0] == "0001"
    assert best(by_bytes(client, file.getvalue(), box="0,0,100,100"))[0] == "0004"


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ("0.5,0,0.5,1", "is empty"),
        ("-0.5,0,0.5,1", "outside of the image"),
        ("0,0,1", "four numbers"),
        ("0,0,1,nan", "number"),
        ("a,b,c,d", "number"),
        ("", "words"),
    ],
)
def test_what_is_no_box_is_422_with_its_name(client: FlaskClient, box: str, reason: str) -> None:
    for answer in (by_bytes(client, STREET, box=box), by_form(client, STREET, box=box)):
        assert (answer.status_code, answer.content_type) == (422, PROBLEM)
        (fault,) = answer.json["errors"]
        assert fault["parameter"] == "box"
        assert reason in fault["detail"]


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ("0,0,201,100", "the box ends at 201 x 100, outside of the image, which is 200 x 100"),
        ("0,0,5,100", "the box is 5 x 100 pixels, with a side shorter than 8"),
    ],
)
def test_a_box_that_does_not_fit_the_image_is_422_with_the_reason(
    client: FlaskClient, box: str, reason: str
) -> None:
    answer = by_bytes(client, STREET, box=box)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-box")
    assert reason in answer.json["detail"]
    assert [it["parameter"] for it in answer.json["errors"]] == ["box"]


def test_a_box_without_an_image_is_refused(client: FlaskClient) -> None:
    body = {"sku": "0001", "box": RIGHT}
    assert asked(client, body).json["errors"][0]["pointer"] == "/box"
    refused = asked(client, {"sku": "0001"}, "/v1/similar?box=0,0,1,1")
    assert refused.json["errors"][0]["parameter"] == "box"
    assert client.get("/v1/products/0001/similar?box=0,0,1,1").status_code == 422


# --- image_uri ---------------------------------------------------------------------------------


def test_an_image_is_named_by_its_address(client: FlaskClient, host: ImageHost) -> None:
    body = {"image_uri": host.uri("street"), "box": RIGHT, "limit": 1}
    sku, score = best(asked(client, body))
    assert (sku, score) == ("0001", pytest.approx(1, abs=1e-3))
    assert host.asked == ["/street"]
    in_query = asked(client, {"image_uri": host.uri("street")}, "/v1/similar?box=0,0,0.5,1")
    assert best(in_query)[0] == "0004"
    twice = asked(client, body, "/v1/similar?box=0,0,0.5,1")
    assert twice.json["errors"][0] == {
        "code": "invalid-value",
        "detail": "the body has it too",
        "parameter": "box",
    }


@pytest.mark.parametrize(
    "uri",
    [
        "http://elsewhere.example/a.png",
        "file:///etc/passwd",
        f"store://{'0' * 64}",
        "http://user@images.example/a.png",
        "gopher://images.example/a",
        "not an address",
    ],
)
def test_an_address_that_is_not_allowed_is_422_and_never_asked(wardrobe: Shop, uri: str) -> None:
    for path, body, place in (
        ("/v1/similar", {"image_uri": uri}, "/image_uri"),
        (LISTS, {"positive": [{"image_uri": uri}]}, "/positive/0/image_uri"),
    ):
        answer = asked(wardrobe.client, body, path)
        assert (answer.status_code, answer.content_type) == (422, PROBLEM)
        (fault,) = answer.json["errors"]
        assert fault["pointer"] == place
        assert "allowed host (images.example)" in fault["detail"]


def test_an_allowed_name_that_leads_into_the_own_network_is_not_fetched(
    wardrobe: Shop, host: ImageHost
) -> None:
    opened = with_settings(wardrobe.services, image_hosts=(f"localhost:{host.port}",))
    fetch_image = query_fetcher(opened.settings, opened.limits)
    client = create_app(replace(opened, fetch_image=fetch_image)).test_client()
    answer = asked(client, {"image_uri": host.uri("street")})
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden-image")
    assert "not public" in answer.json["detail"]
    assert host.asked == []


@pytest.mark.parametrize(
    ("name", "mood", "image", "status", "code"),
    [
        ("missing", "answers", STREET, 404, "no-image"),
        ("street", "fails", STREET, 503, "image-unavailable"),
        ("street", "answers", b"no image at all", 415, "not-an-image"),
        ("street", "answers", b"x" * 60_000, 413, "image-too-large"),
    ],
)
def test_what_is_wrong_with_a_fetched_image_is_said_as_for_an_upload(
    client: FlaskClient,
    host: ImageHost,
    name: str,
    mood: str,
    image: bytes,
    status: int,
    code: str,
) -> None:
    host.mood, host.image = mood, image
    answer = asked(client, {"image_uri": host.uri(name)})
    assert (answer.status_code, answer.content_type) == (status, PROBLEM)
    assert answer.json["code"] == code
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_one_of_product_and_image_is_named(client: FlaskClient, host: ImageHost) -> None:
    for body, said in (
        ({}, "give sku, image_uri or text"),
        ({"sku": "0001", "image_uri": host.uri("a")}, "may not be given beside image_uri"),
    ):
        answer = asked(client, body)
        assert answer.status_code == 422
        assert said in answer.json["detail"]
    restricted = {"image_uri": host.uri("a"), "restrict": ["gender"]}
    assert asked(client, restricted).status_code == 422
    assert host.asked == []


# --- examples of recommendations ---------------------------------------------------------------


def recommend(client: FlaskClient, **body: Any) -> Any:
    answer = asked(client, body, LISTS)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_an_image_is_an_example_for_a_list_and_against_one(
    client: FlaskClient, host: ImageHost
) -> None:
    right = {"image_uri": host.uri("street"), "box": RIGHT}
    left = {"image_uri": host.uri("street"), "box": [0, 0, 0.5, 1], "weight": 2.0}
    answer = recommend(client, positive=[right], limit=2)
    assert [item["sku"] for item in answer["items"]] == ["0001", "0002"]
    assert {item["reason"] for item in answer["items"]} == {"look"}
    assert answer["unresolved_images"] == answer["unresolved"] == []
    assert answer["meta"]["tastes"] == [{"share": 1.0, "skus": []}]
    both = recommend(client, positive=["0002", left], strategy="best-score", limit=4)
    assert {"0001", "0004"} <= {item["sku"] for item in both["items"]}
    assert "0002" not in [item["sku"] for item in both["items"]]
    against = recommend(client, positive=["0005"], negative=[right], limit=1, fields=["sku"])
    assert against["items"][0]["sku"] == "0004"


def test_an_image_that_cannot_be_used_is_listed_with_the_reason(
    client: FlaskClient, host: ImageHost
) -> None:
    missing = {"image_uri": host.uri("missing")}
    outside = {"image_uri": host.uri("street"), "box": [0, 0, 999, 50]}
    answer = recommend(client, positive=["0001", missing, outside], limit=1)
    assert answer["items"][0]["sku"] == "0002"
    assert [(it["image_uri"], it["state"]) for it in answer["unresolved_images"]] == [
        (host.uri("missing"), "no-image"),
        (host.uri("street"), "invalid-box"),
    ]
    assert "outside of the image" in answer["unresolved_images"][1]["reason"]
    alone = asked(client, {"positive": [missing]}, LISTS)
    assert (alone.status_code, alone.json["code"]) == (422, "no-example")
    assert host.uri("missing") in alone.json["detail"]


@pytest.mark.parametrize(
    "example",
    [
        {},
        {"sku": "0001", "image_uri": "http://images.example/a"},
        {"sku": "0001", "box": RIGHT},
        {"image_uri": "http://images.example/a", "box": [1, 2]},
    ],
    ids=["neither", "both", "box-of-a-sku", "half-a-box"],
)
def test_an_example_is_a_product_or_an_image(client: FlaskClient, example: Any) -> None:
    answer = asked(client, {"positive": [example]}, LISTS)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/positive"


def test_a_list_takes_a_few_images_only(client: FlaskClient, host: ImageHost) -> None:
    images = [{"image_uri": host.uri(number)} for number in range(6)]
    answer = asked(client, {"positive": images[:3], "negative": images[3:]}, LISTS)
    assert answer.status_code == 422
    assert "5 images at most" in answer.json["detail"]
    assert host.asked == []
