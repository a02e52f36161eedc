from __future__ import annotations

from backend.api.remembered import LONGEST, MOST, Remembered


def test_what_was_kept_is_known_until_there_is_too_much() -> None:
    known = Remembered[int]()
    for number in range(MOST):
        known.keep(b"limit=%d" % number, number)
    assert known.get(b"limit=3") == 3
    assert known.get(b"limit=3&x=") is None
    known.keep(b"one more", -1)
    assert known.get(b"limit=3") is None
    assert known.get(b"one more") == -1


def test_what_is_long_is_not_kept() -> None:
    known = Remembered[int]()
    known.keep(b"x" * LONGEST, 1)
    known.keep(b"x" * (LONGEST + 1), 2)
    assert known.get(b"x" * LONGEST) == 1
    assert known.get(b"x" * (LONGEST + 1)) is None
