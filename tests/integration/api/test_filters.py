r"""The filter grammar: in query strings and bodies, for similar items and for the list alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.shop import FakeEmbedder, Shop

from backend.api.schemas.filters import parameter_names, split_words, target_of
from backend.indexing import schema
from backend.indexing.payload import COLUMNS
from backend.settings import Settings

SCHEMA = schema(("fit", "shape_not"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Red", ["Red"]),
        ("Red,Blue", ["Red", "Blue"]),
        (r"Dark\, red,Blue", ["Dark, red", "Blue"]),
        (r"a\\,b", ["a\\", "b"]),
        (r"a\b", [r"a\b"]),
        ("", [""]),
        (",a,", ["", "a", ""]),
        ("a\nb,c", ["a\nb", "c"]),
    ],
)
def test_commas_separate_unless_a_backslash_precedes(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@given(st.lists(st.text(), min_size=1))
def test_every_list_of_words_can_be_written(words: list[str]) -> None:
    escaped = [word.replace("\\", r"\\").replace(",", r"\,") for word in words]
    assert split_words(",".join(escaped)) == words


def test_a_suffix_is_part_of_a_name_only_where_a_facet_is_declared_so() -> None:
    assert target_of("base_colour_not", SCHEMA) == ("base_colour", "none_of")
    assert target_of("attributes.weight_gte", SCHEMA) == ("attributes.weight", "gte")
    assert target_of("attributes.shape_not", SCHEMA) == ("attributes.shape_not", "any_of")
    assert target_of("attributes.shape_not_not", SCHEMA) == ("attributes.shape_not", "none_of")
    assert target_of("colour", SCHEMA) is target_of("attributes.", SCHEMA) is None
    assert target_of("limit", SCHEMA) is target_of("_not", SCHEMA) is None


def test_every_name_that_is_offered_is_understood() -> None:
    assert all(target_of(name, SCHEMA) for name in parameter_names(SCHEMA))


QUERIES = [
    ("gender=Women", ["0001", "0002", "0005"]),
    ("gender=Women,Men", ["0001", "0002", "0003", "0004", "0005"]),
    ("base_colour=Red&base_colour=Blue", ["0001", "0002", "0004"]),
    (r"base_colour=Dark\, red", ["0003"]),
    ("base_colour_not=Red,Blue", ["0003", "0005"]),
    ("gender=Women&base_colour_not=Red", ["0005"]),
    ("year=2011,2013", ["0001", "0003"]),
    ("year_gte=2012&year_lt=2014", ["0002", "0003"]),
    ("year_gt=2012&year_lte=2014", ["0003", "0004"]),
    ("year_not=2011", ["0002", "0003", "0004", "0005"]),
    ("price=10", ["0001"]),
    ("price_gte=20&price_lte=30.0", ["0002", "0003"]),
    ("price_gt=20&price_lt=1e9", ["0003", "0005"]),
    ("in_stock=false", ["0003"]),
    ("in_stock=true", ["0001", "0002", "0004", "0005"]),
    ("in_stock_not=true", ["0003"]),
    ("attributes.fit=slim", ["0001", "0003"]),
    ("attributes.fit_not=slim", ["0002", "0004", "0005"]),
    ("attributes.size=42", ["0003", "0004"]),
    ("attributes.size_gte=40", ["0003"]),
    ("attributes.nothing=x", []),
    ("gender=women", []),
    ('filter={"gender":["Women"],"base_colour":{"not":["Red"]}}', ["0005"]),
    ('filter={"year":{"gte":2012,"lt":2014}}', ["0002", "0003"]),
    ('filter={"gender":"Men"}&year_gte=2014', ["0004"]),
    ('filter={"year":2011}', ["0001"]),
    ('filter={"attributes.fit":["slim","loose"],"in_stock":true}', ["0001", "0002"]),
    ('filter={"base_colour":{"not":"Red"},"year":{"gt":2012.5}}', ["0003", "0004"]),
    ("filter={}", ["0001", "0002", "0003", "0004", "0005"]),
]


@pytest.mark.parametrize(("query", "skus"), QUERIES)
def test_a_filter_selects_the_same_in_the_list_and_among_similar_items(
    wardrobe: Shop, query: str, skus: list[str]
) -> None:
    assert wardrobe.skus(f"/v1/products?{query}") == skus
    if "0001" not in skus:
        assert sorted(wardrobe.skus(f"/v1/products/0001/similar?{query}")) == skus
    by_image = wardrobe.client.post(
        f"/v1/similar?{query}", data=image_of("0001", wardrobe), content_type="image/png"
    )
    assert sorted(item["sku"] for item in by_image.json["items"]) == skus


def image_of(sku: str, shop: Shop) -> bytes:
    return shop.client.get(f"/v1/products/{sku}/image").data


WRONG = [
    ("color=Red", "color", "base_colour"),
    ("colour=Red", "colour", "finite number"),
    ("attributes=x", "attributes", "attributes.<name>"),
    ("year=abc", "year", "integer"),
    ("year=2012.5", "year", "integer"),
    ("year=1_0", "year", "integer"),
    ("year=99999999999999999999999999", "year", "integer"),
    ("year_gte=soon", "year_gte", "finite number"),
    ("year_gte=2011,2012", "year_gte", "one number"),
    ("year_gte=2011&year_gte=2012", "year_gte", "one number"),
    ("price_lt=nan", "price_lt", "finite number"),
    ("price_lt=1e999", "price_lt", "finite number"),
    ("in_stock=yes", "in_stock", "true or false"),
    ("in_stock=1", "in_stock", "true or false"),
    ("in_stock_gte=1", "in_stock_gte", "true or false"),
    ("gender_gte=5", "gender_gte", "string"),
    ("gender=", "gender", "value"),
    ("gender=Women,", "gender", "value"),
    ("gender=a%00b", "gender", "NUL"),
    ('attributes.a"b=x', 'attributes.a"b', "cannot be filtered by"),
    ("min_score=2", "min_score", "between -1 and 1"),
    ("min_score=high", "min_score", "finite number"),
    ("exclude=a%09b", "exclude", "sku"),
    ("exclude=", "exclude", "words"),
    ("limit=5&limit=6", "limit", "once"),
    ("fields=colour", "fields", "base_colour"),
    ("filter={", "filter", "JSON"),
    ("filter=[]", "filter", "object"),
    ('filter={"x":NaN}', "filter", "NaN"),
]


@pytest.mark.parametrize(("query", "parameter", "allowed"), WRONG)
def test_a_wrong_parameter_is_422_and_told_what_is_right(
    wardrobe: Shop, query: str, parameter: str, allowed: str
) -> None:
    refused = wardrobe.client.get(f"/v1/products/0001/similar?{query}")
    assert refused.status_code == 422
    (fault,) = (it for it in refused.json["errors"] if it.get("parameter") == parameter)
    assert allowed in fault["detail"]


WRONG_BODIES: list[tuple[Any, str, str]] = [
    ({"colour": ["Red"]}, "/filter/colour", "base_colour"),
    ({"year": ["2012"]}, "/filter/year", "integer"),
    ({"year": [True]}, "/filter/year", "integer"),
    ({"year": [2012.5]}, "/filter/year", "integer"),
    ({"year": {"gte": "2012"}}, "/filter/year", "finite number"),
    ({"year": {"from": 2012}}, "/filter/year", "gte"),
    ({"year": {}}, "/filter/year", "gte"),
    ({"year": {"gte": None}}, "/filter/year", "value"),
    ({"gender": []}, "/filter/gender", "value"),
    ({"gender": [None]}, "/filter/gender", "string"),
    ({"gender": [["Men"]]}, "/filter/gender", "string"),
    ({"gender": {"gte": 1}}, "/filter/gender", "no range"),
    ({"in_stock": ["true"]}, "/filter/in_stock", "true or false"),
    ({"gender": ["Men"] * 1001}, "/filter/gender", "1000"),
    (["gender"], "/filter", "object"),
]


@pytest.mark.parametrize(("wanted", "pointer", "allowed"), WRONG_BODIES)
def test_a_wrong_filter_in_a_body_has_a_pointer(
    wardrobe: Shop, wanted: Any, pointer: str, allowed: str
) -> None:
    refused = wardrobe.client.post("/v1/similar", json={"sku": "0001", "filter": wanted})
    assert refused.status_code == 422
    (fault,) = refused.json["errors"]
    assert fault["pointer"] == pointer
    assert allowed in fault["detail"]


def test_the_same_condition_twice_is_refused(wardrobe: Shop) -> None:
    query = {"gender": "Men", "filter": json.dumps({"gender": ["Women"]})}
    refused = wardrobe.client.get("/v1/products", query_string=query)
    assert refused.json["errors"][0] == {
        "parameter": "gender",
        "code": "invalid-filter",
        "detail": "the same condition is given twice",
    }


def test_everything_wrong_is_told_at_once(wardrobe: Shop) -> None:
    refused = wardrobe.client.get("/v1/products?limit=0&year=x&colour=Red&state=lost")
    found = {fault["parameter"] for fault in refused.json["errors"]}
    assert found == {"limit", "year", "colour", "state"}


def test_brand_and_group_filter_an_index_that_was_made_without_them(
    api_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old points lack the fields, as their products do; a new value needs no forward pass."""
    with monkeypatch.context() as earlier:
        for name in ("brand", "group_id", "link"):
            earlier.delitem(COLUMNS, name)
        shop = Shop(api_settings.model_copy(update={"data_dir": tmp_path}))
        for sku in ("a", "b", "c"):
            shop.put(sku, "#d02020")
        shop.work()
        shop.close()
    with Shop(shop.settings, fake_embedder=FakeEmbedder()) as later:
        assert later.skus("/v1/products/c/similar", brand="Ace") == []
        assert sorted(later.skus("/v1/products/c/similar", brand_not="Ace")) == ["a", "b"]
        page = "https://shop.example/a,1"
        changes = {"brand": "Ace", "group_id": "g1", "link": page}
        later.client.patch("/v1/products/a", json=changes)
        later.client.patch("/v1/products/b", json={"brand": "Bolt", "group_id": "g1"})
        later.work()
        assert later.embedder.batches == []
        for url in ("/v1/products/c/similar", "/v1/products"):
            assert later.skus(url, brand="Ace") == ["a"]
            assert later.skus(url, link=page.replace(",", "\\,")) == ["a"]
            assert sorted(later.skus(url, group_id="g1", brand_not="Bolt,x")) == ["a"]
        every = later.client.get("/v1/facets").json["items"]
        assert "group_id" not in [it["field"] for it in every], "only where it is asked for"
        facets = later.client.get("/v1/facets", query_string={"fields": "brand,group_id"}).json
        assert [(it["field"], len(it["values"])) for it in facets["items"]] == [
            ("brand", 2),
            ("group_id", 1),
        ]
        assert later.run("verify")["drift"] == 0
