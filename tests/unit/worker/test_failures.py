"""A loop that fails at each try logs what changes, and tries ever later."""

from __future__ import annotations

import pytest

from backend.worker.failures import LONGEST_SECONDS, QUIET_SECONDS, RepeatedFailures


def test_each_reason_is_logged_once_and_the_end_too(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    failures = RepeatedFailures("work failed", clock=lambda: now)
    for free in range(50):
        failures.note(f"the disk is full: {free} MiB are free")
    failures.note("the database is locked")
    now = QUIET_SECONDS
    failures.end()
    failures.end()
    lines = capsys.readouterr().out.splitlines()
    assert [line.count("the disk is full") for line in lines] == [1, 0, 0]
    assert "failures=51" in lines[2]


def test_a_failure_with_successes_in_between_begins_and_ends_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Products that wait for a full disk are tried now and then; the rounds in between succeed."""
    now = 0.0
    failures = RepeatedFailures("work failed", clock=lambda: now)
    for second in range(600):
        now = float(second)
        if second % 5 < 1 and second < 300:
            failures.note("the disk is full")
        else:
            failures.end()
    began, ended = capsys.readouterr().out.splitlines()
    assert "the disk is full" in began
    assert "no longer" in ended
    assert "failures=60" in ended
    failures.note("the disk is full")
    assert "the disk is full" in capsys.readouterr().out, "it is another failure"


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
