"""What generated clients need of the description, and that the server accepts all of it."""

from __future__ import annotations

import io
from typing import Any

import jsonschema
import pytest
from flask.testing import FlaskClient
from support.description import operations_of, resolve
from support.image_files import colour_image
from support.shop import Shop

from backend.api.problem_codes import all_codes
from backend.search.query import MAX_LIMIT

REQUESTS = (
    *("ProductBody", "ProductPatch", "BatchBody", "BatchProduct", "ImageItem", "SimilarBody"),
    *("ReindexBody", "ForceBody", "FeedBody", "FeedChange", "FeedRunBody", "PurgeBody"),
    *("QuarantineBody", "BatchPatchBody", "BatchPatchItem", "SkusBody", "ReadBody"),
    *("FeedOptionsBody", "HnswBody", "SimilarForm", "Bound"),
)
OPERATION_IDS = {
    "GET /livez": "getLiveness",
    "GET /metrics": "getMetrics",
    "GET /readyz": "getReadiness",
    "GET /v1/admin/feeds": "listFeeds",
    "POST /v1/admin/feeds": "addFeed",
    "GET /v1/admin/feeds/{name}": "getFeed",
    "PATCH /v1/admin/feeds/{name}": "changeFeed",
    "DELETE /v1/admin/feeds/{name}": "deleteFeed",
    "POST /v1/admin/feeds/{name}/run": "runFeed",
    "GET /v1/admin/generations": "listGenerations",
    "POST /v1/admin/generations/rollback": "rollBackGeneration",
    "GET /v1/admin/generations/{id}": "getGeneration",
    "DELETE /v1/admin/generations/{id}": "dropGeneration",
    "POST /v1/admin/generations/{id}/promote": "promoteGeneration",
    "GET /v1/admin/jobs": "listJobs",
    "GET /v1/admin/jobs/{id}": "getAdminJob",
    "POST /v1/admin/jobs/{id}/cancel": "cancelJob",
    "POST /v1/admin/purge": "purgeProducts",
    "POST /v1/admin/reindex": "requestReindex",
    "GET /v1/facets": "getFacets",
    "GET /v1/jobs/{id}": "getJob",
    "GET /v1/products": "listProducts",
    "POST /v1/products:batch": "putProducts",
    "POST /v1/products:patch": "patchProducts",
    "POST /v1/products:delete": "deleteProducts",
    "POST /v1/products:read": "readProducts",
    "GET /v1/products/{sku}": "getProduct",
    "PUT /v1/products/{sku}": "putProduct",
    "PATCH /v1/products/{sku}": "patchProduct",
    "DELETE /v1/products/{sku}": "deleteProduct",
    "GET /v1/products/{sku}/image": "getImage",
    "PUT /v1/products/{sku}/image": "putImage",
    "DELETE /v1/products/{sku}/image": "deleteImage",
    "GET /v1/products/{sku}/images/{number}": "getOneImage",
    "PUT /v1/products/{sku}/images/{number}": "putOneImage",
    "DELETE /v1/products/{sku}/images/{number}": "deleteOneImage",
    "GET /v1/products/{sku}/similar": "getSimilarProducts",
    "POST /v1/similar": "searchSimilarProducts",
    "GET /v1/quarantine": "listQuarantine",
    "POST /v1/quarantine:retry": "retryQuarantine",
    "POST /v1/quarantine:discard": "discardQuarantine",
    "GET /v1/status": "getStatus",
}
"""Methods of generated clients have these names: an entry is added, and never changed."""


