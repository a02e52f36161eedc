"""Filters: what is refused with which words, and that the engine selects what is meant."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import qdrant_edge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.exact_index import ExactIndex

from backend.database.models import Product
from backend.errors import FilterTooCostly, InvalidFilter
from backend.filters import Condition, FieldType, Scalar, Where
from backend.filters.check import check
from backend.filters.matching import matcher
from backend.filters.spellings import Spellings
from backend.indexing.payload import payload
from backend.vectors import Point
from backend.vectors.edge.cost import check_cost
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.edge.queries import EDGE_FILTERS
from backend.vectors.translate import FEW, matches, path, translate

SIZE = 4
SCHEMA: dict[str, FieldType] = {
    "gender": "keyword",
    "year": "integer",
    "price": "float",
    "in_stock": "bool",
    "attributes.size": "keyword",
}


# --- refusals -------------------------------------------------------------------------------


def test_an_unknown_field_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(InvalidFilter) as refused:
        check({"gender": Condition(any_of=("Men",)), "color": Condition(gte=1)}, SCHEMA)
    assert refused.value.context == {
        "field": "color",
        "allowed": [
            "attributes.size",
            "gender",
            "in_stock",
            "price",
            "year",
            "attributes.<name>",
        ],
    }
    assert "'color'" in refused.value.message
    assert "in_stock" in refused.value.message


@pytest.mark.parametrize(
    ("field", "condition", "expected"),
    [
        ("gender", Condition(any_of=("Men", True)), "a string"),
        ("gender", Condition(lt=3), "a string, and no range"),
        ("in_stock", Condition(lt=3), "true or false, and no range"),
        ("in_stock", Condition(any_of=("true",)), "true or false"),
        ("year", Condition(any_of=(2012.0,)), "an integer of 64 bits"),
        ("year", Condition(any_of=(2**63,)), "an integer of 64 bits"),
        ("year", Condition(gte=float("nan")), "a finite number"),
        ("year", Condition(lt=1e300), "a bound between -2**53 and 2**53"),
        ("price", Condition(none_of=(float("inf"),)), "a finite number"),
        ("price", Condition(gt=False), "a finite number"),
        ("attributes.x", Condition(any_of=(float("nan"),)), "a string, a finite number, true or"),
        ("attributes.x", Condition(any_of=("\udc80",)), "text without halves of surrogate pairs"),
        ("attributes.x", Condition(any_of=(2**63,)), "a string, a finite number, true or"),
        ("price", Condition(), "a value, a negated value or a bound"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_the_field_takes(
    field: str, condition: Condition, expected: str
) -> None:
    with pytest.raises(InvalidFilter) as refused:
        check({field: condition}, SCHEMA)
    assert refused.value.context["field"] == field
    assert refused.value.context["expected"].startswith(expected)
    assert refused.value.message.startswith(f"{field} takes {expected}")


@pytest.mark.parametrize("field", ['attributes.a"b', "attributes.a\\b", "attributes.\ud800"])
def test_an_attribute_that_no_json_path_can_spell_is_refused(field: str) -> None:
    with pytest.raises(InvalidFilter) as refused:
        check({field: Condition(any_of=("x",))}, SCHEMA)
    assert refused.value.context == {"field": field}


@pytest.mark.parametrize("field", ["attributes", "attributes.", "Attributes.x", ""])
def test_an_attribute_without_its_name_is_an_unknown_field(field: str) -> None:
    with pytest.raises(InvalidFilter, match="unknown field"):
        check({field: Condition(any_of=("x",))}, SCHEMA)


# --- translation ----------------------------------------------------------------------------


def test_no_filter_is_made_where_everything_passes() -> None:
    assert translate(None, SCHEMA, EDGE_FILTERS) is None
    assert translate({}, SCHEMA, EDGE_FILTERS, exclude=[]) is None


def test_an_attribute_name_is_one_quoted_key() -> None:
    assert path("gender") == "gender"
    assert path("attributes.a.b c") == 'attributes."a.b c"'


@pytest.mark.parametrize(
    ("value", "spellings"),
    [
        ("red", Spellings(texts=("red",))),
        ("42", Spellings(texts=("42",), numbers=(42,))),
        (42, Spellings(texts=("42",), numbers=(42,))),
        (42.0, Spellings(texts=("42",), numbers=(42,))),
        ("-1.50", Spellings(texts=("-1.50",), numbers=(-1.5,))),
        ("1e400", Spellings(texts=("1e400",))),
        ("007", Spellings(texts=("007",))),
        ("1٢", Spellings(texts=("1٢",))),
        (2**60, Spellings(texts=(str(2**60),), integers=(2**60,))),
        (str(2**64), Spellings(texts=(str(2**64),))),
        (str(-(2**63)), Spellings(texts=(str(-(2**63)),), integers=(-(2**63),))),
        pytest.param("9" * 5000, Spellings(texts=("9" * 5000,)), id="5,000 digits"),
        ("true", Spellings(texts=("true",), booleans=(True,))),
        (False, Spellings(texts=("false",), booleans=(False,))),
        ("True", Spellings(texts=("True",))),
    ],
)
def test_an_attribute_value_is_spelled_as_text_and_as_what_the_text_means(
    value: Scalar, spellings: Spellings
) -> None:
    assert Spellings.of([value]) == spellings


def test_the_embedded_engine_still_takes_a_python_true_for_a_one() -> None:
    """The trap that `EDGE_FILTERS.boolean` is for; when this fails, the detour can go."""
    assert qdrant_edge.MatchValue(value=True).value is not True
    assert qdrant_edge.MatchValue(value=EDGE_FILTERS.boolean(True)).value is True


def test_filters_are_checked_without_loading_an_engine() -> None:
    code = "import sys, backend.vectors.points; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"qdrant_edge", "qdrant_client"} & {*shown.stdout.split()}


# --- random catalogues and filters ----------------------------------------------------------

words = st.sampled_from(["Men", "Women", "Boys, Girls", "", " ", "Ünï", "true", "42"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=3
)
integers = st.integers(-2, 2) | st.sampled_from([42, 2012, 2**53, 2**53 + 1, -(2**63), 2**63 - 1])
numbers = st.integers(-2, 2) | st.sampled_from([0.5, -0.5, 42.0, 1e300, 1e-300, -0.0, 42])
scalars = words | integers | numbers | st.booleans()
values = {"keyword": words, "integer": integers, "float": numbers, "bool": st.booleans()}
fields: dict[str, st.SearchStrategy[Any]] = {
    "gender": words,
    "year": integers,
    "price": numbers,
    "in_stock": st.booleans(),
    "attributes.size": scalars,
    "attributes.a.b": scalars,
}


@st.composite
def payloads(draw: st.DrawFn) -> dict[str, Any]:
    """A product's payload: any field may be missing or null, an attribute may be a list."""
    attribute = scalars | st.none() | st.lists(scalars, max_size=3)
    made = draw(
        st.fixed_dictionaries(
            {}, optional={name: it | st.none() for name, it in fields.items() if "." not in name}
        )
    )
    open_ones = st.fixed_dictionaries({}, optional={"size": attribute, "a.b": attribute})
    return made | draw(st.fixed_dictionaries({}, optional={"attributes": open_ones}))


