"""What every VectorIndex promises, tried on each adapter and on the oracle itself."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from qdrant_client import QdrantClient
from support.exact_index import ExactIndex
from support.qdrant_strict import CLOUD
from support.qdrant_wire import LOCAL_MODE_WARNINGS, Wire
from support.smuggling import smuggle

from backend.calls import Answering, Caller, make_pair
from backend.errors import IndexUnavailable, InvalidFilter, InvalidProduct, InvalidVector
from backend.filters import Condition, FieldType, Where
from backend.indexing.reconciliation import points_of
from backend.search.nearest_products import nearest_products
from backend.vectors import SLOT, Hit, Point, Vector, VectorIndex
from backend.vectors.edge import remote_index
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.edge.remote_index import RemoteIndex
from backend.vectors.edge.shard import ShardOptions
from backend.vectors.image_points import point_id, product_of
from backend.vectors.server import addresses, channel
from backend.vectors.server.collection import ServerOptions
from backend.vectors.server.index import ServerIndex
from backend.vectors.server.nodes import Nodes

Make = Callable[[], VectorIndex]
Fill = Callable[[Sequence[Point]], VectorIndex]

pytestmark = LOCAL_MODE_WARNINGS

SIZE = 8
SCHEMA: dict[str, FieldType] = {
    "gender": "keyword",
    "year": "integer",
    "price": "float",
    "in_stock": "bool",
    "attributes.fabric": "keyword",
}


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    """Local mode behind gRPC."""
    made = Wire()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def strict_wire() -> Iterator[Wire]:
    """The same, in strict mode: it refuses filters on fields without an index."""
    made = Wire(CLOUD)
    yield made
    made.stop()


KINDS = ["edge", "tokens", "asked", "local", "wire", "strict", "exact"] + ["server"] * (
    "QDRANT_URL" in os.environ
)


@pytest.fixture(params=KINDS, scope="module")
def make(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Make]:
    """What makes an empty index of one kind; a collection on a real server is dropped again.

    `local` is the server's adapter on qdrant-client's local mode, which lacks payload indexes
    (it filters and counts without), search parameters (it always scans), layout, replicas and
    deadlines, and takes one thread. What it has keeps the contract. `wire` adds gRPC to it, and
    `strict` also strict mode. `asked` is a shard that another process' adapter asks its owner for.
    All but `edge` and `local` hold the tokens of open attributes.
    """
    has_tokens = request.param not in ("edge", "local")
    if request.param in ("edge", "tokens"):
        options = ShardOptions(attribute_tokens=has_tokens)
        yield lambda: EdgeIndex(
            tmp_path_factory.mktemp("edge") / "x", size=SIZE, schema=SCHEMA, options=options
        )
    elif request.param == "asked":
        yield from asking(lambda: tmp_path_factory.mktemp("asked") / "x")
    elif request.param == "exact":
        yield lambda: ExactIndex(size=SIZE, schema=SCHEMA)
    else:
        connects = {"local": lambda: QdrantClient(":memory:"), "server": connect_from_environment}
        name = "strict_wire" if request.param == "strict" else "wire"
        connect = connects.get(request.param) or request.getfixturevalue(name).connect
        names: list[str] = []

        def make_collection() -> VectorIndex:
            names.append(f"contract-{uuid4().hex}")
            return ServerIndex(
                names[-1],
                size=SIZE,
                schema=SCHEMA,
                nodes=Nodes.single(connect),
                options=ServerOptions(attribute_tokens=has_tokens),
            )

        yield make_collection
        with closing(connect()) as client:
            for name in names:
                client.delete_collection(name)


class Asked(RemoteIndex):
    """It lets the tests reach the shard that it asks for."""

    shard: EdgeIndex


def asking(new_path: Callable[[], Path]) -> Iterator[Make]:
    """Yield what makes shards that are asked over a socket."""
    shards: list[EdgeIndex] = []
    ours, theirs = make_pair()

    def answer(_name: str, arguments: tuple[Any, ...], _more: dict[str, Any]) -> Any:
        number, *call = arguments
        return remote_index.answer(shards[number], *call)

    def make_shard() -> VectorIndex:
        options = ShardOptions(attribute_tokens=True)
        shards.append(EdgeIndex(new_path(), size=SIZE, schema=SCHEMA, options=options))
        made = Asked(caller, len(shards) - 1, size=SIZE, schema=SCHEMA)
        made.shard = shards[-1]
        return made

    answering, caller = Answering(theirs, answer), Caller(ours)
    answering.start()
    yield make_shard
    caller.close()
    answering.stop()
    for each in shards:
        each.close()
    ours.close()
    theirs.close()


def shard_of(index: VectorIndex) -> VectorIndex:
    """Return what holds the points of an index."""
    return index.shard if isinstance(index, Asked) else index


def connect_from_environment() -> QdrantClient:
    """Connect to the server that QDRANT_URL names."""
    address = addresses.read(os.environ["QDRANT_URL"], grpc_port=6334)
    return channel.connect(address, api_key=os.environ.get("QDRANT_API_KEY"), seconds=60)


@pytest.fixture
def index(make: Make) -> Iterator[VectorIndex]:
    """An empty index of the test's own."""
    made = make()
    yield made
    made.close()


