"""How a query is searched follows from its filter, and the index says which way it went."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as qe

from backend.filters import Condition, FieldType, Where
from backend.filters.shape import shape
from backend.vectors import Point, SearchMode, search_mode
from backend.vectors.edge.folders import FIRST
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.edge.shard import ShardOptions
from backend.vectors.search_mode import NARROW, choose

SCHEMA: dict[str, FieldType] = {"gender": "keyword", "year": "integer", "in_stock": "bool"}
SIZE = 8

GENDER = {"gender": Condition(any_of=("Men", "Boys"))}
MEN = {"gender": Condition(any_of=("Men",))}
YEAR = {"year": Condition(gte=2012, lt=2015)}
OPEN = {"attributes.cut": Condition(any_of=("slim",))}


def chosen(where: Where | None, *, passing: int = NARROW + 1, of: int | None = None) -> SearchMode:
    points = None if of is None else lambda: of
    return choose(where, SCHEMA, has_graph=True, estimate=lambda: passing, points=points)


@pytest.mark.parametrize("where", [None, {}, MEN, {"year": Condition(none_of=(2012, 2013))}])
def test_a_plain_walk_is_enough_for_all_or_for_one_clause_on_values(where: Where | None) -> None:
    assert chosen(where) == SearchMode.PLAIN


@pytest.mark.parametrize(
    "where", [GENDER | YEAR, YEAR, OPEN, {"year": Condition(gte=2012, none_of=(2013,))}]
)
def test_acorn_walks_where_what_passes_has_no_links_of_its_own(where: Where) -> None:
    assert chosen(where) == SearchMode.ACORN


def test_several_values_are_a_plain_walk_only_where_nothing_is_estimated() -> None:
    assert chosen(GENDER) == SearchMode.ACORN
    assert chosen(GENDER, passing=NARROW) == SearchMode.EXACT
    assert choose(GENDER, SCHEMA) == SearchMode.PLAIN


def test_what_few_points_pass_is_compared_in_full() -> None:
    assert chosen(GENDER | YEAR, passing=NARROW) == SearchMode.EXACT
    assert chosen(GENDER | YEAR, passing=NARROW, of=NARROW) == SearchMode.EXACT


@pytest.mark.parametrize(
    ("passing", "of", "mode"),
    [
        (7_200, 40_000, SearchMode.EXACT),
        (7_201, 40_000, SearchMode.ACORN),
        (17_636, 240_000, SearchMode.EXACT),
        (17_637, 240_000, SearchMode.ACORN),
        (36_000, 1_000_000, SearchMode.EXACT),
        (36_001, 1_000_000, SearchMode.ACORN),
    ],
)
def test_what_costs_less_than_a_walk_is_compared(passing: int, of: int, mode: SearchMode) -> None:
    assert chosen(GENDER | YEAR, passing=passing, of=of) == mode


def test_without_a_graph_everything_is_compared_and_nothing_estimated() -> None:
    def never() -> int:
        raise AssertionError("nobody needs to know")

    for where in (None, GENDER, GENDER | YEAR):
        found = choose(where, SCHEMA, has_graph=False, estimate=never, points=never)
        assert found == SearchMode.EXACT
    assert choose(MEN, SCHEMA, has_graph=True, estimate=never, points=never) == SearchMode.PLAIN


def test_a_shape_tells_fields_and_kinds_of_clause_but_no_value() -> None:
    secret = "attributes.the name a shopper typed"
    where = YEAR | GENDER | {secret: Condition(any_of=("x",), none_of=("y",))}
    assert shape(where, SCHEMA) == "attributes.*:any attributes.*:not gender:any year:range"
    assert shape(where, {**SCHEMA, secret: "keyword"}).count(secret) == 2
    assert shape(None, SCHEMA) == shape({}, SCHEMA) == ""


# --- on a real graph -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeIndex]:
    """Three thousand points in an optimized shard."""
    folder = tmp_path_factory.mktemp("graph") / "shard"
    fill(folder, 3000).close()
    optimizers = qe.EdgeOptimizersConfig(indexing_threshold=1)
    vectors = qe.EdgeVectorParams(size=SIZE, distance=qe.Distance.Cosine)
    hnsw = qe.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=1)
    config = qe.EdgeConfig(vectors=vectors, hnsw_config=hnsw, optimizers=optimizers)
    shard = qe.EdgeShard.load(str(folder / FIRST), config)
    assert shard.optimize()
    shard.flush()
    shard.close()
    index = EdgeIndex(folder, size=SIZE, schema=SCHEMA)
    yield index
    index.close()


def fill(folder: Path, count: int) -> EdgeIndex:
    index = EdgeIndex(folder, size=SIZE, schema=SCHEMA)
    vectors = np.random.default_rng(0).normal(size=(count, SIZE)).astype(np.float32)
    genders = ("Men", "Women", "Boys", "Girls")
    index.upsert(
        [
            Point(
                id=n,
                vector=vector,
                payload={"gender": genders[n % 4], "year": 2008 + n % 10, "in_stock": n % 3 > 0},
                claim=1,
            )
            for n, vector in enumerate(vectors)
        ]
    )
    return index


def test_an_index_that_was_never_optimized_compares_everything(tmp_path: Path) -> None:
    index = fill(tmp_path / "shard", 10)
    assert {index.search_mode(where) for where in (None, GENDER, GENDER | YEAR)} == {"exact"}
    index.close()


def test_an_optimized_index_chooses_by_the_filter(
    graph: EdgeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert graph.search_mode() == SearchMode.PLAIN
    assert graph.search_mode(GENDER | YEAR) == SearchMode.EXACT  # 450 of 3,000
    monkeypatch.setattr(search_mode, "NARROW", 100)
    assert graph.search_mode(GENDER | YEAR) == SearchMode.EXACT  # less than 36 √3,000
    assert graph.search_mode({"year": Condition(gte=2010)}) == SearchMode.ACORN  # most of them
    monkeypatch.setattr(graph, "options", ShardOptions(quantization="int8"))
    assert graph.search_mode(GENDER | YEAR) == SearchMode.ACORN


@pytest.mark.parametrize("mode", SearchMode)
def test_every_way_to_search_keeps_to_the_filter(graph: EdgeIndex, mode: SearchMode) -> None:
    query = np.random.default_rng(1).normal(size=SIZE).astype(np.float32)
    hits = graph.nearest(query, limit=10, where=GENDER | YEAR, mode=mode)
    best = graph.nearest(query, limit=10, where=GENDER | YEAR, exact=True)
    assert len(hits) == 10
    assert all(hit.payload["gender"] in ("Men", "Boys") for hit in hits)
    assert all(2012 <= hit.payload["year"] < 2015 for hit in hits)
    if mode is not SearchMode.PLAIN:
        assert [hit.id for hit in hits] == [hit.id for hit in best]
