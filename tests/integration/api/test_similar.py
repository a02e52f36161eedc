"""Similar items, by product and by image."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from support.image_files import colour_image
from support.shop import PROBLEM, Shop

from backend import logs
from backend.embedders import CATALOGUE, QueryImage
from backend.embedders.mean_colour import MeanColour
from backend.embedders.regions import KINDS, FoundRegion
from backend.errors import ModelMismatch

URL = "/v1/products/0001/similar"
PART = FoundRegion((0.25, 0.1, 0.75, 0.9), 0.875, KINDS[5])


def upload(shop: Shop, data: bytes, **fields: Any) -> Any:
    return shop.client.post("/v1/similar", data={"image": (io.BytesIO(data), "x.png"), **fields})


def test_the_nearest_come_first_without_the_query_product(wardrobe: Shop) -> None:
    response = wardrobe.client.get(URL)
    answer = response.json
    assert [item["sku"] for item in answer["items"]] == ["0002", "0003", "0005", "0004"]
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1 for score in scores)
    assert answer["items"][0]["product"] == wardrobe.client.get("/v1/products/0002").json
    assert answer["request_id"] == response.headers["X-Request-Id"]
    assert answer["generation"] == wardrobe.client.get("/v1/status").json["generation"]["id"]
    assert answer["meta"]["query_state"] == "indexed"
    assert answer["meta"]["embedder"] == "mean-colour"
    assert answer["meta"]["search_mode"] == "exact"  # so few that there is no graph


def test_the_log_tells_a_filter_s_shape_and_none_of_its_values(
    wardrobe: Shop, monkeypatch: pytest.MonkeyPatch, usual_logs: None
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    logs.configure("info")
    wardrobe.client.get(URL, query_string={"base_colour": "Secret", "attributes.secret": "x"})
    (line,) = map(json.loads, written.getvalue().splitlines())
    assert line["filter"] == "attributes.*:any base_colour:any"
    assert line["search_mode"] == "exact"
    assert "ecret" not in written.getvalue()


def test_ten_items_unless_another_limit_up_to_100_is_given(shop: Shop) -> None:
    for number in range(12):
        shop.put(f"{number}", f"#{number * 20:02x}8080")
    shop.work()
    assert len(shop.skus("/v1/products/0/similar")) == 10
    assert len(shop.skus("/v1/products/0/similar", limit=3)) == 3
    assert len(shop.skus("/v1/products/0/similar", limit=100)) == 11
    for limit in (0, 101):
        assert shop.client.get(f"/v1/products/0/similar?limit={limit}").status_code == 422


def test_skus_can_be_left_out(wardrobe: Shop) -> None:
    assert wardrobe.skus(URL, exclude="0002,0005,unknown") == ["0003", "0004"]
    assert wardrobe.skus(f"{URL}?exclude=0002&exclude=0003") == ["0005", "0004"]


def test_a_least_score_cuts_the_tail(wardrobe: Shop) -> None:
    scores = [item["score"] for item in wardrobe.client.get(URL).json["items"]]
    assert len(wardrobe.skus(URL, min_score=str(scores[1]))) == 2
    assert wardrobe.skus(URL, min_score="1") == []


def test_products_are_projected_to_the_fields_asked_for(wardrobe: Shop) -> None:
    (item,) = wardrobe.client.get(f"{URL}?limit=1&fields=year,state").json["items"]
    assert item["product"] == {"sku": "0002", "year": 2012, "state": "indexed"}


def test_an_unknown_product_is_404(wardrobe: Shop) -> None:
    missing = wardrobe.client.get("/v1/products/1/similar")
    assert (missing.status_code, missing.content_type) == (404, PROBLEM)
    assert missing.json["code"] == "unknown-product"


def test_a_pending_product_is_409_with_its_state_and_may_be_asked_again(wardrobe: Shop) -> None:
    wardrobe.put("new", "red")
    refused = wardrobe.client.get("/v1/products/new/similar")
    assert (refused.status_code, refused.content_type) == (409, PROBLEM)
    assert (refused.json["state"], refused.json["reason"]) == ("pending", None)
    assert int(refused.headers["Retry-After"]) > 0
    wardrobe.work()
    assert wardrobe.client.get("/v1/products/new/similar").status_code == 200


def test_a_quarantined_product_is_409_with_its_state_and_reason(wardrobe: Shop) -> None:
    wardrobe.put("bare")
    wardrobe.work()
    refused = wardrobe.client.get("/v1/products/bare/similar")
    assert (refused.status_code, refused.json["state"]) == (409, "quarantined")
    assert refused.json["reason"].startswith("no-image")
    assert "Retry-After" not in refused.headers, "asking again does not help"


def test_a_product_that_has_a_vector_answers_while_it_is_pending(wardrobe: Shop) -> None:
    wardrobe.client.patch("/v1/products/0001", json={"price": 1})
    answer = wardrobe.client.get(URL).json
    assert answer["meta"]["query_state"] == "pending"
    assert answer["items"][0]["sku"] == "0002"


def test_a_new_product_is_found_without_a_restart(wardrobe: Shop) -> None:
    wardrobe.put("new", "#d02121")
    wardrobe.work()
    assert wardrobe.skus(URL, limit=1) == ["new"]


def test_what_was_sold_out_a_moment_ago_is_not_offered(wardrobe: Shop) -> None:
    wardrobe.client.patch("/v1/products/0002", json={"in_stock": False})
    assert wardrobe.skus(URL, in_stock="true") == ["0005", "0004"]


# --- by image ----------------------------------------------------------------------------------


def test_an_image_in_a_form_finds_its_product_first(wardrobe: Shop) -> None:
    answer = upload(wardrobe, colour_image("#d02020")).json
    assert answer["items"][0]["sku"] == "0001"
    assert answer["items"][0]["score"] == pytest.approx(1, abs=1e-3)
    assert set(answer) == {
        *("items", "next_cursor", "recommendation_id", "generation", "request_id", "meta")
    }


def test_the_answer_says_what_kind_of_image_it_was_where_the_embedder_tells(
    wardrobe: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta = upload(wardrobe, colour_image("#d02020")).json["meta"]
    assert meta.keys().isdisjoint({"image_kind", "regions"})
    find_parts(monkeypatch)
    assert upload(wardrobe, colour_image("#d02020")).json["meta"]["image_kind"] == CATALOGUE


def test_the_answer_names_the_parts_of_the_image_which_can_be_sent_back(
    wardrobe: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_parts(monkeypatch)
    (part,) = upload(wardrobe, colour_image("#d02020")).json["meta"]["regions"]
    assert part == {"box": [0.25, 0.1, 0.75, 0.9], "confidence": 0.875, "kind": "shirt"}
    box = ",".join(map(str, part["box"]))
    assert "regions" not in upload(wardrobe, colour_image("#d02020"), box=box).json["meta"]
    find_parts(monkeypatch, found=())
    assert upload(wardrobe, colour_image("#d02020")).json["meta"]["regions"] == []


def test_the_answer_says_which_part_of_a_composed_image_was_compared(
    wardrobe: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_parts(monkeypatch)
    assert "compared" not in upload(wardrobe, colour_image("#d02020")).json["meta"]
    find_parts(monkeypatch, composed=True)
    assert upload(wardrobe, colour_image("#d02020")).json["meta"]["compared"] == list(PART.box)


def find_parts(
    monkeypatch: pytest.MonkeyPatch,
    *,
    found: Sequence[FoundRegion] = (PART,),
    composed: bool = False,
) -> None:
    """Let the embedder take any image for a catalogue's, with these parts."""
    monkeypatch.setattr(
        MeanColour,
        "embed_query",
        lambda self, image: QueryImage(self.embed([image])[0], CATALOGUE, found, composed=composed),
        raising=False,
    )


