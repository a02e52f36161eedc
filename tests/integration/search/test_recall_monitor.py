"""What a filtered search finds is compared with exact search, in the background, by shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs
from support.exact_index import ExactIndex
from support.rows import make_generation

from backend.database.engine import Database
from backend.database.models import Generation
from backend.errors import IndexGone
from backend.filters import Condition, FieldType, Where
from backend.search import filter_recall
from backend.search.filter_recall import MOST_SHAPES, ShapeKey, ShapeRecall, Sums
from backend.search.recall_monitor import ENOUGH, WAITING, RecallMonitor, Search, recall_of
from backend.vectors import Hit, Point, SearchMode

SCHEMA: dict[str, FieldType] = {"gender": "keyword", "year": "integer"}
SIZE = 4
MEN = {"gender": Condition(any_of=("Men",))}
RECENT = {"year": Condition(gte=2012)}


class LeakyIndex(ExactIndex):
    """A graph that loses every other neighbour, unless all are compared."""

    asked = 0

    def nearest(self, vector: Any, *, mode: SearchMode | None = None, **options: Any) -> list[Hit]:
        self.asked += 1
        hits = super().nearest(vector, **options)
        return hits if mode is SearchMode.EXACT else hits[::2]


@pytest.fixture
def index() -> LeakyIndex:
    """Forty points, half of them men's."""
    index = LeakyIndex(size=SIZE, schema=SCHEMA)
    vectors = np.random.default_rng(0).normal(size=(40, SIZE)).astype(np.float32)
    genders = ("Men", "Women")
    index.upsert(
        [
            Point(id=n, vector=it, payload={"gender": genders[n % 2], "year": 2000 + n}, claim=1)
            for n, it in enumerate(vectors)
        ]
    )
    return index


@pytest.fixture
def generation(db: Database) -> Generation:
    id_ = make_generation(db)
    with db.read() as session:
        return session.get_one(Generation, id_)


def guarding(
    db: Database, *, rate: float = 1.0, rest: float = 0.0, chances: Iterator[float] | None = None
) -> Any:
    drawn = chances or iter(lambda: 0.5, None)
    return RecallMonitor(db, schema=SCHEMA, rate=rate, rest=rest, chance=lambda: next(drawn))


def asked(generation: Generation, where: Where, mode: SearchMode = SearchMode.ACORN) -> Search:
    vector = np.ones(SIZE, dtype=np.float32)
    return Search(generation=generation, vector=vector, where=where, exclude=(3,), mode=mode)


def totals(db: Database, generation: Generation) -> list[ShapeRecall]:
    with db.read() as session:
        return filter_recall.by_shape(session, generation.id)


def settle(guard: RecallMonitor, index: ExactIndex) -> None:
    """Let the background do all that waits."""
    while guard.compare(lambda _generation: index):
        pass
    guard.save()


# --- comparing -------------------------------------------------------------------------------


def test_recall_is_the_share_of_the_ten_nearest_that_the_same_search_finds(
    generation: Generation, index: LeakyIndex
) -> None:
    assert recall_of(index, asked(generation, {})) == 0.5
    assert recall_of(index, asked(generation, {}, SearchMode.EXACT)) == 1.0
    nothing = {"gender": Condition(any_of=("Nobody",))}
    assert recall_of(index, asked(generation, nothing)) == 1.0


def test_a_request_only_leaves_a_note_and_the_background_compares(
    db: Database, generation: Generation, index: LeakyIndex
) -> None:
    guard = guarding(db)
    for _ in range(3):
        guard.notice(asked(generation, MEN | RECENT))
    assert index.asked == 0
    settle(guard, index)
    assert index.asked == 6
    [only] = totals(db, generation)
    assert (only.shape, only.mode, only.queries) == ("gender:any year:range", "acorn", 3)
    assert (only.compared, only.recall) == (3, 0.5)


