"""What the engine has said of points is kept until they are written."""

from __future__ import annotations

from typing import Any

from backend.filters import Condition, Schema, Where
from backend.vectors import Hit
from backend.vectors.edge.passing_points import LARGEST_ID, PassingPoints

SCHEMA: Schema = {"colour": "keyword"}
RED: Where = {"colour": Condition(any_of=("Red",))}
BLUE: Where = {"colour": Condition(any_of=("Blue",))}


class Engine:
    """Points by colour; notes which it was asked about."""

    def __init__(self, kept: PassingPoints) -> None:
        self.kept = kept
        self.red = {1, 3, LARGEST_ID}
        self.asked: list[set[int]] = []
        self.writes_while_asked = False

    def passing(self, *ids: int, where: Where = RED) -> list[int]:
        points: Any = [Hit(id_, 0.5, {}) for id_ in ids]
        return [int(it.id) for it in self.kept.of(where, points, self._ask)]

    def _ask(self, ids: set[int]) -> Any:
        self.asked.append(ids)
        found = [Hit(id_, 0.5, {}) for id_ in ids & self.red]
        if self.writes_while_asked:
            self.red ^= {2}
            self.kept.forget([2])
        return found


def test_only_what_is_unknown_is_asked() -> None:
    engine = Engine(PassingPoints(SCHEMA))
    assert engine.passing(3, 2, 1) == [3, 1]
    assert engine.passing(1, 2, 3, 4) == [1, 3]
    assert engine.passing(4, 3) == [3]
    assert engine.asked == [{1, 2, 3}, {4}]
    assert engine.passing(1, where=BLUE) == [1]
    assert engine.asked[2:] == [{1}]


def test_a_written_point_is_asked_about_again() -> None:
    engine = Engine(PassingPoints(SCHEMA))
    engine.passing(1, 2)
    engine.red = {2}
    engine.kept.forget([1, 2, 9])
    assert engine.passing(1, 2) == [2]


def test_what_was_asked_while_something_was_written_is_not_kept() -> None:
    engine = Engine(PassingPoints(SCHEMA))
    engine.writes_while_asked = True
    assert engine.passing(1, 2) == [1]
    engine.writes_while_asked = False
    assert engine.passing(1, 2) == [1, 2]
    assert engine.asked == [{1, 2}, {1, 2}]


def test_points_beyond_the_largest_id_are_asked_about_each_time() -> None:
    engine = Engine(PassingPoints(SCHEMA))
    for _ in range(2):
        assert engine.passing(1, LARGEST_ID) == [1, LARGEST_ID]
    assert engine.asked == [{1, LARGEST_ID}, {LARGEST_ID}]


def test_filters_on_open_attributes_are_not_kept() -> None:
    kept = PassingPoints(SCHEMA)
    assert kept.keeps(BLUE)
    assert not kept.keeps({"attributes.fit": next(iter(BLUE.values()))})