@pytest.fixture(scope="module")
def filled(make: Make) -> Iterator[Fill]:
    """What makes an index with points, shared by tests that only read it."""
    made: list[VectorIndex] = []

    def fill(points: Sequence[Point]) -> VectorIndex:
        made.append(make())
        made[-1].upsert(points)
        return made[-1]

    yield fill
    for index in made:
        index.close()


def direction(seed: int) -> Vector:
    """A random unit vector; the same for the same seed."""
    vector = np.random.default_rng(seed).normal(size=SIZE)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def a_point(id: int, *, claim: int = 1, vector: Vector | None = None, **payload: Any) -> Point:
    """A point in the direction of its id."""
    vector = direction(id) if vector is None else vector
    return Point(id=id, vector=vector, payload=payload, claim=claim)


def ids(hits: list[Hit]) -> set[int]:
    """The ids of hits whose order does not matter."""
    return {hit.id for hit in hits}


def matching(index: VectorIndex, where: Where) -> set[int]:
    """The ids of all points that pass a filter; the count agrees."""
    found = ids(index.nearest(direction(0), limit=100, where=where))
    assert index.count(where) == len(found)
    return found


@pytest.fixture(scope="module")
def shop(filled: Fill) -> VectorIndex:
    """Nine products, two of which lack fields."""
    return filled(
        [
            a_point(1, gender="Women", year=2010, price=10.0, in_stock=True),
            a_point(2, gender="Women", year=2011, price=20.0, in_stock=False),
            a_point(3, gender="Men", year=2012, price=30.5, in_stock=True),
            a_point(4, gender="Boys, Girls", year=2013, price=40.0, in_stock=False),
            a_point(5, gender="Größe Ü", year=2014, price=50.0, in_stock=True),
            a_point(6, gender='say "hi"', year=-5, price=0.0, in_stock=True),
            a_point(7, gender="NA", year=2**53 + 1, price=-1.0, in_stock=True),
            a_point(8, gender=None, year=None, price=None, in_stock=None),
            a_point(9),
        ]
    )


# --- points ---------------------------------------------------------------------------------


def test_an_empty_index_answers_with_nothing(index: VectorIndex) -> None:
    index.ping()
    assert index.nearest(direction(1), limit=3) == []
    assert index.recommend([direction(1)], limit=3) == []
    assert index.facet("gender") == []
    assert index.count() == 0
    assert list(index.claims()) == []
    assert index.vector(1) is None
    index.upsert([])
    index.delete({})
    index.delete({1: 1})
    index.flush()


def test_a_point_comes_back_as_it_was_given(index: VectorIndex) -> None:
    payload = {
        "gender": "Women",
        "year": 2012,
        "price": 9.5,
        "in_stock": True,
        "sku": "0042",
        "season": None,
        "attributes": {"fabric": "Leinen, weiß 🧵", "sizes": [36, 38], "deep": {"er": 1.5}},
    }
    index.upsert([a_point(2**62, **payload)])
    [hit] = index.nearest(direction(2**62), limit=3)
    assert (hit.id, hit.payload) == (2**62, payload)
    assert hit.score == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(index.vector(2**62), direction(2**62), atol=1e-7)


def test_a_vector_is_stored_at_length_one_whatever_its_length(index: VectorIndex) -> None:
    index.upsert([a_point(1, vector=direction(1) * 1e-20), a_point(2, vector=direction(2) * 1e20)])
    for n in (1, 2):
        np.testing.assert_allclose(index.vector(n), direction(n), atol=1e-6)
        [hit] = index.nearest(direction(n) * 1e-20, limit=1)
        assert (hit.id, hit.score) == (n, pytest.approx(1, abs=1e-6))