def test_a_form_holds_the_other_parameters_too(wardrobe: Shop) -> None:
    fields = {
        "filter": '{"gender": ["Men"], "year": {"gte": 2012}}',
        "limit": "1",
        "fields": "gender",
        "exclude": "0003",
    }
    (item,) = upload(wardrobe, colour_image("#d02020"), **fields).json["items"]
    assert item["product"] == {"sku": "0004", "gender": "Men"}
    plain = upload(wardrobe, colour_image("#d02020"), gender=["Men", "Kids"], min_score="0.1").json
    assert [item["sku"] for item in plain["items"]] == ["0003", "0004"]


def test_a_raw_image_is_asked_with_a_query_string(wardrobe: Shop) -> None:
    for kind in ("jpeg", "png"):
        answer = wardrobe.client.post(
            "/v1/similar?gender=Men&limit=1",
            data=colour_image("#d02020", format=kind),
            content_type=f"image/{kind}",
        ).json
        assert [item["sku"] for item in answer["items"]] == ["0003"]


def test_a_body_asks_about_a_product_with_a_filter(wardrobe: Shop) -> None:
    body = {
        "sku": "0001",
        "filter": {"gender": ["Women", "Men"], "base_colour": {"not": ["Red"]}},
        "limit": 2,
        "exclude": ["0005"],
        "fields": ["sku"],
        "min_score": -0.5,
    }
    answer = wardrobe.client.post("/v1/similar", json=body).json
    assert [item["sku"] for item in answer["items"]] == ["0003", "0004"]
    assert answer["items"][0]["product"] == {"sku": "0003"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/sku"),
        ({"sku": 1}, "/sku"),
        ({"sku": "0001", "limit": "5"}, "/limit"),
        ({"sku": "0001", "limit": True}, "/limit"),
        ({"sku": "0001", "limit": 101}, "/limit"),
        ({"sku": "0001", "exclude": "0002"}, "/exclude"),
        ({"sku": "0001", "exclude": ["a\tb"]}, "/exclude"),
        ({"sku": "0001", "fields": ["colour"]}, "/fields"),
        ({"sku": "0001", "min_score": "1"}, "/min_score"),
        ({"sku": "0001", "min_score": 2}, "/min_score"),
        ({"sku": "0001", "gender": ["Men"]}, "/gender"),
        ({"sku": "0001", "gender": None}, "/gender"),
        ({"sku": "0001", "\ud800": 1}, "/\ud800"),
    ],
)
def test_a_wrong_body_is_422_and_points_at_the_fault(
    wardrobe: Shop, body: Any, pointer: str
) -> None:
    refused = wardrobe.client.post("/v1/similar", json=body)
    assert (refused.status_code, refused.content_type) == (422, PROBLEM)
    assert [fault["pointer"] for fault in refused.json["errors"]] == [pointer]


