"""The list of problem codes: complete, and the same in code, documentation and description."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update
from sqlalchemy.orm import Session
from support.shop import Shop
from werkzeug import exceptions

import backend
from backend.api.problem_codes import FAULTS, HTTP, OF_COMMANDS, all_codes
from backend.api.problems import MOST_FAULTS, to_request_error
from backend.catalogue.save_products import save
from backend.database.models import Product
from backend.errors import InvalidProduct, LookalikeError

ROOT = Path(backend.__file__).parent
LISTED = {it.code: it.status for it in all_codes()}


def codes_in_source() -> Iterator[tuple[str, str]]:
    """Yield (place, code) of each code that stands in the sources of the API and of errors."""
    for path in [*ROOT.glob("api/**/*.py"), *ROOT.glob("serving/*.py"), ROOT / "errors.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            found: ast.expr | None = None
            if isinstance(node, ast.Call):
                found = next((it.value for it in node.keywords if it.arg == "code"), None)
                if isinstance(node.func, ast.Name) and node.func.id == "RequestError":
                    found = found or (node.args[1] if len(node.args) > 1 else None)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found = node.value if node.targets[0].id == "code" else None
            elif isinstance(node, ast.FunctionDef):
                defaults = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                found = next((it for name, it in defaults if name.arg == "code"), None)
            if isinstance(found, ast.Constant) and isinstance(found.value, str):
                yield f"{path.name}:{node.lineno}", found.value


def test_every_code_that_is_raised_is_listed() -> None:
    found = list(codes_in_source())
    assert len({code for _, code in found}) > 50
    base = LookalikeError.code
    assert not [it for it in found if it[1] not in {*LISTED, *FAULTS, base}]


def test_every_status_that_werkzeug_raises_has_a_code_of_its_own() -> None:
    raised = {
        it.code
        for it in vars(exceptions).values()
        if isinstance(it, type) and issubclass(it, exceptions.HTTPException) and it.code
    }
    unlikely = {401, 402, 403, 409, 410, 418, 423, 424, 429, 451, 500, 502, 504, 505}
    assert raised - unlikely <= set(HTTP)


def test_codes_that_only_commands_and_jobs_end_with_have_no_status() -> None:
    without = {code for code, status in LISTED.items() if status is None}
    assert without == {
        "not-evaluable",
        "not-trainable",
        "unreadable-catalogue",
        "unusable-backup",
        "would-overwrite",
    }
    in_views = [*ROOT.glob("api/**/*.py"), *ROOT.glob("search/*.py"), *ROOT.glob("serving/*.py")]
    raised = "\n".join(path.read_text() for path in in_views if path.name != "problem_codes.py")
    assert not [it.__name__ for it in OF_COMMANDS if f"raise {it.__name__}" in raised]


def tables_of_codes() -> str:
    """Return the tables of docs/errors.md."""
    codes = [f"| `{it.code}` | {it.status or 'none'} | {it.meaning} |" for it in all_codes()]
    faults = [f"| `{code}` | {meaning} |" for code, meaning in FAULTS.items()]
    return "\n".join(
        [
            "## Codes of a problem\n\n| code | status | meaning |\n|---|---|---|",
            *codes,
            "\n## Codes of a fault, in `errors`\n\n| code | meaning |\n|---|---|",
            *faults,
            "",
        ]
    )


def test_the_documentation_lists_the_same_codes() -> None:
    text, tables = (ROOT.parent / "docs" / "errors.md").read_text(), tables_of_codes()
    assert text.endswith(tables), f"end docs/errors.md with:\n{tables}"


def test_the_description_lists_the_same_codes(client: FlaskClient) -> None:
    schemas = client.get("/openapi.json").json["components"]["schemas"]
    code = schemas["ProblemCode"]
    assert code["enum"] == [it.code for it in all_codes()]
    assert all(
        f"`{it.code}` ({it.status or 'only of commands and jobs'}): {it.meaning}"
        in code["description"]
        for it in all_codes()
    )
    assert schemas["FaultCode"]["enum"] == list(FAULTS)


# --- how large an error may be -------------------------------------------------------------------


def unknown_members(count: int) -> dict[str, Any]:
    return {f"unknown{number}": number for number in range(count)}


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("post", "/v1/similar", {"sku": "1"} | unknown_members(5000)),
        ("put", "/v1/products/1", unknown_members(5000)),
        ("post", "/v1/similar", {"sku": "1", "filter": unknown_members(90)}),
    ],
)
def test_a_long_list_of_faults_is_cut_and_names_what_is_allowed_once(
    client: FlaskClient, method: str, url: str, body: dict[str, Any]
) -> None:
    refused = getattr(client, method)(url, json=body)
    assert refused.status_code == 422
    shown = refused.json["errors"]
    assert len(shown) == MOST_FAULTS
    assert [number for number, it in enumerate(shown) if "allowed: " in it["detail"]] == [0]
    total = len(body.get("filter", ())) or len(body) - ("sku" in body)
    assert refused.json["errors_left_out"] == total - MOST_FAULTS
    assert len(refused.data) < 12_000


def test_what_a_client_has_sent_is_not_repeated_at_length(client: FlaskClient) -> None:
    for body in ({"sku": "1", "x" * 50_000: 1}, {"sku": "1", "filter": {"x" * 50_000: 1}}):
        refused = client.post("/v1/similar", json=body)
        assert refused.status_code == 422
        assert len(refused.data) < 6_000
    refused = client.get("/v1/products", query_string={"x" * 5_000: "1"})
    assert len(refused.data) < 6_000


def test_a_domain_error_with_many_faults_is_cut_too() -> None:
    faults = [{"field": f"f{n}", "reason": "no", "allowed": ["a", "b"]} for n in range(1000)]
    document = to_request_error(InvalidProduct("no " * 10_000, errors=faults)).document()
    assert len(document["errors"]) == MOST_FAULTS
    assert document["errors_left_out"] == 1000 - MOST_FAULTS
    assert len(document["detail"]) == 4000


def test_a_batch_names_what_is_allowed_once(client: FlaskClient) -> None:
    body = {"items": [{"sku": f"s{n}", **unknown_members(100)} for n in range(5)]}
    answered = client.post("/v1/products:batch", json=body)
    assert {item["status"] for item in answered.json["items"]} == {422}
    assert answered.text.count("allowed: ") == 1
    assert {len(item["problem"]["errors"]) for item in answered.json["items"]} == {MOST_FAULTS}


@pytest.mark.parametrize(
    ("count", "status"), [(1000, 200), (1001, 422)], ids=["at the limit", "one more"]
)
def test_skus_that_are_left_out_are_limited_in_every_form(
    wardrobe: Shop, count: int, status: int
) -> None:
    skus = [f"s{number}" for number in range(count)]
    asked = wardrobe.client.get(
        "/v1/products/0001/similar", query_string={"exclude": ",".join(skus)}
    )
    assert asked.status_code == status
    asked = wardrobe.client.post("/v1/similar", json={"sku": "0001", "exclude": skus})
    assert asked.status_code == status
    if status == 422:
        (fault,) = asked.json["errors"]
        assert fault["pointer"] == "/exclude"
        assert "1000" in fault["detail"]


# --- a row that is rejected ----------------------------------------------------------------------


def test_a_product_that_is_rejected_in_a_race_is_not_answered_as_stored(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer takes the image away between the check of the address and the write."""
    uri = "file:///catalogue/images/1.png"
    shop.put("1", display_name="before")
    shop.execute(update(Product).values(image_uri=uri))

    def save_after_another(session: Session, *drafts: Any, **options: Any) -> Any:
        session.execute(update(Product).values(image_uri=None))
        return save(session, *drafts, **options)

    monkeypatch.setattr("backend.api.products.products.save", save_after_another)
    refused = shop.client.put("/v1/products/1", json={"display_name": "after", "image_uri": uri})
    assert (refused.status_code, refused.json["code"]) == (422, "invalid-product")
    assert refused.json["errors"][0]["pointer"] == "/image_uri"
    assert shop.client.get("/v1/products/1").json["display_name"] == "before"


def test_a_fault_names_nothing_that_only_a_library_knows(client: FlaskClient) -> None:
    answered = client.post("/v1/recommendations", json={"positive": [".."]})

    assert answered.status_code == 422
    assert "function-" not in answered.text
    assert [fault["pointer"] for fault in answered.json["errors"]] == ["/positive"] * 2


def test_a_number_of_very_many_digits_is_refused_in_words_of_our_own(client: FlaskClient) -> None:
    body = b'{"positive": ["a"], "limit": ' + b"9" * 5_000 + b"}"
    answered = client.post("/v1/recommendations", data=body, content_type="application/json")

    assert answered.status_code == 400
    assert answered.json["detail"] == "the body is not JSON: a number has more than 1000 digits"
