"""Every error is a problem document; every request has an id and a line in the log."""

from __future__ import annotations

import json
from typing import Any

import pytest
import structlog
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError
from support.shop import PROBLEM, Shop

from backend import errors
from backend.api import problems
from backend.errors import LookalikeError

REFUSED = [
    ("get", "/v1/nothing", {}, 404, "not-found"),
    ("get", "/", {}, 404, "not-found"),
    ("post", "/v1/products/1", {}, 405, "method-not-allowed"),
    ("delete", "/v1/products", {}, 405, "method-not-allowed"),
    ("put", "/v1/products/1", {"data": "{"}, 415, "unsupported-media-type"),
    ("put", "/v1/products/1", {"data": "{", "content_type": "text/plain"}, 415, None),
    ("post", "/v1/products:batch", {"data": "x"}, 415, "unsupported-media-type"),
    ("get", "/v1/jobs/1", {}, 404, "unknown-job"),
    ("get", "/v1/jobs/abc", {}, 404, "unknown-job"),
    ("get", f"/v1/jobs/{10**30}", {}, 404, "unknown-job"),
    ("get", "/v1/status?verbose=1", {}, 422, "invalid-request"),
    ("get", "/v1/products?limit=0", {}, 422, "invalid-request"),
    ("put", "/v1/products/1?dry=1", {"json": {}}, 422, "invalid-request"),
    ("get", "/v1/products/1/similar?colour=red", {}, 422, "invalid-request"),
]


@pytest.mark.parametrize(("method", "url", "body", "status", "code"), REFUSED)
def test_every_error_is_a_problem_document(
    client: FlaskClient, method: str, url: str, body: dict[str, Any], status: int, code: str | None
) -> None:
    refused = getattr(client, method)(url, **body)
    assert (refused.status_code, refused.content_type) == (status, PROBLEM)
    problem = refused.json
    assert problem["status"] == status
    assert code is None or problem["code"] == code
    assert problem["type"] == f"urn:lookalike:problem:{problem['code']}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == refused.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        '{"year": 2012,}',
        '{"year": NaN}',
        '{"price": Infinity}',
        b'{"gender": "\xff"}',
        "[" * 100_000,
        "[" * 65 + "]" * 65,
        '{"year": ' + "9" * 5_000 + "}",
    ],
)
def test_malformed_json_is_400(client: FlaskClient, body: str | bytes) -> None:
    for url in ("/v1/products/1", "/v1/products:batch", "/v1/similar"):
        method = client.put if url.endswith("1") else client.post
        refused = method(url, data=body, content_type="application/json")
        assert (refused.status_code, refused.json["code"]) == (400, "malformed-json")


@pytest.mark.parametrize("body", ["[]", "null", '"text"', "1", "true"])
def test_json_that_is_no_object_is_422(client: FlaskClient, body: str) -> None:
    refused = client.put("/v1/products/1", data=body, content_type="application/json")
    assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (422, "")


@pytest.mark.parametrize(
    ("path", "body", "pointer", "said"),
    [
        ("/v1/similar", {"text": "x" * 501}, "/text", "must have at most 500 characters"),
        ("/v1/similar", {"image_uri": ""}, "/image_uri", "must have at least 1 character"),
        ("/v1/events:batch", {"items": []}, "/items", "must have at least 1 item"),
        ("/v1/recommendations", {"user": "\ud800"}, "/user", "holds half of a surrogate pair"),
        ("/v1/admin/rules", {"starts_at": "soon"}, "/starts_at", "such as 2026-11-01T08:30:00Z"),
        ("/v1/admin/rules", {"placement": "a b"}, "/placement", "1 to 64 letters, digits"),
        (
            "/v1/admin/rules",
            {"ends_at": "0001-01-01T00:00:00+23:00"},
            "/ends_at",
            "lies before the year 1",
        ),
        ("/v1/admin/rules:preview", {"placement": "\ud800"}, "/placement", "surrogate pair"),
        (
            "/v1/admin/rules",
            {"filter": {"brand": "\ud800"}},
            "/filter/brand",
            "takes text without halves of surrogate pairs",
        ),
        (
            "/v1/similar",
            {"boost": [{"field": "year", "weight": 1, "boost": 1}]},
            "/boost",
            "holds 'boost', and there is no such member in it",
        ),
        (
            "/v1/recommendations",
            {"positive": [{"sku": "1", "weight": "2"}]},
            "/positive",
            "weight must be a valid number",
        ),
    ],
)
def test_what_is_wrong_with_a_member_is_said_in_plain_words(
    client: FlaskClient, path: str, body: dict[str, Any], pointer: str, said: str
) -> None:
    refused = client.post(path, json=body)
    assert (refused.status_code, refused.mimetype) == (422, PROBLEM)
    details = [it["detail"] for it in refused.json["errors"] if it["pointer"] == pointer]
    assert any(said in detail for detail in details), refused.json
    assert "after validation" not in refused.text
    assert "Body" not in refused.text