def test_only_a_newer_claim_overwrites(index: VectorIndex) -> None:
    index.upsert([a_point(1, claim=5, gender="first", year=2000)])
    for claim, gender in ((4, "older"), (5, "same")):
        index.upsert([a_point(1, claim=claim, gender=gender, vector=direction(9))])
        assert index.nearest(direction(1), limit=1)[0].payload["gender"] == "first"
        assert list(index.claims()) == [(1, 5)]
    index.upsert([a_point(1, claim=6, gender="newer", vector=direction(9))])
    [hit] = index.nearest(direction(9), limit=1)
    assert hit.payload == {"gender": "newer"}, "a new point replaces the old payload whole"
    assert hit.score == pytest.approx(1, abs=1e-6)
    assert list(index.claims()) == [(1, 6)]


def test_a_batch_of_mixed_claims_writes_each_point_by_its_own(index: VectorIndex) -> None:
    index.upsert([a_point(n, claim=3, gender="old") for n in range(6)])
    index.upsert([a_point(n, claim=n, gender="new") for n in range(9)])
    written = matching(index, {"gender": Condition(any_of=("new",))})
    assert written == {4, 5, 6, 7, 8}
    assert list(index.claims()) == [
        *((n, 3) for n in range(4)),
        *((n, n) for n in range(4, 9)),
    ]


def test_an_id_twice_in_a_batch_is_written_once_by_its_newest_claim(index: VectorIndex) -> None:
    index.upsert([a_point(1, claim=2, gender="b"), a_point(1, claim=1, gender="a")])
    index.upsert([a_point(2, claim=1, gender="first"), a_point(2, claim=1, gender="second")])
    assert index.facet("gender") == [("b", 1), ("first", 1)]


def test_a_delete_spares_a_point_with_a_newer_claim(index: VectorIndex) -> None:
    index.upsert([a_point(n, claim=5) for n in (1, 2, 3, 4)])
    index.delete({1: 4, 2: 5, 3: 6, 99: 7})
    assert list(index.claims()) == [(1, 5), (4, 5)]
    index.upsert([a_point(2, claim=1)])
    assert list(index.claims()) == [(1, 5), (2, 1), (4, 5)]


def test_payload_fields_are_merged_into_a_point_and_nothing_else(index: VectorIndex) -> None:
    index.upsert([a_point(1, gender="Men", price=10.0), a_point(2, gender="Men", price=10.0)])
    index.set_payload(1, {"price": 5.0, "in_stock": False})
    index.set_payload(99, {"price": 5.0})
    assert index.nearest(direction(1), limit=1)[0].payload == {
        "gender": "Men",
        "price": 5.0,
        "in_stock": False,
    }
    assert matching(index, {"price": Condition(lt=10)}) == {1}
    assert list(index.claims()) == [(1, 1), (2, 1)]


def test_more_points_than_one_call_or_page_takes_are_all_there(index: VectorIndex) -> None:
    index.upsert([a_point(n, claim=1 + n % 2, year=n) for n in range(2100)])
    assert list(index.claims()) == [(n, 1 + n % 2) for n in range(2100)]
    index.delete(dict.fromkeys(range(100, 2100), 2))
    assert index.count() == 100


def test_claims_are_walked_in_id_order_between_start_and_stop(index: VectorIndex) -> None:
    index.upsert([a_point(n, claim=n + 1) for n in (30, 4, 100, 7, 2**40)])
    assert list(index.claims()) == [(4, 5), (7, 8), (30, 31), (100, 101), (2**40, 2**40 + 1)]
    assert list(index.claims(start=5)) == [(7, 8), (30, 31), (100, 101), (2**40, 2**40 + 1)]
    assert list(index.claims(start=7, stop=100)) == [(7, 8), (30, 31)]
    assert list(index.claims(start=8, stop=30)) == []


BAD_VECTORS = {
    "not finite": np.array([1, np.nan, *[0] * (SIZE - 2)], dtype=np.float32),
    "infinite": np.array([1, np.inf, *[0] * (SIZE - 2)], dtype=np.float32),
    "all zeros": np.zeros(SIZE, dtype=np.float32),
    "too short": np.ones(SIZE - 1, dtype=np.float32),
    "of another shape": np.ones((1, SIZE), dtype=np.float32),
}


@pytest.mark.parametrize("bad", BAD_VECTORS.values(), ids=BAD_VECTORS)
def test_a_bad_vector_is_refused_and_nothing_of_its_batch_is_written(
    shop: VectorIndex, bad: Vector
) -> None:
    with pytest.raises(InvalidVector) as refused:
        shop.upsert([a_point(21), a_point(22, vector=bad), a_point(23), a_point(24, vector=bad)])
    assert refused.value.context["ids"] == [22, 24]
    assert shop.count() == 9


