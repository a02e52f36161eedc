"""Limits of strict mode are read from the collection and kept to, or the error names the setting.

The double refuses whatever is beyond a limit, as the server does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from grpc import StatusCode
from qdrant_client import grpc as pb
from qdrant_client.models import StrictModeConfig
from support.qdrant_strict import CLOUD
from support.qdrant_wire import LOCAL_MODE_WARNINGS, Wire

from backend.errors import FilterTooLarge, IndexGone, IndexLimited, InvalidFilter
from backend.filters import Condition
from backend.vectors import Point, SearchMode, Vector
from backend.vectors.server.collection import ServerOptions
from backend.vectors.server.index import ServerIndex
from backend.vectors.server.nodes import Nodes

pytestmark = LOCAL_MODE_WARNINGS

MakeIndex = Callable[..., ServerIndex]
TIGHT = StrictModeConfig(
    enabled=True,
    unindexed_filtering_retrieve=False,
    unindexed_filtering_update=False,
    max_query_limit=3,
    max_timeout=2,
    search_allow_exact=False,
    search_max_oversampling=1.5,
    upsert_max_batchsize=4,
    filter_max_conditions=5,
    condition_max_size=8,
)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.stop()


@pytest.fixture
def index_of(wire: Wire) -> MakeIndex:
    """What makes an index of twenty points under these limits."""

    def make(strict: StrictModeConfig | None, **options: Any) -> ServerIndex:
        wire.strict = strict
        made = ServerIndex(
            uuid4().hex,
            size=4,
            schema={"gender": "keyword", "year": "integer"},
            nodes=Nodes.single(wire.connect),
            options=ServerOptions(attribute_tokens=True, **options),
        )
        made.upsert([a_point(n) for n in range(20)])
        return made

    return make


def a_point(n: int) -> Point:
    payload = {"gender": "Men", "year": n, "attributes": {"size": n, "fabric": f"f{n % 3}"}}
    return Point(id=n, vector=direction(n), payload=payload, claim=1)


def direction(n: int) -> Vector:
    return np.array([1, n, n % 3, 1], dtype=np.float32)


def test_searches_writes_and_lists_keep_to_the_limits(index_of: MakeIndex, wire: Wire) -> None:
    free = index_of(None)
    index = index_of(TIGHT)
    assert index.count() == 20
    assert index.count({"attributes.size": Condition(gte=5)}) == 15
    assert [id_ for id_, _ in index.claims(start=3)] == list(range(3, 20))
    assert index.points_without_claim() == []
    where = {"attributes.size": Condition(none_of=tuple(range(7)))}
    found = index.nearest(direction(9), limit=10, where=where, exclude=[9, 10])
    wire.strict = None
    assert found == free.nearest(direction(9), limit=10, where=where, exclude=[9, 10])
    wire.strict = TIGHT
    index.delete(dict.fromkeys(range(10), 2))
    assert index.count() == 10


def test_int8_is_searched_with_the_oversampling_that_is_allowed(
    index_of: MakeIndex, wire: Wire
) -> None:
    index = index_of(TIGHT, quantization="int8")
    wire.seen.clear()
    assert len(index.nearest(direction(1), limit=3)) == 3
    [asked] = [it for it in wire.seen if isinstance(it, pb.QueryPoints)]
    assert asked.params.quantization.oversampling == 1.5
    assert asked.timeout == 2


@pytest.mark.parametrize(
    ("ask", "setting"),
    [
        (lambda index: index.nearest(direction(1), limit=1, exact=True), "search_allow_exact"),
        (
            lambda index: index.nearest(direction(1), limit=1, mode=SearchMode.EXACT),
            "search_allow_exact",
        ),
        (lambda index: index.facet("gender", limit=3), "search_allow_exact"),
        (lambda index: index.facet("gender"), "max_query_limit"),
    ],
)
def test_what_cannot_be_kept_to_names_the_setting(
    index_of: MakeIndex, wire: Wire, ask: Callable[[ServerIndex], Any], setting: str
) -> None:
    index = index_of(TIGHT)
    wire.seen.clear()
    with pytest.raises(IndexLimited, match=setting) as refused:
        ask(index)
    assert refused.value.context["setting"] == setting
    assert not wire.seen


def test_a_filter_of_too_many_conditions_is_refused_with_the_limit(index_of: MakeIndex) -> None:
    index = index_of(TIGHT)
    few = {f"attributes.a{n}": Condition(any_of=("x",)) for n in range(5)}
    assert index.count(few) == 0
    with pytest.raises(FilterTooLarge, match=r"6 conditions.*filter_max_conditions.*5"):
        index.count(few | {"attributes.a5": Condition(any_of=("x",))})


@pytest.mark.parametrize(
    ("details", "setting"),
    [
        ("Max vector storage size limit of 1MB reached!", "max_collection_vector_size_bytes"),
        ("Max points count limit of 5 reached!", "max_points_count"),
        ('Limit exceeded 9 > 3 for "limit". Help: Reduce it.', "max_query_limit"),
    ],
)
@pytest.mark.parametrize("status", [StatusCode.INVALID_ARGUMENT, StatusCode.PERMISSION_DENIED])
def test_a_limit_that_the_server_names_is_no_fault_of_a_point(
    index_of: MakeIndex, wire: Wire, status: StatusCode, details: str, setting: str
) -> None:
    index = index_of(None)
    wire.fail(status, details=details)
    with pytest.raises(IndexLimited) as refused:
        index.upsert([a_point(1)])
    assert refused.value.context["setting"] == setting


def test_limits_that_an_operator_changes_are_read_after_the_first_refusal(
    index_of: MakeIndex, wire: Wire
) -> None:
    index = index_of(None)
    wire.strict = TIGHT
    with pytest.raises(IndexLimited):
        index.nearest(direction(1), limit=10)
    assert len(index.nearest(direction(1), limit=10)) == 10
    wire.strict = None
    with closing(wire.connect()) as client:
        client.delete_collection(index.collection.name)
        with pytest.raises(IndexGone):
            index.count()
        assert not client.collection_exists(index.collection.name)


def test_a_generation_without_tokens_says_what_is_refused(wire: Wire) -> None:
    wire.strict = CLOUD
    older = ServerIndex(
        "older", size=4, schema={"gender": "keyword"}, nodes=Nodes.single(wire.connect)
    )
    with pytest.raises(InvalidFilter, match="`lookalike reindex` gives an older index"):
        older.count({"attributes.fabric": Condition(any_of=("silk",))})