@st.composite
def conditions(draw: st.DrawFn, field: str) -> Condition:
    """A condition that the field takes, with at least one part."""
    some = st.lists(fields[field], min_size=1, max_size=3).map(tuple)
    large = [2.0**53] if field == "year" else [1e300, -(2.0**63)]
    bound = st.integers(-3, 3) | st.sampled_from([0.25, 42.0, *large])
    ranged = field not in ("gender", "in_stock")
    parts = {"any_of": some, "none_of": some}
    parts |= dict.fromkeys(["gte", "gt", "lte", "lt"], bound) if ranged else {}
    names = draw(st.sets(st.sampled_from(sorted(parts)), min_size=1, max_size=3))
    return Condition(**{name: draw(parts[name]) for name in sorted(names)})


@st.composite
def filters(draw: st.DrawFn) -> Where:
    """Conditions on up to three fields."""
    chosen = draw(st.sets(st.sampled_from(sorted(fields)), max_size=3))
    return {field: draw(conditions(field)) for field in sorted(chosen)}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeIndex]:
    """One shard, emptied by each example."""
    index = EdgeIndex(tmp_path_factory.mktemp("index") / "shard", size=SIZE, schema=SCHEMA)
    yield index
    index.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    catalogue=st.lists(payloads(), max_size=12),
    asked=st.lists(filters(), min_size=4, max_size=4),
    seed=st.integers(0, 2**32 - 1),
    limit=st.integers(1, 12),
)
def test_the_engine_finds_what_a_full_scan_in_python_finds(
    edge: EdgeIndex, catalogue: list[dict[str, Any]], asked: list[Where], seed: int, limit: int
) -> None:
    draw = np.random.default_rng(seed).normal(size=(len(catalogue) + 1, SIZE)).astype(np.float32)
    points = [
        Point(id=number, vector=draw[number], payload=payload, claim=1)
        for number, payload in enumerate(catalogue)
    ]
    oracle = ExactIndex(size=SIZE, schema=SCHEMA)
    oracle.upsert(points)
    edge.delete(dict(edge.claims()))
    edge.upsert(points)
    for where in asked:
        found = edge.nearest(draw[-1], limit=12, where=where)
        expected = oracle.nearest(draw[-1], limit=12, where=where)
        assert {hit.id for hit in found} == {hit.id for hit in expected}
        scores = [hit.score for hit in expected[:limit]]
        best = [hit.score for hit in edge.nearest(draw[-1], limit=limit, where=where)]
        np.testing.assert_allclose(best, scores, atol=2e-6)  # ids may swap where scores tie
        assert edge.count(where) == len(expected)
        for field in ("gender", "year", "in_stock"):
            counted = edge.facet(field, where=where)
            assert counted == oracle.facet(field, where=where)