@pytest.mark.parametrize("bad", BAD_VECTORS.values(), ids=BAD_VECTORS)
def test_a_bad_query_is_refused(shop: VectorIndex, bad: Vector) -> None:
    with pytest.raises(InvalidVector):
        shop.nearest(bad, limit=1)
    with pytest.raises(InvalidVector):
        shop.recommend([direction(1)], [bad], limit=1)


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"price": float("nan")}, "price"),
        ({"year": 2**63}, "year"),
        ({"year": True}, "year"),
        ({"year": "2012"}, "year"),
        ({"in_stock": 1}, "in_stock"),
        ({"gender": 3}, "gender"),
        ({"gender": "\ud800"}, "gender"),
        ({"attributes": {"a": {1, 2}}}, "attributes"),
        ({"attributes": {"a": [object()]}}, "attributes"),
        ({"attributes": {3: "a"}}, "attributes"),
        ({"attributes": {"a": [2**64]}}, "attributes"),
    ],
)
def test_a_payload_that_could_not_be_found_again_is_refused_with_its_batch(
    shop: VectorIndex, payload: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidProduct) as refused:
        shop.upsert([a_point(21), a_point(22, **payload)])
    assert refused.value.context["ids"] == [22]
    assert [error["field"] for error in refused.value.context["errors"]] == [field]
    with pytest.raises(InvalidProduct):
        shop.set_payload(1, payload)
    assert shop.count() == 9


def test_a_claim_cannot_be_patched(index: VectorIndex) -> None:
    index.upsert([a_point(1)])
    with pytest.raises(InvalidProduct):
        index.set_payload(1, {"claim": 9})
    assert list(index.claims()) == [(1, 1)]


# --- filters --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "condition", "expected"),
    [
        ("gender", Condition(any_of=("Women",)), {1, 2}),
        ("gender", Condition(any_of=("Women", "Men", "Women")), {1, 2, 3}),
        ("gender", Condition(any_of=("Boys, Girls",)), {4}),
        ("gender", Condition(any_of=("Größe Ü",)), {5}),
        ("gender", Condition(any_of=('say "hi"',)), {6}),
        ("gender", Condition(any_of=("NA",)), {7}),
        ("gender", Condition(any_of=("women",)), set()),
        ("gender", Condition(none_of=("Women", "Men")), {4, 5, 6, 7, 8, 9}),
        ("gender", Condition(any_of=("Women", "Men"), none_of=("Men",)), {1, 2}),
        ("year", Condition(any_of=(2010, 2013)), {1, 4}),
        ("year", Condition(any_of=(2**53 + 1,)), {7}),
        ("year", Condition(any_of=(2**53,)), set()),
        ("year", Condition(none_of=(2010,)), {2, 3, 4, 5, 6, 7, 8, 9}),
        ("year", Condition(gte=2012, lt=2014), {3, 4}),
        ("year", Condition(gt=2012, lte=2014), {4, 5}),
        ("year", Condition(lt=2010.5), {1, 6}),
        ("year", Condition(gt=3000, lt=1000), set()),
        ("year", Condition(gte=2011, none_of=(2012,), lte=2013), {2, 4}),
        ("price", Condition(any_of=(30.5, 40)), {3, 4}),
        ("price", Condition(any_of=(0,)), {6}),
        ("price", Condition(none_of=(30.5, 40)), {1, 2, 5, 6, 7, 8, 9}),
        ("price", Condition(lt=0), {7}),
        ("price", Condition(gt=0, gte=20, lt=60, lte=30.5), {2, 3}),
        ("price", Condition(gt=20, gte=0, lt=40, lte=60), {3}),
        ("price", Condition(gt=20, gte=20, lt=40, lte=40), {3}),
        ("price", Condition(gte=20), {2, 3, 4, 5}),
        ("in_stock", Condition(any_of=(True,)), {1, 3, 5, 6, 7}),
        ("in_stock", Condition(any_of=(False,)), {2, 4}),
        ("in_stock", Condition(any_of=(True, False)), {1, 2, 3, 4, 5, 6, 7}),
        ("in_stock", Condition(none_of=(True,)), {2, 4, 8, 9}),
    ],
)
def test_a_condition_selects_its_products(
    shop: VectorIndex, field: str, condition: Condition, expected: set[int]
) -> None:
    assert matching(shop, {field: condition}) == expected