def test_a_member_of_null_counts_as_absent(wardrobe: Shop) -> None:
    body = dict.fromkeys(("filter", "limit", "exclude", "fields", "min_score")) | {"sku": "0001"}
    answer = wardrobe.client.post("/v1/similar", json=body).json
    assert [item["sku"] for item in answer["items"]] == wardrobe.skus(URL)


def test_everything_wrong_with_a_body_is_told_at_once(wardrobe: Shop) -> None:
    body = {"limit": 0, "filter": {"year": "x", "colour": "Red"}, "gender": "Men"}
    refused = wardrobe.client.post("/v1/similar", json=body).json
    assert (refused["code"], len(refused["errors"])) == ("invalid-request", 5)
    found = {fault["pointer"]: fault["code"] for fault in refused["errors"]}
    assert found == {
        "/sku": "invalid-value",
        "/limit": "invalid-value",
        "/filter/year": "invalid-filter",
        "/filter/colour": "invalid-filter",
        "/gender": "unknown-parameter",
    }


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 415, "not-an-image"),
        (b"plain text", 415, "not-an-image"),
        (colour_image("red", format="JPEG")[:400], 422, "corrupt-image"),
        (colour_image("red", size=(2, 2)), 422, "image-too-small"),
        (colour_image("red") + bytes(60_000), 413, "image-too-large"),
    ],
)
def test_what_is_no_usable_image_is_refused(
    wardrobe: Shop, data: bytes, status: int, code: str
) -> None:
    raw = wardrobe.client.post("/v1/similar", data=data, content_type="image/jpeg")
    for refused in (raw, upload(wardrobe, data)):
        assert (refused.status_code, refused.content_type) == (status, PROBLEM)
        assert refused.json["code"] == code


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"image": "text"},
        {"photo": (io.BytesIO(b"x"), "x.png")},
        {"image": [(io.BytesIO(b"x"), "x.png"), (io.BytesIO(b"y"), "y.png")]},
        {"image": (io.BytesIO(b"x"), "x.png"), "mask": (io.BytesIO(b"x"), "m.png")},
    ],
)
def test_a_form_without_exactly_one_image_is_422(wardrobe: Shop, form: Any) -> None:
    refused = wardrobe.client.post(
        "/v1/similar", data=form, content_type="multipart/form-data; boundary=b"
    )
    assert refused.status_code == 422
    assert refused.json["errors"][0]["parameter"] == "image"


def test_a_part_of_a_form_without_a_name_is_refused(wardrobe: Shop) -> None:
    part = b"--b\r\nContent-Disposition: form-data\r\n\r\nred\r\n--b--\r\n"
    refused = wardrobe.client.post(
        "/v1/similar", data=part, content_type="multipart/form-data; boundary=b"
    )
    assert refused.status_code == 422
    assert {fault["parameter"] for fault in refused.json["errors"]} == {"", "image"}


def test_an_encoder_of_another_generation_is_refused(
    wardrobe: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = wardrobe.services.embedders.named(wardrobe.services.settings.embedder)
    monkeypatch.setattr(embedder, "fingerprint", "f" * 64)
    refused = upload(wardrobe, colour_image("red"))
    assert (refused.status_code, refused.json["code"]) == (503, ModelMismatch.code)


# --- facets --------------------------------------------------------------------------------------


def facets(shop: Shop, query: str = "") -> dict[str, dict[Any, int]]:
    items = shop.client.get(f"/v1/facets?{query}").json["items"]
    return {
        item["field"]: {value["value"]: value["count"] for value in item["values"]}
        for item in items
    }


def test_facets_count_the_products_of_each_value(wardrobe: Shop) -> None:
    found = facets(wardrobe)
    assert found["gender"] == {"Women": 3, "Men": 2}
    assert found["base_colour"] == {"Red": 2, "Dark, red": 1, "Blue": 1}
    assert found["year"] == {2011: 1, 2012: 1, 2013: 1, 2014: 1}
    assert found["in_stock"] == {True: 4, False: 1}
    assert found["attributes.fit"] == {"slim": 2, "loose": 1}, "declared in the settings"
    assert "price" not in found


def test_facets_can_be_filtered_chosen_and_cut(wardrobe: Shop) -> None:
    found = facets(wardrobe, "fields=gender,base_colour&limit=1&gender=Women")
    assert found == {"gender": {"Women": 3}, "base_colour": {"Red": 2}}
    assert wardrobe.client.get("/v1/facets?fields=price").status_code == 422
    assert wardrobe.client.get("/v1/facets?limit=0").status_code == 422
