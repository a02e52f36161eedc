"""The examples of docs/filtering.md are run; facets count as it says; unknown attributes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session
from support.image_files import colour_image
from support.places import ROOT
from support.rows import make_products
from support.shop import NAMES, PRODUCTS, Shop

from backend.catalogue.attribute_names import KEPT_SECONDS, AttributeNames
from backend.database.engine import Database
from backend.database.models import Product

PAGE = (Path(ROOT) / "docs" / "filtering.md").read_text()
EXAMPLES = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| ([0-9 ]+) \|$", PAGE, re.MULTILINE)
FACETS = re.findall(r"^\| `([^`]+)` \| (\w+ \d.*?) \| (\w+ \d.*?) \|$", PAGE, re.MULTILINE)


def test_the_page_shows_the_products_that_the_examples_run_on() -> None:
    rows = re.findall(r"^\| (\d{4}) \| (.+) \|$", PAGE, re.MULTILINE)
    assert len(rows) == len(PRODUCTS)
    for (sku, row), (named, _, *values) in zip(rows, PRODUCTS, strict=True):
        fields: dict[str, Any] = dict(zip(NAMES, values, strict=True))
        attributes = ", ".join(
            f"{name}: {value if name == 'fit' else json.dumps(value)}"
            for name, value in fields.pop("attributes").items()
        )
        fields["in_stock"] = "yes" if fields["in_stock"] else "no"
        shown = [
            "none" if it is None else f"{it:g}" if isinstance(it, float) else it
            for it in fields.values()
        ]
        assert (sku, row) == (named, " | ".join(map(str, [*shown, attributes or "none"])))


@pytest.mark.parametrize(("query", "as_json", "skus"), EXAMPLES, ids=[it[0] for it in EXAMPLES])
def test_an_example_finds_what_the_page_says(
    wardrobe: Shop, query: str, as_json: str, skus: str
) -> None:
    for sent in (query, f"filter={as_json}"):
        assert wardrobe.skus(f"/v1/products?{sent}") == skus.split(), sent
    body = {"sku": "0001", "filter": json.loads(as_json)}
    found = wardrobe.client.post("/v1/similar", json=body).json["items"]
    assert {it["sku"] for it in found} == set(skus.split()) - {"0001"}


@pytest.mark.parametrize(("query", "gender", "colour"), FACETS, ids=[it[0] for it in FACETS])
def test_facets_are_counted_as_the_page_says(
    wardrobe: Shop, query: str, gender: str, colour: str
) -> None:
    facets = wardrobe.client.get(f"/v1/facets?fields=gender,base_colour&{query}").json["items"]
    found = [
        ", ".join(f"{it['value']} {it['count']}" for it in facet["values"]) for facet in facets
    ]
    assert found == [gender, colour]


def test_the_page_has_examples_of_both_kinds() -> None:
    assert len(EXAMPLES) >= 14
    assert len(FACETS) == 3


# --- attributes that no product has --------------------------------------------------------------


ASK: dict[str, Callable[[Shop, str], Any]] = {
    "list": lambda shop, query: shop.client.get(f"/v1/products?{query}"),
    "similar": lambda shop, query: shop.client.get(f"/v1/products/0001/similar?{query}"),
    "facets": lambda shop, query: shop.client.get(f"/v1/facets?{query}"),
    "image": lambda shop, query: shop.client.post(
        f"/v1/similar?{query}", data=colour_image("red"), content_type="image/png"
    ),
    "json": lambda shop, query: shop.client.post(f"/v1/similar?{query}", json={"sku": "0001"}),
}


@pytest.mark.parametrize("way", ASK)
def test_an_unknown_attribute_is_named_with_the_nearest_where_it_is_asked_for(
    wardrobe: Shop, way: str
) -> None:
    ask = ASK[way]
    query = "attributes.Fitt=slim&attributes.size_gte=3"
    assert ask(wardrobe, query).status_code == 200
    refused = ask(wardrobe, f"{query}&check_attributes=true")
    assert refused.status_code == 422
    (fault,) = refused.json["errors"]
    assert (fault["code"], fault["parameter"]) == ("unknown-attribute", "attributes.Fitt")
    assert "did you mean attributes.fit?" in fault["detail"]
    assert ask(wardrobe, "attributes.fit=slim&check_attributes=true").status_code == 200


LISTS = {
    "similar": ("GET", "/v1/products/0001/similar", {}),
    "body": ("POST", "/v1/similar", {"sku": "0001"}),
    "batch": ("POST", "/v1/similar:batch", {"skus": ["0001", "0002"]}),
    "recommendations": ("POST", "/v1/recommendations", {"positive": [{"sku": "0001"}]}),
}


def ask_list(shop: Shop, name: str, attribute: str) -> Any:
    method, path, body = LISTS[name]
    if method == "GET":
        return shop.client.get(f"{path}?attributes.{attribute}=slim")
    return shop.client.post(path, json={**body, "filter": {f"attributes.{attribute}": "slim"}})


@pytest.mark.parametrize("name", LISTS)
def test_a_short_list_names_an_attribute_that_no_product_has(wardrobe: Shop, name: str) -> None:
    answer = ask_list(wardrobe, name, "Fitt").json
    [unknown] = answer["meta"]["unknown_attributes"]
    assert unknown == {"attribute": "attributes.Fitt", "nearest": ["attributes.fit"]}
    assert "unknown_attributes" not in ask_list(wardrobe, name, "fit").json["meta"]


@pytest.mark.parametrize("path", ["facets", "products", "products/0001/similar"])
def test_an_attribute_that_is_misspelt_in_a_negation_is_named_by_a_full_list_too(
    wardrobe: Shop, path: str
) -> None:
    answer = wardrobe.client.get(f"/v1/{path}?limit=1&attributes.Fitt_not=slim").json
    [unknown] = answer["meta"]["unknown_attributes"]
    assert unknown == {"attribute": "attributes.Fitt", "nearest": ["attributes.fit"]}
    known = wardrobe.client.get(f"/v1/{path}?limit=1&attributes.fit_not=slim").json
    assert "unknown_attributes" not in known.get("meta", {})


@pytest.mark.parametrize("name", LISTS)
def test_a_server_can_be_set_to_refuse_such_filters(wardrobe: Shop, name: str) -> None:
    settings = wardrobe.services.settings
    with pytest.MonkeyPatch.context() as patch:
        changed = settings.model_copy(update={"check_attributes": True})
        patch.setattr(wardrobe.services, "settings", changed)
        refused = [ask_list(wardrobe, name, "fut") for _ in range(2)]
        assert [it.status_code for it in refused] == [422, 422]
        assert {it.json["errors"][0]["code"] for it in refused} == {"unknown-attribute"}
        assert ask_list(wardrobe, name, "fit").status_code == 200
        allowed = wardrobe.client.get(
            "/v1/products/0001/similar?attributes.fut=slim&check_attributes=false"
        )
        assert allowed.status_code == 200


def test_the_filter_of_a_body_is_checked_too(wardrobe: Shop) -> None:
    body = {"sku": "0001", "filter": {"attributes.xyz": 1}}
    refused = wardrobe.client.post("/v1/similar?check_attributes=true", json=body)
    assert refused.status_code == 422
    (fault,) = refused.json["errors"]
    assert fault["detail"] == "no product has this attribute"


def test_names_are_read_again_where_one_is_missing_and_not_before(any_db: Database) -> None:
    now = 0.0
    names = AttributeNames(any_db, clock=lambda: now)

    def set_attributes(session: Session, **attributes: Any) -> None:
        (product,) = session.query(Product).all()
        product.attributes = attributes

    make_products(any_db, 1)
    any_db.write(lambda session: set_attributes(session, fit="slim"))
    assert (names.has("fit"), names.has("size")) == (True, False)
    any_db.write(lambda session: set_attributes(session, size=3))
    assert not names.has("size"), "they were just read"
    now = KEPT_SECONDS
    assert names.has("size")
    assert names.nearest("Sise") == ["size"]