# --- many values ------------------------------------------------------------------------------

listed_scalars = st.lists(scalars, min_size=1, max_size=4)


def test_many_numbers_are_one_condition_for_each_type() -> None:
    """A condition for each number held the engine's lock for seconds."""
    for count in (FEW + 1, 1000):
        asked = [number + 0.5 for number in range(count)] + [1, 2]
        assert len(list(matches("attributes.size", "attribute", asked, EDGE_FILTERS))) == 3


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    stored=st.lists(
        st.fixed_dictionaries({}, optional={"a.b": scalars | listed_scalars}), max_size=8
    ),
    few=listed_scalars,
    negated=st.booleans(),
)
def test_many_values_find_what_a_full_scan_in_python_finds(
    edge: EdgeIndex, stored: list[dict[str, Any]], few: list[Any], negated: bool
) -> None:
    fillers = [1000 + number / 2 for number in range(2 * FEW)]
    values = tuple(few + fillers)
    where = {"attributes.a.b": Condition(**{"none_of" if negated else "any_of": values})}
    payloads = [payload(Product(sku="x", attributes=it)) for it in stored]
    points = [
        Point(id=number, vector=np.ones(SIZE, np.float32), payload=it, claim=1)
        for number, it in enumerate(payloads)
    ]
    edge.delete(dict(edge.claims()))
    edge.upsert(points)
    oracle = ExactIndex(size=SIZE, schema=SCHEMA)
    oracle.upsert(points)
    expected = {hit.id for hit in oracle.nearest(np.ones(SIZE, np.float32), limit=12, where=where)}
    found = edge.nearest(np.ones(SIZE, np.float32), limit=12, where=where)
    assert {hit.id for hit in found} == expected


@settings(max_examples=200, deadline=None)
@given(fields=payloads(), where=filters())
def test_one_product_is_compared_as_the_engine_compares_its_point(
    fields: dict[str, Any], where: Where
) -> None:
    oracle = ExactIndex(size=SIZE, schema=SCHEMA)
    oracle.upsert([Point(id=1, vector=np.ones(SIZE, np.float32), payload=fields, claim=1)])
    assert matcher(where, SCHEMA)(fields.get) == (oracle.count(where) == 1)


# --- what a filter may cost -------------------------------------------------------------------


def clauses_on_attributes(count: int) -> Where:
    return {f"attributes.a{number}": Condition(any_of=("x",)) for number in range(count)}


def test_a_filter_is_refused_before_it_keeps_the_engine_busy() -> None:
    check_cost(clauses_on_attributes(50), SCHEMA, lambda where: 10_000)
    with pytest.raises(FilterTooCostly, match="51 conditions"):
        check_cost(clauses_on_attributes(51), SCHEMA, lambda where: 10_000)


def test_indexed_fields_bound_what_the_others_cost() -> None:
    asked = []

    def estimate(where: Where) -> int:
        asked.append(where)
        return 100

    narrow: Where = {"gender": Condition(any_of=("Men",))}
    check_cost(clauses_on_attributes(100) | narrow, SCHEMA, estimate)
    assert asked == [narrow]


def test_one_clause_is_never_refused_and_nothing_is_estimated_for_it() -> None:
    def estimate(where: Where) -> int:
        raise AssertionError(where)

    check_cost({"attributes.a": Condition(any_of=("42", "true"), gte=1)}, SCHEMA, estimate)
    check_cost({"gender": Condition(any_of=("a", "b"))}, SCHEMA, estimate)
    check_cost(None, SCHEMA, estimate)


def test_an_index_refuses_what_would_hold_its_lock(edge: EdgeIndex) -> None:
    edge.upsert(
        [Point(id=n, vector=np.ones(SIZE, np.float32), payload={}, claim=1) for n in range(1000)]
    )
    numbers = tuple(number + 0.5 for number in range(FEW))
    costly = {f"attributes.a{n}": Condition(any_of=numbers) for n in range(80)}
    for ask in (edge.count, edge.search_mode, lambda where: edge.facet("gender", where=where)):
        with pytest.raises(FilterTooCostly):
            ask(costly)
    edge.delete(dict(edge.claims()))
