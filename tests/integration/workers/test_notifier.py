"""Knocks: few, small, short-lived, and never in anybody's way."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.installation import COMMAND
from support.servers import RedisServer, redis_server, wait_for

from backend.errors import ConfigurationError
from backend.settings import Settings, read_settings
from workers import names
from workers.app import make_app, trouble
from workers.names import Queue
from workers.notifier import DEAF_SECONDS, MAX_WAITING, Notifier

NOWHERE = "redis://127.0.0.1:1/0"
CATALOGUE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as found:
        yield found


def settings_of(url: str, **knobs: Any) -> Settings:
    given = {"image_store": "file:///images", **knobs}
    return read_settings(_env_file=None, database_url=CATALOGUE, broker_url=url, **given)


def knocks(server: RedisServer) -> list[dict[str, Any]]:
    return [json.loads(raw) for raw in server.client.lrange(Queue.INDEX, 0, -1)]


def test_the_settings_refuse_a_broker_that_is_not_redis(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="redis://"):
        settings_of("amqp://localhost")


def test_the_settings_refuse_workers_without_a_store_that_they_share(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="LOOKALIKE_IMAGE_STORE"):
        settings_of(NOWHERE, image_store=None)


def test_the_settings_refuse_to_call_a_slow_decoder_a_hang(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="LOOKALIKE_HANG_SECONDS"):
        settings_of(NOWHERE, hang_seconds=20, decode_seconds=10)


def test_without_a_broker_there_is_no_celery(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="BROKER_URL"):
        make_app(settings)


def test_the_app_and_the_bell_are_made_and_fail_at_once_without_a_redis(settings: Settings) -> None:
    found = settings_of(NOWHERE)
    app = make_app(found)
    notify = Notifier(app, found)
    assert app.conf.accept_content == ["json"]
    started = time.monotonic()
    notify()
    assert trouble(app) == "does not answer"
    assert time.monotonic() - started < 2


def test_a_knock_carries_no_data_and_expires(settings: Settings, server: RedisServer) -> None:
    found = settings_of(server.url, knock_seconds=7)
    Notifier(make_app(found), found)()
    (message,) = knocks(server)
    assert message["headers"]["task"] == names.WORK
    assert message["headers"]["argsrepr"] == "()"
    assert message["headers"]["kwargsrepr"] == "{}"
    assert message["headers"]["expires"] is not None
    assert len(json.dumps(message)) < 1500


def test_redis_stays_small_however_often_the_bell_rings(
    settings: Settings, server: RedisServer
) -> None:
    found = settings_of(server.url)
    notify = Notifier(make_app(found), found)
    for _ in range(200):
        notify()
    assert len(knocks(server)) == MAX_WAITING


def test_a_dead_redis_costs_a_request_next_to_nothing_and_heals(
    settings: Settings, server: RedisServer
) -> None:
    found = settings_of(server.url)
    notify = Notifier(make_app(found), found)
    notify()
    server.kill(lose_data=True)
    started = time.monotonic()
    for _ in range(100):
        notify()
    assert time.monotonic() - started < 2
    server.start()
    time.sleep(DEAF_SECONDS)
    notify()
    assert len(knocks(server)) == 1


def test_the_clock_knocks_and_stops_before_a_full_queue(
    tmp_path: Path, server: RedisServer
) -> None:
    with running_clock(tmp_path, server):
        wait_for(lambda: len(knocks(server)) == MAX_WAITING)
        time.sleep(0.5)
        assert len(knocks(server)) == MAX_WAITING
        assert {knock["headers"]["task"] for knock in knocks(server)} <= {names.WORK, names.REPORT}
        server.client.delete(Queue.INDEX)  # as if workers had taken them
        wait_for(lambda: len(knocks(server)) == MAX_WAITING)


def test_the_clock_ends_on_a_signal_that_finds_it_waiting_for_redis(
    tmp_path: Path, server: RedisServer
) -> None:
    with running_clock(tmp_path, server) as clock:
        wait_for(lambda: len(knocks(server)) == MAX_WAITING)
        with server.frozen():
            time.sleep(0.5)
            clock.terminate()
            time.sleep(0.2)
        assert clock.wait(30) == 0


@contextmanager
def running_clock(folder: Path, server: RedisServer) -> Iterator[subprocess.Popen[bytes]]:
    """Run `lookalike beat`; a clock that SIGTERM does not end in half a minute fails the test."""
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": CATALOGUE,
        "BROKER_URL": server.url,
        "LOOKALIKE_IMAGE_STORE": "file:///images",
        "LOOKALIKE_POLL_SECONDS": "0.02",
        "LOOKALIKE_KNOCK_SECONDS": "5",
    }
    with subprocess.Popen([COMMAND, "beat"], env=environment, cwd=folder) as clock:
        try:
            yield clock
            clock.terminate()
            assert clock.wait(30) == 0
        finally:
            clock.kill()