def test_operation_ids_stay_as_they_were_released(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json
    found = {name: operation["operationId"] for name, operation in operations_of(described)}
    assert OPERATION_IDS.items() <= found.items()
    assert len(set(found.values())) == len(found)
    assert all(it.isalpha() and it[0].islower() for it in found.values())


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_have_no_defaults_and_no_read_only_members(client: FlaskClient, name: str) -> None:
    schema = client.get("/openapi.json").json["components"]["schemas"][name]
    for member, described in schema["properties"].items():
        assert not {"default", "readOnly"} & described.keys(), (name, member)


def test_parameters_have_no_defaults_and_most_are_components(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json
    given = [it for _, each in operations_of(described) for it in each.get("parameters", ())]
    assert not [it for it in given if "default" in resolve(described, it)["schema"]]
    alone = [it["name"] for it in given if "$ref" not in it]
    assert len(alone) < 20 < len(given)


def test_fields_by_which_lists_are_shaped_are_one_enumeration(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json
    shared = described["components"]["parameters"]
    named = {"$ref": "#/components/schemas/ShapedField"}
    assert shared["GroupBy"]["schema"] == shared["Restrict"]["schema"]["items"] == named


def test_each_list_says_its_own_limit(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json
    for path, most in (("/v1/products", 100), ("/v1/products/{sku}/similar", MAX_LIMIT)):
        given = [resolve(described, it) for it in described["paths"][path]["get"]["parameters"]]
        (limit,) = [it for it in given if it["name"] == "limit"]
        assert limit["schema"]["maximum"] == most
        assert client.get(path.format(sku="1"), query_string={"limit": most + 1}).status_code == 422


def test_what_is_read_has_no_defaults_either(client: FlaskClient) -> None:
    schema = client.get("/openapi.json").json["components"]["schemas"]["Product"]
    assert not [name for name, it in schema["properties"].items() if "default" in it]


def test_every_body_has_a_schema(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json
    for name, operation in operations_of(described):
        bodies = operation.get("requestBody", {}).get("content", {})
        answers = [resolve(described, it) for it in operation["responses"].values()]
        for content in (bodies, *(it.get("content", {}) for it in answers)):
            assert all(it.get("schema") for it in content.values()), name
        if "image" in name and name.startswith("PUT"):
            assert set(bodies) == {"application/octet-stream", "image/*"}


def test_every_operation_has_examples_of_its_body_and_its_answer(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json
    tried = 0
    for name, operation in operations_of(described):
        answers = operation["responses"].items()
        parts = [it for status, it in answers if status < "300"]
        for part in (*parts, operation.get("requestBody", {})):
            if content := part.get("content", {}).get("application/json"):
                whole = {**content["schema"], "components": described["components"]}
                jsonschema.validate(content["example"], whole)
                tried += 1
        for it in operation.get("parameters", ()):
            parameter = resolve(described, it)
            assert "example" in parameter or not parameter["required"], name
    assert tried > 35


def test_the_example_of_a_query_by_an_image_shows_parts_of_it(client: FlaskClient) -> None:
    answers = client.get("/openapi.json").json["paths"]["/v1/similar"]["post"]["responses"]
    regions = answers["200"]["content"]["application/json"]["example"]["meta"]["regions"]
    assert all(0 <= edge <= 1 for part in regions for edge in part["box"])
    assert len(regions) > 1


def test_every_problem_has_an_example(client: FlaskClient) -> None:
    components = client.get("/openapi.json").json["components"]
    shown = {}
    for response in components["responses"].values():
        examples = response["content"]["application/problem+json"]["examples"]
        shown |= {code: it["value"] for code, it in examples.items()}
    assert shown.keys() == {it.code for it in all_codes() if it.status is not None}
    for problem in shown.values():
        jsonschema.validate(problem, {**components["schemas"]["Problem"], "components": components})


def test_codes_of_problems_are_an_enumeration_that_may_grow(client: FlaskClient) -> None:
    schemas = client.get("/openapi.json").json["components"]["schemas"]
    for name in ("Problem", "BatchProblem"):
        ways = schemas[name]["properties"]["code"]["anyOf"]
        assert ways == [{"$ref": "#/components/schemas/ProblemCode"}, {"type": "string"}]


# --- what is declared is accepted ----------------------------------------------------------------


def test_a_product_can_be_written_back_as_it_was_read(wardrobe: Shop) -> None:
    read = wardrobe.client.get("/v1/products/0001").json
    assert wardrobe.client.put("/v1/products/0001", json=read).status_code == 200
    assert wardrobe.client.get("/v1/products/0001").json == read
    wrong = {**read, "images": [{**read["images"][0], "sise": 3}]}
    assert wardrobe.client.put("/v1/products/0001", json=wrong).status_code == 422


IMAGE = colour_image("#d02020")
VARIANTS: dict[str, dict[str, Any]] = {
    "json": {"json": {"sku": "0001"}},
    "form": {"data": {"image": (io.BytesIO(IMAGE), "x.png")}},
    "image": {"data": IMAGE, "content_type": "image/png"},
    "octets": {"data": IMAGE, "content_type": "application/octet-stream"},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_of_the_query_string_hold_for_every_body(wardrobe: Shop, variant: str) -> None:
    sent = dict(VARIANTS[variant])
    if variant == "form":
        sent["data"] = {"image": (io.BytesIO(IMAGE), "x.png")}
    query = {"limit": 1, "gender": "Men", "fields": "gender", "exclude": "0004"}
    answered = wardrobe.client.post("/v1/similar", query_string=query, **sent)
    assert answered.status_code == 200, answered.text
    (item,) = answered.json["items"]
    assert item["product"] == {"sku": "0003", "gender": "Men"}


@pytest.mark.parametrize(
    ("body", "query", "place"),
    [
        ({"limit": 2}, {"limit": 1}, "limit"),
        ({"filter": {"gender": "Men"}}, {"base_colour": "Red"}, "base_colour"),
        ({"filter": {"gender": "Men"}}, {"filter": "{}"}, "filter"),
    ],
    ids=["limit", "filter-and-parameter", "filter"],
)
def test_what_stands_in_body_and_query_string_is_refused(
    wardrobe: Shop, body: dict[str, Any], query: dict[str, Any], place: str
) -> None:
    sent = {"sku": "0001", **body}
    refused = wardrobe.client.post("/v1/similar", query_string=query, json=sent)
    assert refused.status_code == 422
    assert refused.json["errors"][0]["parameter"] == place


def test_a_bound_of_null_is_no_bound(wardrobe: Shop) -> None:
    bounds = {"not": None, "gte": 2012, "gt": None, "lte": None, "lt": None}
    body = {"sku": "0001", "filter": {"year": bounds}}
    answered = wardrobe.client.post("/v1/similar", json=body)
    assert {it["sku"] for it in answered.json["items"]} == {"0002", "0003", "0004"}


def test_a_form_may_repeat_a_list(wardrobe: Shop) -> None:
    data = {"image": (io.BytesIO(IMAGE), "x.png"), "exclude": ["0001", "0002"], "limit": "1"}
    answered = wardrobe.client.post("/v1/similar", data=data)
    assert [it["sku"] for it in answered.json["items"]] == ["0003"]


@pytest.mark.parametrize("media_type", ["application/octet-stream", "image/png", "image/webp"])
def test_an_image_is_accepted_under_every_declared_type(shop: Shop, media_type: str) -> None:
    shop.put("1")
    stored = shop.client.put("/v1/products/1/image", data=IMAGE, content_type=media_type)
    assert stored.status_code == 201, stored.text