@pytest.mark.parametrize("upload", [5, "é", "a"])
def test_an_upload_that_is_no_base64_is_named(client: FlaskClient, upload: object) -> None:
    refused = client.put("/v1/products/1", json={"images": [{"upload": upload}]})
    assert refused.status_code == 422
    assert "image 1, upload: must be the file in base64" in refused.json["detail"]


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_an_experiment_with_a_number_that_no_generation_can_have_is_422(
    client: FlaskClient, state: str
) -> None:
    body = {"generation": 2**63, "state": state}
    refused = client.put("/v1/admin/experiments/e", json=body)
    assert (refused.status_code, refused.json["code"]) == (422, "invalid-experiment")
    assert refused.json["detail"].startswith("generation: ")


def test_a_body_beyond_the_limit_is_413(client: FlaskClient) -> None:
    body = json.dumps({"display_name": "x" * 2_000_000})
    refused = client.put("/v1/products/1", data=body, content_type="application/json")
    assert (refused.status_code, refused.content_type) == (413, PROBLEM)
    assert "1,050,000 bytes" in refused.json["detail"]


@pytest.mark.parametrize(("coding", "status"), [("gzip", 415), ("br", 415), ("Identity", 201)])
def test_a_packed_body_is_415_and_says_so(client: FlaskClient, coding: str, status: int) -> None:
    headers = {"Content-Encoding": coding}
    answer = client.put("/v1/products/packed", json={}, headers=headers)
    assert answer.status_code == status
    if status == 415:
        assert answer.json["code"] == "unsupported-media-type"
        assert coding in answer.json["detail"]
        assert answer.headers["Accept-Encoding"] == "identity"


def test_a_method_that_is_not_allowed_names_the_allowed_ones(client: FlaskClient) -> None:
    refused = client.post("/v1/products/1")
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert method in refused.headers["Allow"]
        assert method in refused.json["detail"]


def test_an_unknown_parameter_is_422_and_names_the_allowed_ones(client: FlaskClient) -> None:
    fault = client.get("/v1/products?colour=red").json["errors"][0]
    assert (fault["parameter"], fault["code"]) == ("colour", "unknown-parameter")
    for name in ("limit", "cursor", "base_colour_not", "year_gte", "attributes.<name>"):
        assert name in fault["detail"]


def test_a_parameter_that_is_not_utf8_is_422_and_compared_with_nothing(client: FlaskClient) -> None:
    refused = client.get("/v1/products?brand_not=K%F6ln&gender=K%C3%B6ln&q=%FC")
    assert (refused.status_code, refused.content_type) == (422, PROBLEM)
    faults = [(it["parameter"], it["detail"]) for it in refused.json["errors"]]
    assert faults == [("brand_not", "is not UTF-8"), ("q", "is not UTF-8")]


@pytest.mark.parametrize("content_type", [None, "application/x-www-form-urlencoded"])
def test_json_that_is_not_declared_is_told_from_an_image(
    client: FlaskClient, content_type: str | None
) -> None:
    refused = client.post("/v1/similar", data=' {"sku": "1"}', content_type=content_type)
    assert (refused.status_code, refused.json["code"]) == (415, "not-an-image")
    assert "Content-Type: application/json" in refused.json["detail"]


