"""Under several clauses a walk without the filter is enough, or the search is done otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as qe

from backend.filters import Condition, FieldType, Where
from backend.vectors import Point, SearchMode, Vector
from backend.vectors.edge import post_filter
from backend.vectors.edge.build import build
from backend.vectors.edge.folders import FIRST
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.edge.post_filter import LEAST, MOST, MOST_WALKED, fallback, walk_length
from backend.vectors.edge.shard import ShardOptions

SCHEMA: dict[str, FieldType] = {"type": "keyword", "gender": "keyword", "year": "integer"}
SIZE = 16
EACH = 2_000
SHOE, WATCH = np.eye(SIZE, dtype=np.float32)[:2]

MEN = {"gender": Condition(any_of=("Men",))}
RECENT = {"year": Condition(gte=2012)}
SHOES = {"type": Condition(any_of=("shoe",))}
WATCHES = {"type": Condition(any_of=("watch",))}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeIndex]:
    """Shoes around one vector and watches around another, in a graph."""
    yield from made(tmp_path_factory.mktemp("plain"), ShardOptions())


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeIndex]:
    """The same over int8."""
    yield from made(tmp_path_factory.mktemp("int8"), ShardOptions(quantization="int8"))


def made(folder: Path, options: ShardOptions) -> Iterator[EdgeIndex]:
    vectors = np.random.default_rng(0).normal(0, 0.1, (2 * EACH, SIZE)).astype(np.float32)
    vectors[:EACH] += SHOE
    vectors[EACH:] += WATCH
    points = [
        Point(
            id=n,
            vector=vector / np.linalg.norm(vector),
            payload={
                "type": "shoe" if n < EACH else "watch",
                "gender": ("Men", "Women")[n % 2],
                "year": 2010 + n // 2 % 5,
            },
            claim=1,
        )
        for n, vector in enumerate(vectors)
    ]
    build(folder / FIRST, [points], size=SIZE, schema=SCHEMA, options=options, threads=1)
    index = EdgeIndex(folder, size=SIZE, schema=SCHEMA, options=options)
    yield index
    index.close()


@pytest.fixture(autouse=True)
def walks_are_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few thousand points would always be compared."""
    monkeypatch.setattr(post_filter, "COMPARED", 1)


@pytest.fixture
def asked(plain: EdgeIndex, monkeypatch: pytest.MonkeyPatch) -> list[qe.QueryRequest]:
    """What the engine is asked from now on; it answers as ever."""
    requests: list[qe.QueryRequest] = []
    ask = plain.store.query

    def note(request: qe.QueryRequest) -> list[qe.ScoredPoint]:
        requests.append(request)
        return ask(request)

    monkeypatch.setattr(plain.store, "query", note)
    return requests


def found(index: EdgeIndex, vector: Vector, where: Where, **options: object) -> list[int]:
    """Return what a walk finds, or what is done instead."""
    hits = index.nearest(vector, where=where, mode=SearchMode.ACORN, **{"limit": 10, **options})  # type: ignore[arg-type]
    return [hit.id for hit in hits]


def compared(index: EdgeIndex, vector: Vector, where: Where, **options: object) -> list[int]:
    hits = index.nearest(vector, where=where, exact=True, **{"limit": 10, **options})  # type: ignore[arg-type]
    return [hit.id for hit in hits]


def walks(asked: list[qe.QueryRequest]) -> list[int]:
    """Return how many points each walk without a filter asked for."""
    return [it.limit for it in asked if it.filter is None]


# --- how many points --------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "share"), [(1, 0.003), (10, 0.05), (19, 0.14), (100, 0.3)])
def test_so_many_are_walked_that_almost_always_enough_pass(limit: int, share: float) -> None:
    passing = np.random.default_rng(0).binomial(walk_length(limit, share), share, size=10_000)
    assert 0.97 < np.mean(passing >= limit) < 1
    assert walk_length(10, 0.9) == LEAST