def test_conditions_on_several_fields_must_all_hold(shop: VectorIndex) -> None:
    where = {
        "gender": Condition(none_of=("Men",)),
        "year": Condition(gte=2010),
        "in_stock": Condition(any_of=(True,)),
        "price": Condition(lt=50),
    }
    assert matching(shop, where) == {1, 7}


def test_excluded_ids_are_left_out_of_every_kind_of_neighbours(shop: VectorIndex) -> None:
    where = {"gender": Condition(any_of=("Women", "Men"))}
    options: dict[str, Any] = {"limit": 10, "where": where, "exclude": [2, 99]}
    assert ids(shop.nearest(direction(2), **options)) == {1, 3}
    assert ids(shop.recommend([direction(2), direction(1)], **options)) == {1, 3}
    assert ids(shop.nearest(direction(2), limit=10, exclude=range(2, 10))) == {1}


@pytest.fixture(scope="module")
def open_shop(filled: Fill) -> VectorIndex:
    """Products whose open attributes hold what feeds hold: all types, odd names, lists."""
    attributes: dict[int, dict[str, Any]] = {
        1: {"x": 42, "fabric": "silk"},
        2: {"x": "42", "fabric": 7},
        3: {"x": 42.0, "fabric": "7"},
        4: {"x": True, "fabric": True},
        5: {"x": "true", "fabric": "true"},
        6: {"x": ["red", 42, False]},
        7: {"x": None},
        8: {"x": 4.5, "a.b": "dotted", "a b": "spaced", "größe": "XL"},
        9: {"x": "4.5", "a": {"b": "nested"}},
        10: {},
    }
    return filled([*(a_point(n, attributes=value) for n, value in attributes.items()), a_point(11)])


@pytest.mark.parametrize(
    ("name", "condition", "expected"),
    [
        ("x", Condition(any_of=("42",)), {1, 2, 3, 6}),
        ("x", Condition(any_of=(42,)), {1, 2, 3, 6}),
        ("x", Condition(any_of=(42.0,)), {1, 2, 3, 6}),
        ("x", Condition(any_of=("true",)), {4, 5}),
        ("x", Condition(any_of=(True,)), {4, 5}),
        ("x", Condition(any_of=("false",)), {6}),
        ("x", Condition(any_of=("1",)), set()),
        ("x", Condition(any_of=("042",)), set()),
        ("x", Condition(any_of=("4.5",)), {8, 9}),
        ("x", Condition(any_of=("red", 4.5)), {6, 8, 9}),
        ("x", Condition(any_of=("99999999999999999999",)), set()),
        ("x", Condition(none_of=("42",)), {4, 5, 7, 8, 9, 10, 11}),
        ("x", Condition(none_of=("true", "red")), {1, 2, 3, 7, 8, 9, 10, 11}),
        ("x", Condition(gte=4, lt=42), {8}),
        ("x", Condition(gt=5), {1, 3, 6}),
        ("fabric", Condition(any_of=("silk",)), {1}),
        ("fabric", Condition(any_of=("7",)), {2, 3}),
        ("fabric", Condition(none_of=("7", "true")), {1, 6, 7, 8, 9, 10, 11}),
        ("a.b", Condition(any_of=("dotted", "nested")), {8}),
        ("a b", Condition(any_of=("spaced",)), {8}),
        ("größe", Condition(any_of=("XL",)), {8}),
        ("nowhere", Condition(any_of=("x",)), set()),
        ("nowhere", Condition(none_of=("x",)), set(range(1, 12))),
    ],
)
def test_an_open_attribute_matches_in_whatever_type_it_was_stored(
    open_shop: VectorIndex, name: str, condition: Condition, expected: set[int]
) -> None:
    assert matching(open_shop, {f"attributes.{name}": condition}) == expected


def test_an_attribute_that_is_a_large_number_matches_to_the_digit(index: VectorIndex) -> None:
    index.upsert([a_point(1, attributes={"ean": 2**53 + 1}), a_point(2, attributes={"ean": 2**53})])
    assert matching(index, {"attributes.ean": Condition(any_of=(str(2**53 + 1),))}) == {1}
    assert matching(index, {"attributes.ean": Condition(any_of=(2**53,))}) == {2}


BAD_FILTERS = {
    "an unknown field": {"colour": Condition(any_of=("Red",))},
    "the claim": {"claim": Condition(any_of=(1,))},
    "text for a number": {"year": Condition(any_of=("2012",))},
    "a boolean for a number": {"year": Condition(none_of=(True,))},
    "a boolean as a bound": {"price": Condition(gte=True)},
    "a number for a boolean": {"in_stock": Condition(any_of=(1,))},
    "a number for text": {"gender": Condition(any_of=("a", 2))},
    "a range of text": {"gender": Condition(gte=1)},
    "an infinite bound": {"price": Condition(lte=float("inf"))},
    "no part at all": {"gender": Condition()},
}


