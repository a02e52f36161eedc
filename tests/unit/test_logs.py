"""Logs are JSON wherever nobody sits at a terminal, whoever writes them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from contextvars import Context
from typing import Any

import pytest
import structlog

from backend import log_fields, logs
from backend.logs import RunLog, run_log

PROCESS = """
import logging, sys, threading, warnings
library = logging.getLogger("a.server")
library.addHandler(logging.StreamHandler(sys.stderr))
library.propagate = False

from backend import logs
logs.configure("info")
logs.log_uncaught_errors()

library.warning("a request of %s bytes", 7, extra={"peer": "10.0.0.1"})
logging.getLogger("celery.worker").error("lost the broker")
logging.getLogger("chatty").debug("nothing")
warnings.warn("an old way to call it", DeprecationWarning)

def fail():
    password = "hunter2"
    raise ValueError("no such index")

thread = threading.Thread(target=fail, name="worker")
thread.start()
thread.join()
fail()
"""


def test_every_line_of_a_process_is_json_also_those_of_libraries_and_of_errors() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "default", "-c", PROCESS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    lines: list[dict[str, Any]] = [json.loads(line) for line in ran.stderr.splitlines()]
    request, broker, warning, thread, end = lines
    assert request["event"] == "a request of 7 bytes"
    assert (request["logger"], request["level"], request["peer"]) == (
        "a.server",
        "warning",
        "10.0.0.1",
    )
    assert (broker["logger"], broker["event"]) == ("celery.worker", "lost the broker")
    assert "DeprecationWarning: an old way to call it" in warning["event"]
    assert (thread["event"], thread["thread"]) == ("a thread ended by an error", "worker")
    assert end["level"] == "critical"
    for failed in (thread, end):
        assert "ValueError: no such index" in failed["exception"]
        assert (
            'raise ValueError("no such index")' in failed["exception"]
            or "fail" in (failed["exception"])
        )
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert "'hunter2'" not in ran.stderr, "the values of variables may be secrets"


def test_a_long_run_leaves_its_start_its_progress_and_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with structlog.testing.capture_logs() as lines:
        run = RunLog("import", path="feed.csv")
        run.progress(done=1)
        monkeypatch.setattr(run_log, "PROGRESS_SECONDS", 0)
        run.progress(done=2)
        run.end(added=2)
        RunLog("import", path="other.csv").fail(OSError("no space left"))
    assert [(line["event"], line["path"]) for line in lines] == [
        ("import started", "feed.csv"),
        ("import goes on", "feed.csv"),
        ("import ended", "feed.csv"),
        ("import started", "other.csv"),
        ("import failed", "other.csv"),
    ]
    assert lines[1]["done"] == 2
    assert lines[2]["added"] == 2
    assert lines[2]["seconds"] >= 0
    assert lines[4]["error"] == "no space left"


UNWRITABLE = """
import logging, structlog
from backend import logs
logs.configure("info")
for number in range(3):
    structlog.get_logger().info("a line", number=number)
    logging.getLogger("library").error("another")
print("goes on")
"""


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ran = subprocess.run(
            [sys.executable, "-c", UNWRITABLE],
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )
    assert ran.stdout == "goes on\n"


def test_the_last_warnings_and_errors_are_remembered(usual_logs: None) -> None:
    logs.configure("info")
    log_fields.end()  # of a request that this thread answered before
    log = structlog.get_logger("test")
    log.info("all is well")
    log.warning("a host is slow", host="images.example")
    logging.getLogger("a.library").error("lost %s", "the broker")
    try:
        raise ValueError("no such index")
    except ValueError:
        log.exception("failed")
    failed, lost, slow, *_ = logs.recent()
    assert (slow.level, slow.event, slow.fields) == (
        "warning",
        "a host is slow",
        "host=images.example",
    )
    assert (lost.level, lost.event) == ("error", "lost the broker")
    assert (failed.event, failed.fields) == ("failed", "")
    for number in range(2 * logs.MOST_RECENT):
        log.warning("again", name="a" * number)
    assert len(logs.recent()) == logs.MOST_RECENT


def test_the_requests_of_one_outage_are_remembered_as_one_line(usual_logs: None) -> None:
    logs.configure("info")
    log = structlog.get_logger("test")
    log.error("the disk is nearly full", store="index")
    for number in range(2 * logs.MOST_RECENT):
        log.warning("problem", detail=f"no answer for {number / 10} s", request_id=f"{number}a")
    last, before, *_ = logs.recent()
    assert (last.event, last.times) == ("problem", 2 * logs.MOST_RECENT)
    assert "no answer for 9.9 s" in last.fields
    assert (before.event, before.times) == ("the disk is nearly full", 1)


@pytest.mark.parametrize("value", ["plain", "grün", 2**70, 1.5, None, ["a"], {"b": True}])
def test_a_line_is_json_in_ascii_whoever_writes_it(value: Any) -> None:
    line = logs.write_json({"event": "request", "value": value}, default=repr)
    assert line.isascii()
    assert json.loads(line) == {"event": "request", "value": value}


def test_the_line_of_a_request_is_that_of_structlog(
    usual_logs: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info")
    log_fields.begin(request_id="r1", client="192.0.2.1", method="of the line itself")
    fields = {"method": "GET", "path": "/v1/ö", "status": 200, "ms": 1.5, "bytes": None}
    structlog.get_logger().info("request", **fields)
    logs.log_request(**fields)
    log_fields.end()
    usual, ours = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert list(ours) == list(usual)
    assert ours.pop("timestamp") >= usual.pop("timestamp")
    assert ours == usual


def test_the_line_of_a_request_is_an_info(
    usual_logs: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("warning")
    logs.log_request(path="/v1/status")
    assert not capsys.readouterr().err
    logs.configure("info")
    with structlog.testing.capture_logs() as lines:
        logs.log_request(path="/v1/status")
    assert lines == [{"event": "request", "path": "/v1/status", "log_level": "info"}]


def test_the_lines_of_a_context_say_what_was_added_last() -> None:
    log_fields.begin(request_id="r1")
    log_fields.add(key="lk_1")
    with log_fields.added(request_id="r2"):
        assert log_fields.current() == {"request_id": "r2", "key": "lk_1"}
        assert Context().run(log_fields.current) == {}
    assert log_fields.current() == {"request_id": "r1", "key": "lk_1"}
    log_fields.end()
    assert log_fields.current() == {}
