"""The checks of /readyz have a common deadline, and a check that hangs holds one thread."""

from __future__ import annotations

import threading

from support.host_faults import no_threads
from support.servers import wait_for

from backend.api.readiness import Readiness, document_of


def test_what_the_checks_find_is_shown_with_its_age() -> None:
    found = Readiness({"one": lambda: None, "two": lambda: "is down"}).check()
    assert document_of(found)["checks"] == {"one": "ok", "two": "is down"}
    assert all(0 <= age < 60 for age in document_of(found)["ages"].values())


def test_a_check_that_hangs_is_named_and_the_others_are_answered() -> None:
    hang, calls = threading.Event(), []

    def stuck() -> None:
        calls.append(1)
        if len(calls) > 1:
            hang.wait()

    readiness = Readiness({"stuck": stuck, "fine": lambda: None}, deadline_seconds=0.05)
    assert readiness.check()["stuck"].is_ok
    for _ in range(3):  # one thread hangs, however often it is asked
        found = readiness.check()
        assert found["fine"].is_ok
        assert found["stuck"].found.startswith("has not answered for")
        assert found["stuck"].age is not None
    assert len(calls) == 2
    hang.set()
    assert wait_for(lambda: readiness.check()["stuck"].is_ok)


def test_the_last_result_of_a_check_that_hangs_is_told_if_it_was_bad() -> None:
    hang = threading.Event()
    answers = iter(["the disk is full", None])

    def probe() -> str | None:
        found = next(answers)
        if found is None:
            hang.wait()
        return found

    readiness = Readiness({"disk": probe}, deadline_seconds=0.05)
    readiness.check()
    assert readiness.check()["disk"].found.endswith("before, it was: the disk is full")
    hang.set()


def test_a_check_that_was_never_answered_has_no_age() -> None:
    hang = threading.Event()
    found = Readiness({"disk": lambda: hang.wait() and None}, deadline_seconds=0.05).check()
    assert document_of(found)["ages"] == {"disk": None}
    hang.set()


def test_a_check_for_which_the_host_had_no_thread_is_made_again() -> None:
    readiness = Readiness({"one": lambda: None})
    with no_threads():
        assert "starts no further thread" in readiness.check()["one"].found
    assert readiness.check()["one"].is_ok


def test_one_check_is_asked_alone() -> None:
    asked = []
    readiness = Readiness({"one": lambda: "is down", "two": lambda: asked.append(1)})
    assert readiness.problem("one") == "is down"
    assert not asked
    assert readiness.problem("two") is None
    assert readiness.problem("none such") is None


def test_a_check_that_fails_is_not_ok() -> None:
    def broken() -> str | None:
        raise RuntimeError

    found = Readiness({"broken": broken}).check()["broken"]
    assert found.found == "the check failed; the log has the reason"