@pytest.mark.parametrize("where", BAD_FILTERS.values(), ids=BAD_FILTERS)
def test_a_wrong_filter_is_refused_wherever_one_is_taken(
    shop: VectorIndex, where: dict[str, Condition]
) -> None:
    for ask in (
        lambda: shop.nearest(direction(1), limit=1, where=where),
        lambda: shop.recommend([direction(1)], limit=1, where=where),
        lambda: shop.facet("gender", where=where),
        lambda: shop.count(where),
    ):
        with pytest.raises(InvalidFilter) as refused:
            ask()
        assert refused.value.context["field"] == next(iter(where))


# --- neighbours -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowd(filled: Fill) -> tuple[VectorIndex, ExactIndex]:
    """Three hundred points, in an adapter and in the oracle."""
    points = [a_point(n, year=n % 10, in_stock=n % 3 == 0) for n in range(300)]
    oracle = ExactIndex(size=SIZE, schema=SCHEMA)
    oracle.upsert(points)
    return filled(points), oracle


def assert_same_hits(found: list[Hit], expected: list[Hit]) -> None:
    """Same points, order, scores and payloads."""
    assert [hit.id for hit in found] == [hit.id for hit in expected]
    np.testing.assert_allclose(
        [hit.score for hit in found], [hit.score for hit in expected], atol=2e-6
    )
    assert [hit.payload for hit in found] == [hit.payload for hit in expected]


FILTERS = {
    "unfiltered": None,
    "filtered": {"year": Condition(lt=5), "in_stock": Condition(any_of=(True,))},
}


