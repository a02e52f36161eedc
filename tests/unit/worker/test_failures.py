"""A loop that fails at each try logs what changes, and tries ever later."""

from __future__ import annotations

import pytest

from backend.worker.failures import LONGEST_SECONDS, RepeatedFailures


def test_the_same_failure_is_logged_once_and_its_end_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    failures = RepeatedFailures("work failed")
    for _ in range(50):
        failures.note("the disk is full")
    failures.note("the database is locked")
    failures.end()
    failures.end()
    lines = capsys.readouterr().out.splitlines()
    assert [line.count("the disk is full") for line in lines] == [1, 0, 0]
    assert "failures=51" in lines[2]


def test_the_pause_doubles_up_to_a_limit_and_begins_anew() -> None:
    failures = RepeatedFailures("work failed")
    assert failures.pause(1) == 1
    pauses = []
    for _ in range(7):
        failures.note("the disk is full")
        pauses.append(failures.pause(1))
    assert pauses == [1, 2, 4, 8, 16, LONGEST_SECONDS, LONGEST_SECONDS]
    failures.end()
    assert failures.pause(1) == 1