def test_a_name_that_is_not_known_is_answered_with_the_nearest_one(client: FlaskClient) -> None:
    asked = client.get("/v1/products?base_color=red&pagesize=2").json
    stored = client.put("/v1/products/1", json={"name": "Shirt"}).json
    searched = client.post("/v1/similar", json={"sku": "1", "image_url": "a"}).json
    filtered = client.post("/v1/similar", json={"sku": "1", "filter": {"color": "red"}}).json

    assert "no such parameter; the nearest is base_colour; allowed: " in asked["detail"]
    assert "nearest" not in asked["errors"][1]["detail"]
    assert stored["detail"] == "name: there is no such field; the nearest is display_name"
    assert stored["errors"][0]["detail"].count("the nearest is") == 1
    assert "no such member; the nearest is image_uri; allowed: " in searched["detail"]
    assert "unknown field 'color'; the nearest is base_colour; allowed: " in filtered["detail"]


def test_a_path_that_is_not_there_is_answered_with_the_nearest_one(client: FlaskClient) -> None:
    for path, near in [
        ("/v1/product/1/similar", "/v1/products/{sku}/similar"),
        ("/v1/event:batch", "/v1/events:batch"),
        ("/v1/admin/rule", "/v1/admin/rules"),
        ("/v1/admin/generation/7", "/v1/admin/generations/{id}"),
    ]:
        assert f"; the nearest is {near}; /docs" in client.get(path).json["detail"]
    assert "nearest" not in client.get("/v1/nothing/at/all").json["detail"]
    assert "nearest" not in client.get("/product").json["detail"]


@pytest.mark.parametrize("method", ["get", "put", "delete"])
@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/v1/products//image", "/v1/products/{sku}/image"),
        ("/v1/products//images/2", "/v1/products/{sku}/images/{number}"),
    ],
)
def test_a_path_without_a_name_is_404_and_leads_to_no_other_product(
    client: FlaskClient, method: str, path: str, meant: str
) -> None:
    refused = getattr(client, method)(path)
    assert (refused.status_code, refused.mimetype) == (404, PROBLEM)
    assert refused.json["detail"] == f"a part of this path is empty: it would be {meant}"


def test_two_slashes_where_no_name_is_missing_lead_on(client: FlaskClient) -> None:
    assert client.get("/v1//status").status_code == 308
    assert client.get("/v1//status", follow_redirects=True).status_code == 200


def test_a_colour_by_name_is_told_from_the_weight_of_colour(client: FlaskClient) -> None:
    refused = client.get("/v1/products/1/similar?colour=Red").json
    assert "base_colour filters by a colour" in refused["detail"]


def test_an_unforeseen_error_is_500_and_tells_only_the_log(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("backend.catalogue.products.get", break_down)
    with structlog.testing.capture_logs() as logs:
        failed = shop.client.get("/v1/products/1")
    assert (failed.status_code, failed.content_type) == (500, PROBLEM)
    assert "secret" not in failed.text
    assert any("secret" in str(line.get("error")) for line in logs)


def test_a_database_that_does_not_answer_is_503_and_may_be_asked_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise OperationalError("SELECT secret", {}, ConnectionError("no route to host"))

    monkeypatch.setattr("backend.catalogue.products.get", unreachable)
    failed = shop.client.get("/v1/products/1")
    assert (failed.status_code, failed.json["code"]) == (503, "database-unavailable")
    assert failed.headers["Retry-After"]
    assert "secret" not in failed.text


def subclasses(kind: type[LookalikeError]) -> list[type[LookalikeError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in subclasses(child))]


OURS = {errors.LookalikeError, errors.ConfigurationError, errors.UnreadableCatalogue}
OURS |= {errors.UnknownEmbedder, problems.RequestError}
OURS |= {errors.NotEvaluable, errors.UnusableBackup, errors.WouldOverwrite}  # of commands alone
OURS |= {errors.NotTrainable}


@pytest.mark.parametrize("kind", sorted(set(subclasses(LookalikeError)) - OURS, key=str))
def test_every_domain_error_that_a_request_can_meet_has_a_status(
    kind: type[LookalikeError],
) -> None:
    problem = problems.to_request_error(kind())
    assert 400 <= problem.status <= 503 or problem.status == 507
    assert problem.status != 500
    assert (problem.status == 503) == ("Retry-After" in problem.headers) or problem.status == 409


# --- ids and logs --------------------------------------------------------------------------------


def test_a_request_keeps_the_id_it_came_with(client: FlaskClient) -> None:
    answered = client.get("/livez", headers={"X-Request-Id": "checkout-42"})
    assert answered.headers["X-Request-Id"] == "checkout-42"


@pytest.mark.parametrize("sent", ["", "x" * 129, "a b", "a\tb"])
def test_an_id_that_is_none_is_replaced(client: FlaskClient, sent: str) -> None:
    first, second = (client.get("/livez", headers={"X-Request-Id": sent}) for _ in range(2))
    assert first.headers["X-Request-Id"] != sent
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]


