"""A message is too late by the clock of Redis, whatever the hosts of sender and worker believe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Message
from support.servers import RedisServer, redis_server

from backend.settings import Settings, read_settings
from workers import names
from workers.app import make_app
from workers.broker_clock import BrokerClock
from workers.names import Queue
from workers.notifier import Notifier
from workers.scheduler import NotifyingScheduler
from workers.tasks import Acknowledged

APART = timedelta(seconds=45)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as found:
        yield found


@pytest.fixture
def given(settings: Settings, server: RedisServer) -> Settings:
    return read_settings(
        _env_file=None,
        database_url="postgresql://nobody@127.0.0.1:1/none",
        broker_url=server.url,
        image_store="file:///images",
    )


def _nothing() -> None: ...


def received(app: Celery, server: RedisServer, **headers: Any) -> Acknowledged:
    """The oldest waiting message, as a worker takes it."""
    sent = json.loads(server.client.rpop(Queue.INDEX))
    found = sent["headers"] | headers
    body = Message(
        body="[[], {}, {}]", headers=found, content_type="application/json", delivery_info={}
    )

    task = app.tasks.get(found["task"])
    if task is None:
        task = app.task(name=found["task"], shared=False)(_nothing)
    Acknowledged.clock = BrokerClock(server.url)
    return Acknowledged(body, app=app, task=task)


@pytest.mark.parametrize("sender", ["notifier", "scheduler"])
def test_a_message_of_a_host_whose_clock_is_behind_is_taken(
    given: Settings, server: RedisServer, sender: str
) -> None:
    """By its own clock, it was over before it was sent."""
    app = make_app(given)
    if sender == "notifier":
        Notifier(app, given)()
    else:
        scheduler = NotifyingScheduler(app)
        entry = next(one for one in scheduler.schedule.values() if one.task == names.WORK)
        scheduler.apply_async(entry, advance=False)
    request = received(app, server, expires=(datetime.now(UTC) - APART).isoformat())
    assert not request.maybe_expire()


def test_a_message_that_is_over_is_thrown_away_by_a_host_whose_clock_is_behind(
    given: Settings, server: RedisServer
) -> None:
    app = make_app(given)
    Notifier(app, given.model_copy(update={"message_seconds": 0.0}))()
    assert received(app, server, expires=(datetime.now(UTC) + APART).isoformat()).maybe_expire()


def test_a_message_of_an_older_release_is_over_as_it_says(
    given: Settings, server: RedisServer
) -> None:
    app = make_app(given)
    for expires, is_over in ((datetime.now(UTC) - APART, True), (datetime.now(UTC) + APART, False)):
        app.send_task(names.WORK)
        old = received(app, server, expires=expires.isoformat())
        assert bool(old.maybe_expire()) == is_over