def test_only_a_sample_is_compared_and_exact_searches_never(
    db: Database, generation: Generation, index: LeakyIndex
) -> None:
    guard = guarding(db, rate=0.1, chances=iter([0.05, 0.5, 0.1, 0.09]))
    for _ in range(4):
        guard.notice(asked(generation, MEN))
    for _ in range(4):
        guard.notice(asked(generation, MEN, SearchMode.EXACT))
    settle(guard, index)
    found = {row.mode: (row.queries, row.compared, row.recall) for row in totals(db, generation)}
    assert found == {"acorn": (4, 2, 0.5), "exact": (4, 0, None)}


def test_several_processes_add_to_the_same_totals(
    db: Database, generation: Generation, index: LeakyIndex
) -> None:
    for where in (MEN, MEN, RECENT):
        guard = guarding(db)
        guard.notice(asked(generation, where))
        settle(guard, index)
    assert [(row.shape, row.compared) for row in totals(db, generation)] == [
        ("gender:any", 2),
        ("year:range", 1),
    ]


def test_an_index_that_is_gone_meanwhile_costs_a_sample_and_nothing_else(
    db: Database, generation: Generation, index: LeakyIndex
) -> None:
    def gone(_generation: Generation) -> Any:
        raise IndexGone

    guard = guarding(db)
    guard.notice(asked(generation, MEN))
    assert guard.compare(gone)
    settle(guard, index)
    assert [(row.queries, row.compared) for row in totals(db, generation)] == [(1, 0)]


def test_counts_survive_a_write_that_fails(
    db: Database, generation: Generation, index: LeakyIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = guarding(db)
    guard.notice(asked(generation, MEN))
    guard.compare(lambda _generation: index)

    def is_full(_work: object) -> None:
        guard.notice(asked(generation, MEN))  # meanwhile
        raise OperationalError("INSERT", {}, Exception("disk full"))

    with monkeypatch.context() as patch:
        patch.setattr(db, "write", is_full)
        with pytest.raises(OperationalError):
            guard.save()
    settle(guard, index)
    assert [(row.queries, row.compared) for row in totals(db, generation)] == [(2, 2)]


def test_a_shape_that_loses_neighbours_is_told_in_the_log(
    db: Database, generation: Generation, index: LeakyIndex
) -> None:
    guard = guarding(db)
    with capture_logs() as logs:
        for _ in range(ENOUGH):
            guard.notice(asked(generation, MEN))
            settle(guard, index)
    [told] = [line for line in logs if line["log_level"] == "warning"]
    assert (told["filter"], told["mode"], told["recall"]) == ("gender:any", "acorn", 0.5)


# --- bounds ----------------------------------------------------------------------------------


def test_of_a_burst_only_so_many_searches_are_kept_and_all_are_counted(
    db: Database, generation: Generation, index: LeakyIndex
) -> None:
    guard = guarding(db)
    for _ in range(3 * WAITING):
        guard.notice(asked(generation, MEN))
    settle(guard, index)
    [row] = totals(db, generation)
    assert (row.queries, row.compared) == (3 * WAITING, WAITING)


def test_shapes_beyond_what_is_kept_apart_count_as_others(
    db: Database, generation: Generation
) -> None:
    for batch in range(2):
        keys = [ShapeKey(generation.id, f"{batch}-{n}", "plain") for n in range(MOST_SHAPES - 1)]
        db.write(
            lambda session, keys=keys: filter_recall.add_sums(session, dict.fromkeys(keys, ONE))
        )
    overlong = {ShapeKey(generation.id, "x" * 501, "plain"): ONE}
    db.write(lambda session: filter_recall.add_sums(session, overlong))
    with db.read() as session:
        rows = filter_recall.by_shape(session, generation.id, limit=10_000)
    assert len(rows) == MOST_SHAPES + 1
    assert (rows[0].shape, rows[0].queries) == ("other", MOST_SHAPES - 1)


ONE = Sums(queries=1)


def test_after_a_comparison_the_monitor_rests_and_keeps_what_waits(
    db: Database, generation: Generation, index: LeakyIndex
) -> None:
    guard = guarding(db, rest=1e9)
    for _ in range(2):
        guard.notice(asked(generation, MEN))
    assert guard.compare(lambda _generation: index)
    assert not guard.compare(lambda _generation: index)
    assert index.asked == 2, "one search in its mode and one exactly"
