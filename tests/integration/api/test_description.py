"""The API's description is valid, honest, and readable without the internet."""

from __future__ import annotations

import re

import pytest
import schemathesis
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import checks
from support.description import resolve
from support.image_files import colour_image
from support.shop import Shop

from backend.api.links import LINKS
from backend.api.schemas.product import Product, ProductBody, ProductPatch
from backend.catalogue.drafts import FIELDS

IMAGES = st.sampled_from(
    [colour_image("red"), colour_image("blue", format="JPEG"), b"", b"\xff\xd8\xff"]
)
for media_type in ("image/*", "image/png", "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, IMAGES)


def test_the_description_is_valid_openapi_3_1(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json
    assert described["openapi"].startswith("3.1")
    assert not list(OpenAPIV31SpecValidator(described).iter_errors())


def test_every_operation_and_nothing_else_is_described(shop: Shop) -> None:
    described = shop.client.get("/openapi.json").json["paths"]
    found = {(path, method.upper()) for path, item in described.items() for method in item}
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in shop.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.rule.startswith(("/docs", "/manual", "/openapi"))
    }
    assert found == routes


def test_every_operation_says_what_it_does_and_how_it_fails(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json["paths"]
    for path, item in described.items():
        for method, operation in item.items():
            assert operation["summary"], path
            for status, answer in operation["responses"].items():
                assert ("507" in operation["responses"]) == (method != "get"), path
                if status >= "400":
                    assert answer == {"$ref": f"#/components/responses/Problem{status}"}, path


def test_products_are_described_field_by_field() -> None:
    written = {*FIELDS, "sku", "images"}
    assert set(ProductBody.model_fields) == set(ProductPatch.model_fields) == written
    assert set(Product.model_fields) == {*written, "state", "reason", "image_url"}


def test_filters_are_described_also_those_that_the_settings_declare(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json
    operation = described["paths"]["/v1/products/{sku}/similar"]["get"]
    parameters = [resolve(described, each) for each in operation["parameters"]]
    names = {parameter["name"] for parameter in parameters}
    wanted = {"limit", "exclude", "fields", "min_score", "filter", "base_colour_not", "year_gte"}
    assert names >= wanted | {"attributes.fit", "attributes.fit_not"}
    bound = next(each for each in parameters if each["name"] == "year_lt")["schema"]
    assert (bound["minimum"], bound["maximum"]) == (-(2**53), 2**53)


def test_the_documentation_needs_no_other_host(client: FlaskClient) -> None:
    assert client.get("/docs").status_code == 308
    assert "url=swagger" in client.get("/docs/").text
    page = client.get("/docs/swagger")
    assert page.status_code == 200
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sources
    assert not [source for source in sources if "//" in source]
    for source in sources:
        with client.get(f"/docs/{source}") as part:
            assert part.status_code == 200


def test_a_member_that_may_be_absent_may_be_null(client: FlaskClient) -> None:
    schemas = client.get("/openapi.json").json["components"]["schemas"]
    for name in ("BatchBody", "SimilarBody", "ReindexBody", "ForceBody", "FeedBody", "PurgeBody"):
        required = schemas[name].get("required", [])
        for member, schema in schemas[name]["properties"].items():
            takes_null = {"type": "null"} in schema.get("anyOf", [])
            assert takes_null == (member not in required), (name, member)
    asked = client.post("/v1/admin/generations/1/promote", json={"force": None})
    assert asked.status_code != 422, asked.text


def test_links_lead_to_operations_that_take_their_parameters(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json
    operations = [each for item in described["paths"].values() for each in item.values()]
    taken = {
        each["operationId"]: {resolve(described, it)["name"] for it in each["parameters"]}
        for each in operations
        if "parameters" in each
    }
    links = [
        link
        for each in operations
        for answer in each["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) >= len(LINKS)
    for link in links:
        assert link["parameters"].keys() <= taken[link["operationId"]]


def test_every_json_body_has_an_example_that_is_accepted(wardrobe: Shop) -> None:
    described = wardrobe.client.get("/openapi.json").json["paths"]
    hide = {"action": "hide", "skus": ["nobody"]}
    rule = wardrobe.client.post("/v1/admin/rules", json=hide).json["id"]
    tried = 0
    for path, item in described.items():
        for method, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" not in content:
                continue
            number = rule if "/rules/" in path else 1
            url = path.format(sku="0001", name="images.example", id=number)
            body = content["application/json"]["example"]
            answered = wardrobe.client.open(url, method=method.upper(), json=body)
            assert answered.status_code in (200, 201, 202, 409), (method, path, answered.text)
            tried += 1
    assert tried >= 8


# --- the app against its description -------------------------------------------------------------


CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
OPERATIONS = [
    *("GET /v1/products", "POST /v1/products:batch", "GET /v1/facets", "GET /v1/quarantine"),
    *("POST /v1/quarantine:retry", "POST /v1/quarantine:discard"),
    *("POST /v1/products:patch", "POST /v1/products:delete", "POST /v1/products:read"),
    *(f"{method} /v1/products/{{sku}}" for method in ("PUT", "PATCH", "GET", "DELETE")),
    *(f"{method} /v1/products/{{sku}}/image" for method in ("PUT", "GET", "DELETE")),
    *(f"{method} /v1/products/{{sku}}/images/{{number}}" for method in ("PUT", "GET", "DELETE")),
    *("GET /v1/products/{sku}/similar", "POST /v1/similar", "POST /v1/similar:batch"),
    *("POST /v1/products:import", "GET /v1/imports/{id}"),
    *("GET /v1/status", "GET /v1/jobs/{id}", "GET /livez", "GET /readyz", "GET /metrics"),
    *(
        "GET /v1/admin/jobs",
        "GET /v1/admin/jobs/{id}",
        "POST /v1/admin/jobs/{id}/cancel",
        "POST /v1/admin/reindex",
    ),
    *("GET /v1/admin/generations", "POST /v1/admin/generations/rollback"),
    *("GET /v1/admin/generations/{id}", "DELETE /v1/admin/generations/{id}"),
    *("POST /v1/admin/generations/{id}/promote", "POST /v1/admin/purge"),
    *("GET /v1/admin/feeds", "POST /v1/admin/feeds", "POST /v1/admin/feeds/{name}/run"),
    "GET /v1/admin/experiments",
    *(f"{method} /v1/admin/experiments/{{name}}" for method in ("GET", "PUT", "DELETE")),
    *("GET /v1/admin/placements", "GET /v1/admin/placements/{name}/history"),
    *(f"{method} /v1/admin/placements/{{name}}" for method in ("GET", "PUT", "DELETE")),
    "POST /v1/admin/rules:preview",
    *("GET /v1/admin/rules", "POST /v1/admin/rules", "GET /v1/admin/rules/{id}/history"),
    *(f"{method} /v1/admin/rules/{{id}}" for method in ("GET", "PUT", "DELETE")),
    *(f"{method} /v1/admin/feeds/{{name}}" for method in ("GET", "PATCH", "DELETE")),
    "POST /v1/events",
    *("POST /v1/events:batch", "GET /v1/users/{user}/events", "DELETE /v1/users/{user}"),
    *("POST /v1/recommendations", "GET /v1/users/{user}/recommendations"),
    *("GET /v1/recommendations/{recommendation_id}", "GET /v1/users/{user}/answers"),
    *("GET /v1/products/{sku}/together", "GET /v1/trending", "GET /v1/new-products"),
]


PLAIN = {"Accept-Encoding": "identity"}  # the tester does not unpack what an app answers
SKUS = st.sampled_from(["0001", "0002", "0003", "nobody"])
FEEDS = st.sampled_from(["images.example", "nobody"])


@schemathesis.serializer("application/x-ndjson")
def as_lines(_context: object, value: str) -> bytes:
    return value.encode("utf-8", "backslashreplace")


@pytest.fixture(scope="module")
def described(_open_shop: Shop) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_wsgi("/openapi.json", _open_shop.app)


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_request_meets_an_answer_that_is_not_described(
    wardrobe: Shop, described: schemathesis.BaseSchema, name: str
) -> None:
    method, path = name.split()

    if "/admin/feeds" in path:
        url = {"url": "https://images.example/feed.csv"}
        assert wardrobe.client.post("/v1/admin/feeds", json=url).status_code == 201

    @given(case=described[path][method].as_strategy(), sku=SKUS, feed=FEEDS)
    @settings(max_examples=15, suppress_health_check=list(HealthCheck))
    def try_it(case: schemathesis.Case, sku: str, feed: str) -> None:
        if "sku" in case.path_parameters:
            case.path_parameters["sku"] = sku
        if "name" in case.path_parameters:
            case.path_parameters["name"] = feed
        case.call_and_validate(checks=CHECKS, headers=PLAIN)

    try_it()
    if "/admin/" in path or path.endswith(":import"):
        wardrobe.empty()  # of jobs that were asked for


def test_every_operation_is_tried(client: FlaskClient) -> None:
    described = client.get("/openapi.json").json["paths"]
    assert set(OPERATIONS) == {
        f"{method.upper()} {path}" for path, item in described.items() for method in item
    }