def test_a_walk_may_cost_half_as_much_as_comparing_what_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(post_filter, "COMPARED", 20)
    assert fallback(34_000, 240_000, quantized=False) == (SearchMode.EXACT, 850)
    assert fallback(MOST, 240_000, quantized=False) == (SearchMode.EXACT, MOST // 40)
    more = (SearchMode.ACORN, MOST_WALKED)
    assert fallback(MOST + 1, 240_000, quantized=False) == more
    assert fallback(10_001, 40_000, quantized=False) == more
    assert fallback(34_000, 240_000, quantized=True) == more


# --- on a real graph --------------------------------------------------------------------------


def test_what_looks_like_the_query_is_found_without_a_comparison(
    plain: EdgeIndex, asked: list[qe.QueryRequest]
) -> None:
    assert found(plain, SHOE, MEN | RECENT) == compared(plain, SHOE, MEN | RECENT)
    walk, kept, _ = asked
    assert walk.filter is None
    assert walk.limit == walk.params.hnsw_ef == LEAST  # type: ignore[union-attr]
    assert kept.filter is not None


def test_what_looks_unlike_the_query_is_compared(
    plain: EdgeIndex, asked: list[qe.QueryRequest]
) -> None:
    watches = WATCHES | MEN | RECENT
    hits = found(plain, SHOE, watches)
    *tried, last = asked
    assert len(walks(tried)) == 1  # no watch was among them; a longer walk would cost too much
    assert last.params.exact  # type: ignore[union-attr]
    assert hits == compared(plain, SHOE, watches)
    assert len(hits) == 10


def test_a_second_walk_is_as_long_as_the_first_suggests(
    plain: EdgeIndex, asked: list[qe.QueryRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post_filter, "COMPARED", 0.5)
    between = SHOE + 0.9 * WATCH  # nearer to most shoes than to most watches
    hits = found(plain, between, WATCHES | MEN)
    first, second = walks(asked)
    assert first == LEAST
    assert 2 * LEAST < second < EACH / 2
    assert len(asked) == 4  # nothing was asked instead
    assert hits == compared(plain, between, WATCHES | MEN)


def test_fewer_than_asked_for_are_enough_where_a_least_score_ends_the_walk(
    plain: EdgeIndex, asked: list[qe.QueryRequest]
) -> None:
    where = MEN | RECENT
    tenth = plain.nearest(SHOE, limit=10, exact=True)[-1].score
    asked.clear()
    hits = found(plain, SHOE, where, min_score=tenth)
    assert len(walks(asked)) == 1
    assert len(asked) == 2  # nothing was asked instead
    assert 0 < len(hits) < 10
    assert found(plain, SHOE, where, min_score=0.9999) == []
    assert hits == compared(plain, SHOE, where, min_score=tenth)


def test_what_is_excluded_is_not_among_what_is_found(plain: EdgeIndex) -> None:
    where = MEN | RECENT
    first, *others = found(plain, SHOE, where, limit=11)
    assert found(plain, SHOE, where, exclude=[first]) == others


def test_a_list_longer_than_what_passes_is_complete(plain: EdgeIndex) -> None:
    where = SHOES | MEN | {"year": Condition(any_of=(2011,))}
    hits = found(plain, SHOE, where, limit=1000)
    assert len(hits) == EACH // 10
    assert hits == compared(plain, SHOE, where, limit=1000)


def test_payloads_come_along_if_they_are_wanted(plain: EdgeIndex) -> None:
    with_them = plain.nearest(SHOE, limit=3, where=MEN | RECENT, mode=SearchMode.ACORN)
    assert {hit.payload["gender"] for hit in with_them} == {"Men"}
    without = plain.nearest(
        SHOE, limit=3, where=MEN | RECENT, mode=SearchMode.ACORN, payloads=False
    )
    assert [hit.payload for hit in without] == [{}, {}, {}]


def test_a_point_is_asked_about_once_and_again_after_it_was_written(
    plain: EdgeIndex, asked: list[qe.QueryRequest]
) -> None:
    where = MEN | RECENT
    hits = found(plain, SHOE, where, payloads=False)
    assert hits == compared(plain, SHOE, where)
    asked.clear()
    assert found(plain, SHOE, where, payloads=False) == hits
    assert len(asked) == len(walks(asked)) == 1
    plain.set_payload(hits[0], {"gender": "Women"})
    others = found(plain, SHOE, where, payloads=False)
    assert others[:9] == hits[1:]
    assert len(asked) == 3
    plain.set_payload(hits[0], {"gender": "Men"})
    assert found(plain, SHOE, where, payloads=False) == hits


def test_examples_are_searched_in_the_same_way(
    plain: EdgeIndex, asked: list[qe.QueryRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EdgeIndex, "search_mode", lambda *_: SearchMode.ACORN)
    hits = plain.recommend([SHOE], limit=10, where=MEN | RECENT)
    assert walks(asked) == [LEAST]
    assert {hit.payload["gender"] for hit in hits} == {"Men"}
    assert all(hit.payload["type"] == "shoe" for hit in hits)


def test_codes_choose_what_whole_vectors_compare(int8: EdgeIndex) -> None:
    recalls = []
    for id_ in range(0, 2 * EACH, 100):
        vector = int8.vector(id_)
        assert vector is not None
        hits = int8.nearest(vector, limit=10, where=MEN | RECENT, mode=SearchMode.ACORN)
        best = int8.nearest(vector, limit=10, where=MEN | RECENT, exact=True)
        recalls.append(
            len({hit[:2] for hit in hits} & {hit[:2] for hit in best}) / len(best)
        )  # with equal scores
        again = int8.nearest(
            vector, limit=10, where=MEN | RECENT, mode=SearchMode.ACORN, payloads=False
        )
        assert [hit.score for hit in again] == [hit.score for hit in hits]
    assert np.mean(recalls) >= 0.97