def test_each_request_is_one_line_in_the_log_without_bodies(client: FlaskClient) -> None:
    with structlog.testing.capture_logs() as logs:
        client.put("/v1/products/1?dry=1", json={"display_name": "secret"})
    (line,) = (each for each in logs if each["event"] == "request")
    assert (line["method"], line["path"], line["status"]) == ("PUT", "/v1/products/1", 422)
    assert line["route"] == "/v1/products/<sku>"
    assert line["ms"] >= 0
    assert "secret" not in str(logs)


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/similar", {"sku": "1", "cursor": "x"}, "/cursor"),
        ("/v1/similar", {"sku": "1", "placement": "nowhere"}, "/placement"),
        ("/v1/similar", {"text": "red", "restrict": ["gender"]}, "/restrict"),
        ("/v1/similar:batch", {"skus": ["1"], "placement": "nowhere"}, "/placement"),
        ("/v1/recommendations", {"positive": ["1"], "cursor": "x"}, "/cursor"),
        ("/v1/recommendations", {"positive": ["1"], "placement": "nowhere"}, "/placement"),
    ],
)
def test_a_fault_of_a_body_is_pointed_at_also_where_the_query_string_may_hold_it(
    client: FlaskClient, path: str, body: dict[str, Any], pointer: str
) -> None:
    refused = client.post(path, json=body)
    (fault,) = refused.json["errors"]
    assert (refused.status_code, fault["pointer"]) == (422, pointer)
    assert "parameter" not in fault
    if path == "/v1/similar":
        name = pointer[1:]
        asked = f"{path}?{name}={''.join(body.pop(name))}"
        (fault,) = client.post(asked, json=body).json["errors"]
        assert (fault["parameter"], "pointer" in fault) == (name, False)


def test_the_fault_of_an_item_says_which_item_it_is(client: FlaskClient) -> None:
    refused = client.post("/v1/similar:batch", json={"skus": ["1", " 2", "3", "a\tb"]})
    details = [it["detail"] for it in refused.json["errors"]]
    assert [it.partition(" ")[0] for it in details] == ["[1]", "[3]"]
    refused = client.post("/v1/similar", json={"sku": "1", "boost": [{"field": "year"}]})
    assert refused.json["errors"][0]["detail"] == "[0] weight must be given"


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("experiments/e", {"against": "b"}, {"pointer": "/placement"}),
        ("experiments/e", {"placement": "a"}, {"pointer": "/against"}),
        ("experiments/e", {"placement": "a", "against": "b"}, {"pointer": "/placement"}),
        ("experiments/e", {"generation": 99}, {"pointer": "/generation"}),
        ("experiments/e f", {"generation": 99}, {"parameter": "name"}),
        ("placements/.e", {}, {"parameter": "name"}),
    ],
)
def test_what_cannot_be_stored_names_the_member_that_is_wrong(
    client: FlaskClient, path: str, body: dict[str, Any], place: dict[str, str]
) -> None:
    refused = client.put(f"/v1/admin/{path}", json=body)
    (fault,) = refused.json["errors"]
    assert refused.status_code == 422
    assert {name: fault.get(name) for name in ("parameter", "pointer") if name in fault} == place
    assert fault["detail"] == refused.json["detail"]