@pytest.mark.parametrize("where", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("exact", [False, True])
def test_the_nearest_are_those_of_a_full_scan(crowd: Any, where: Any, exact: bool) -> None:
    index, oracle = crowd
    options: dict[str, Any] = {"limit": 20, "where": where, "exact": exact, "exclude": [3, 14]}
    found = index.nearest(direction(1000), **options)
    assert_same_hits(found, oracle.nearest(direction(1000), **options))
    assert len(found) == 20


def test_neighbours_below_min_score_are_left_out(crowd: Any) -> None:
    index, _ = crowd
    hits = index.nearest(direction(1000), limit=300)
    border = (hits[40].score + hits[41].score) / 2
    assert_same_hits(index.nearest(direction(1000), limit=300, min_score=border), hits[:41])
    assert_same_hits(index.nearest(direction(1000), limit=20, min_score=border), hits[:20])
    assert len(index.nearest(direction(1000), limit=300, min_score=-1)) == 300
    assert index.nearest(direction(1000), limit=300, min_score=1) == []


@pytest.mark.parametrize("where", FILTERS.values(), ids=FILTERS)
def test_recommendations_are_near_any_example_and_away_from_the_negatives(
    crowd: Any, where: Any
) -> None:
    index, oracle = crowd
    likes, dislikes = [direction(1000), direction(1001)], [direction(1002)]
    for examples in ((likes,), (likes, dislikes), (likes[:1], [*dislikes, likes[1]])):
        found = index.recommend(*examples, limit=15, where=where, exclude=[7])
        assert_same_hits(found, oracle.recommend(*examples, limit=15, where=where, exclude=[7]))
        assert len(found) == 15


def test_what_is_closer_to_a_negative_example_is_not_recommended(index: VectorIndex) -> None:
    index.upsert([a_point(1), a_point(2)])
    assert ids(index.recommend([direction(1), direction(2)], limit=5)) == {1, 2}
    assert ids(index.recommend([direction(1)], [direction(2)], limit=5)) == {1}


def test_a_recommendation_without_a_positive_example_is_refused(shop: VectorIndex) -> None:
    with pytest.raises(InvalidVector):
        shop.recommend([], [direction(1)], limit=5)


# --- reading back ---------------------------------------------------------------------------


def test_records_are_read_as_they_were_written(index: VectorIndex) -> None:
    payload = {"gender": "Größe", "year": 2012, "price": 9.5, "attributes": {"a": [1, 2.5, None]}}
    index.upsert([a_point(7, claim=3, **payload), a_point(1), a_point(2)])
    [one, seven] = sorted(index.records([7, 99, 1], vectors=True), key=lambda it: it.id)
    assert (one.id, one.claim, one.payload) == (1, 1, {})
    assert (seven.claim, seven.payload) == (3, payload)
    assert seven.vector is not None
    np.testing.assert_allclose(seven.vector, direction(7), atol=1e-6)
    assert [it.vector for it in index.records([1])] == [None]
    assert index.records([]) == []


def test_vectors_are_read_by_id(index: VectorIndex) -> None:
    index.upsert([a_point(7), a_point(1), a_point(2)])
    found = index.vectors([7, 99, 1])
    assert found.keys() == {1, 7}
    np.testing.assert_allclose(found[7], direction(7), atol=1e-6)
    assert index.vectors([]) == {}


def test_a_point_that_lacks_the_tokens_of_its_attributes_is_read_as_another_one(
    make: Make, request: pytest.FixtureRequest
) -> None:
    """A process of an older release may have written it; a comparison has to find it."""
    has_tokens = request.node.callspec.params["make"] not in ("edge", "local", "exact")
    with closing(make()) as index:
        if isinstance(index, ExactIndex):
            pytest.skip("nobody can smuggle anything into the oracle")
        index.upsert([a_point(1, attributes={"fabric": "silk"}), a_point(2, gender="Men")])
        written = [it.payload for it in index.records([1, 2])]
        assert written == [{"attributes": {"fabric": "silk"}}, {"gender": "Men"}]
        smuggle(shard_of(index), 1, direction(1), {"attributes": {"fabric": "silk"}, "claim": 1})
        [record] = index.records([1])
        assert (record.payload == written[0]) == (not has_tokens)


def test_more_records_than_one_page_are_read(index: VectorIndex) -> None:
    index.upsert([a_point(n) for n in range(1100)])
    assert {it.id for it in index.records(range(1200))} == set(range(1100))


def test_points_that_cannot_be_ours_are_named_and_deleted_and_no_other(make: Make) -> None:
    with closing(make()) as index:
        if isinstance(index, ExactIndex):
            pytest.skip("nobody can smuggle anything into the oracle")
        index.upsert([a_point(1, claim=2), a_point(2, claim=2)])
        visitor = uuid4()
        smuggle(shard_of(index), 2, direction(5), {"gender": "Men"})
        smuggle(shard_of(index), 3, None, {"claim": 4})
        smuggle(shard_of(index), visitor, direction(6), {})
        assert set(index.points_without_claim()) == {"2", "3", str(visitor)}
        assert len(index.points_without_claim(limit=1)) == 1
        assert [id_ for id_, _ in index.claims()] == [1, 3]
        assert {it.id for it in index.records([1, 2, 3])} == {1, 3}
        index.delete_points_without_claim()
        assert index.points_without_claim() == []
        assert list(index.claims()) == [(1, 2)]
        assert index.count() == 1


# --- counting -------------------------------------------------------------------------------


def test_facets_count_the_values_that_there_are_most_frequent_first(shop: VectorIndex) -> None:
    assert shop.facet("gender") == [
        ("Women", 2),
        ("Boys, Girls", 1),
        ("Größe Ü", 1),
        ("Men", 1),
        ("NA", 1),
        ('say "hi"', 1),
    ]
    assert shop.facet("in_stock") == [(True, 5), (False, 2)]
    assert shop.facet("year", where={"year": Condition(gte=2010, lt=2012)}) == [
        (2010, 1),
        (2011, 1),
    ]
    assert shop.facet("gender", limit=1) == [("Women", 2)]
    assert shop.facet("gender", where={"in_stock": Condition(any_of=(False,))}) == [
        ("Boys, Girls", 1),
        ("Women", 1),
    ]


def test_named_values_are_counted_alike_whether_they_have_few_points_or_many(
    index: VectorIndex,
) -> None:
    """Groups of three, one of 150; of each, two of three are in stock."""
    points = [a_point(n, gender=f"g{min(n // 3, 50)}", in_stock=n % 3 > 0) for n in range(300)]
    index.upsert(points)
    many = [f"g{n}" for n in range(40)]
    for named in (["g0"], ["g1", "g7", "nobody"], ["g50"], ["g2", "g50"], many):
        where = {"gender": Condition(any_of=tuple(named)), "in_stock": Condition(any_of=(True,))}
        counts = Counter(
            it.payload["gender"]
            for it in points
            if it.payload["gender"] in named and it.payload["in_stock"]
        )
        expected = sorted(counts.items(), key=lambda it: (-it[1], it[0]))
        assert index.facet("gender", where=where) == expected
        assert index.facet("gender", where=where, limit=1) == expected[:1]


def test_named_values_of_a_declared_attribute_are_counted(index: VectorIndex) -> None:
    fabrics = ["silk", ["wool", "silk"], "linen"]
    index.upsert([a_point(n, attributes={"fabric": it}) for n, it in enumerate(fabrics)])
    where = {"attributes.fabric": Condition(any_of=("silk",))}
    assert ("silk", 2) in index.facet("attributes.fabric", where=where)


def test_a_declared_attribute_has_facets(index: VectorIndex) -> None:
    fabrics = ["silk", "wool", "silk"]
    index.upsert([a_point(n, attributes={"fabric": it}) for n, it in enumerate(fabrics)])
    assert index.facet("attributes.fabric") == [("silk", 2), ("wool", 1)]


# --- several images of a product --------------------------------------------------------------


def several(images: int) -> list[Point]:
    """Twelve products, each with so many images in random directions."""
    return [
        a_point(
            point_id(product, slot),
            vector=direction(100 * product + slot),
            gender=f"g{product % 2}",
            **({SLOT: slot} if slot else {}),
        )
        for product in range(1, 13)
        for slot in range(images)
    ]


@pytest.mark.parametrize("images", [1, 4])
def test_a_product_is_as_near_as_its_nearest_image(filled: Fill, images: int) -> None:
    points = several(images)
    index = filled(points)
    for seed in range(5):
        query = direction(9_000 + seed)
        best: dict[int, float] = {}
        for point in points:
            score = float(point.vector @ query)
            best[product_of(point.id)] = max(best.get(product_of(point.id), -1), score)
        del best[3]
        wanted = sorted(best, key=lambda id_: -best[id_])[:6]
        found = nearest_products(index, query, limit=6, most_images=images, exclude=[3])
        assert [hit.id for hit in found] == wanted
        assert [hit.score for hit in found] == pytest.approx([best[id_] for id_ in wanted])


def test_a_filter_and_a_least_score_hold_for_every_image(filled: Fill) -> None:
    points = several(4)
    index = filled(points)
    where = {"gender": Condition(any_of=("g1",))}
    query = direction(7)
    found = nearest_products(index, query, limit=12, most_images=4, where=where, min_score=0.1)
    near = {
        product_of(it.id)
        for it in points
        if it.payload["gender"] == "g1" and it.vector @ query >= 0.1
    }
    assert ids(found) == near


def test_one_point_of_an_image_is_deleted_by_its_own_claim(make: Make) -> None:
    with closing(make()) as index:
        index.upsert([a_point(point_id(1, slot), claim=slot + 1) for slot in range(3)])
        index.delete({point_id(1, slot): 2 for slot in range(3)})
        assert list(index.claims()) == [(point_id(1, 2), 3)]


def test_a_product_with_several_images_counts_once_in_facets(filled: Fill) -> None:
    index = filled(several(4))
    assert index.facet("gender", several=True) == [("g0", 6), ("g1", 6)]
    women = {"gender": Condition(any_of=("g1",))}
    assert index.facet("gender", where=women, several=True) == [("g1", 6)]
    assert (index.count(), index.count(several=True)) == (48, 12)
    assert index.count(women, several=True) == 6


@pytest.mark.parametrize("images", [1, 4])
def test_the_points_of_a_range_of_products_are_found(filled: Fill, images: int) -> None:
    index = filled(several(images))
    expected = {point_id(product, slot) for product in (4, 5, 6) for slot in range(images)}
    assert set(points_of(index, 4, 7)) == expected
    assert len(points_of(index, 12, None)) == images
    assert points_of(index, 13, None) == []


@pytest.mark.parametrize("field", ["price", "attributes.other", "nothing", "claim"])
def test_what_is_not_counted_by_value_is_refused_with_what_is(
    shop: VectorIndex, field: str
) -> None:
    with pytest.raises(InvalidFilter) as refused:
        shop.facet(field)
    assert refused.value.context["allowed"] == ["attributes.fabric", "gender", "in_stock", "year"]


def test_a_closed_index_is_unavailable(index: VectorIndex) -> None:
    index.upsert([a_point(1)])
    index.close()
    index.close()
    for use in (index.ping, index.flush, index.count, lambda: index.nearest(direction(1), limit=1)):
        with pytest.raises(IndexUnavailable):
            use()


def test_a_dropped_index_is_gone_with_all_it_held(index: VectorIndex) -> None:
    index.upsert([a_point(1)])
    index.drop()
    index.drop()
    for use in (index.ping, index.count, lambda: index.nearest(direction(1), limit=1)):
        with pytest.raises(IndexUnavailable):
            use()
