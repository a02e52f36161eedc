"""What does not work is tried at growing pauses, by one caller at a time, and logged once."""

from __future__ import annotations

import pytest

from backend.outages import Outages


class Clock:
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outages(clock: Clock) -> Outages:
    return Outages(first_seconds=5, longest_seconds=30, clock=clock)


def test_the_wait_doubles_with_each_try_that_fails_up_to_a_limit(
    outages: Outages, clock: Clock
) -> None:
    waits = []
    for _ in range(5):
        assert outages.may_try("host")
        waits.append(outages.fail("host", "refused"))
        assert not outages.may_try("host")
        clock.now += waits[-1]
    assert waits == [5, 10, 20, 30, 30]


def test_tries_that_were_under_way_do_not_make_an_outage_longer(
    outages: Outages, clock: Clock
) -> None:
    assert [outages.fail("host", "refused") for _ in range(8)] == [5] * 8
    clock.now += 2
    assert outages.fail("host", "refused") == 3


def test_one_caller_at_a_time_tries_and_another_if_it_never_reports(
    outages: Outages, clock: Clock
) -> None:
    outages.fail("host", "refused")
    clock.now += 5
    assert [outages.may_try("host") for _ in range(3)] == [True, False, False]
    clock.now += 5
    assert outages.may_try("host")


def test_some_failures_in_a_row_are_tolerated_and_a_success_forgets_them(outages: Outages) -> None:
    assert [outages.fail("host", "500", tolerated=2) for _ in range(2)] == [0, 0]
    outages.work("host")
    assert [outages.fail("host", "500", tolerated=2) for _ in range(3)] == [0, 0, 5]


def test_what_works_again_is_tried_at_once_and_begins_anew(outages: Outages, clock: Clock) -> None:
    outages.fail("host", "refused")
    clock.now += 5
    outages.fail("host", "refused")
    outages.work("host")
    assert (outages.may_try("host"), outages.reason("host"), outages.ended) == (True, None, 1)
    assert outages.fail("host", "refused") == 5


def test_one_outage_does_not_concern_another(outages: Outages) -> None:
    outages.fail("host", "refused")
    assert (outages.reason("host"), outages.reason("other")) == ("refused", None)
    assert (outages.may_try("host"), outages.may_try("other")) == (False, True)
    assert (outages.seconds_left("host"), outages.seconds_left("other")) == (5, 0)


def test_the_log_has_a_line_when_an_outage_begins_and_one_when_it_ends(
    outages: Outages, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(100):
        outages.fail("image host cdn.example", "refused")
        clock.now += 1
    assert capsys.readouterr().out.count("image host cdn.example") == 1
    outages.work("image host cdn.example")
    outages.work("image host cdn.example")
    assert capsys.readouterr().out.count("an outage ended") == 1
