"""Wake-up messages are few, small and short-lived, and sending one never delays a request."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from support.host_faults import no_threads
from support.installation import COMMAND, KEPT
from support.servers import RedisServer, redis_server, wait_for

from backend.errors import ConfigurationError
from backend.settings import Settings, read_settings
from workers import names
from workers.app import check_broker, make_app
from workers.consumer import QuickConsumer
from workers.names import Queue
from workers.notifier import MAX_WAITING, PAUSE_SECONDS, BackgroundNotifier, Notifier
from workers.scheduler import RARE, NotifyingScheduler

NOWHERE = "redis://127.0.0.1:1/0"
CATALOGUE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as found:
        yield found


def settings_of(url: str, **given: Any) -> Settings:
    settings = {"image_store": "file:///images", **given}
    return read_settings(_env_file=None, database_url=CATALOGUE, broker_url=url, **settings)


def messages(server: RedisServer) -> list[dict[str, Any]]:
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


def test_the_app_and_the_notifier_are_made_and_fail_at_once_without_a_redis(
    settings: Settings,
) -> None:
    found = settings_of(NOWHERE)
    app = make_app(found)
    notify = Notifier(app, found)
    assert app.conf.accept_content == ["json"]
    notify()
    assert check_broker(app) == "does not answer"


def test_a_message_carries_no_data_and_expires(settings: Settings, server: RedisServer) -> None:
    found = settings_of(server.url, message_seconds=7)
    Notifier(make_app(found), found)()
    (message,) = messages(server)
    assert message["headers"]["task"] == names.WORK
    assert message["headers"]["argsrepr"] == "()"
    assert message["headers"]["kwargsrepr"] == "{}"
    assert message["headers"]["expires"] is not None
    assert len(json.dumps(message)) < 1500


def test_redis_stays_small_however_often_the_workers_are_notified(
    settings: Settings, server: RedisServer
) -> None:
    found = settings_of(server.url)
    notify = Notifier(make_app(found), found)
    for _ in range(200):
        notify()
    assert len(messages(server)) == MAX_WAITING


def test_a_dead_redis_costs_a_request_next_to_nothing_and_heals(
    settings: Settings, server: RedisServer
) -> None:
    found = settings_of(server.url)
    notify = Notifier(make_app(found), found)
    notify()
    server.kill(lose_data=True)
    with structlog.testing.capture_logs() as logged:
        for _ in range(100):
            notify()
        server.start()
        time.sleep(PAUSE_SECONDS)
        notify()
    assert [line["event"] for line in logged] == ["an outage began", "an outage ended"]
    assert len(messages(server)) == 1


def test_the_scheduler_sends_nothing_to_a_full_queue(tmp_path: Path, server: RedisServer) -> None:
    with running_scheduler(tmp_path, server):
        wait_for(lambda: len(messages(server)) == MAX_WAITING)
        time.sleep(0.5)
        assert len(messages(server)) == MAX_WAITING
        assert {message["headers"]["task"] for message in messages(server)} <= {
            names.WORK,
            names.REPORT,
        }
        server.client.delete(Queue.INDEX)  # as if workers had taken them
        wait_for(lambda: len(messages(server)) == MAX_WAITING)


def test_busy_workers_get_the_rare_messages_too(server: RedisServer) -> None:
    """Beside 16 wake-up messages, which a busy worker keeps waiting, none of these was sent."""
    found = settings_of(server.url, qdrant_url="http://nowhere", message_seconds=7)
    app = make_app(found)
    notify = Notifier(app, found)
    for _ in range(MAX_WAITING):
        notify()
    scheduler = NotifyingScheduler(app)
    entries = {entry.task: entry for entry in scheduler.schedule.values()}
    for task in (names.WORK, names.REPORT, names.RECONCILE):
        scheduler.apply_async(entries[task], advance=False)
    tasks = Counter(message["headers"]["task"] for message in messages(server))
    assert tasks == {names.WORK: MAX_WAITING, names.REPORT: 1, names.RECONCILE: 1}
    for _ in range(2 * RARE):
        scheduler.apply_async(entries[names.REPORT], advance=False)
    assert len(messages(server)) == MAX_WAITING + RARE
    valid = {entry.task: entry.options["expires"] for entry in entries.values()}
    assert valid[names.WORK] == 7
    assert valid[names.REPORT] == valid[names.RECONCILE] > 10 * valid[names.WORK]


def test_the_scheduler_ends_on_a_signal_that_finds_it_waiting_for_redis(
    tmp_path: Path, server: RedisServer
) -> None:
    with running_scheduler(tmp_path, server) as scheduler:
        wait_for(lambda: len(messages(server)) == MAX_WAITING)
        with server.frozen():
            time.sleep(0.5)
            scheduler.terminate()
            time.sleep(0.2)
        assert scheduler.wait(30) == 0


@contextmanager
def running_scheduler(
    folder: Path, server: RedisServer, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `lookalike beat`; the test fails if SIGTERM does not end it in half a minute."""
    environment = {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "DATABASE_URL": CATALOGUE,
        "BROKER_URL": server.url,
        "LOOKALIKE_IMAGE_STORE": "file:///images",
        "LOOKALIKE_POLL_SECONDS": "0.02",
        "LOOKALIKE_MESSAGE_SECONDS": "5",
    }
    with subprocess.Popen([COMMAND, "beat"], env=environment, cwd=folder, **options) as scheduler:
        try:
            yield scheduler
            scheduler.terminate()
            assert scheduler.wait(30) == 0
        finally:
            scheduler.kill()


@pytest.mark.parametrize(
    ("name", "wrong", "right", "said"),
    [
        ("maxmemory", "1", "0", "its memory is full"),
        ("min-replicas-to-write", "1", "0", "refuses commands"),
    ],
)
def test_a_redis_that_refuses_is_not_said_to_be_silent(
    server: RedisServer, name: str, wrong: str, right: str, said: str
) -> None:
    app = make_app(settings_of(server.url))
    server.client.config_set(name, wrong)
    found = check_broker(app)
    server.client.config_set(name, right)
    assert said in str(found)
    assert check_broker(app) is None


def test_the_scheduler_says_once_that_redis_can_only_be_read(
    tmp_path: Path, server: RedisServer
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file, running_scheduler(tmp_path, server, stderr=file):
        wait_for(lambda: len(messages(server)) == MAX_WAITING)
        server.client.config_set("replica-read-only", "no")
        server.client.replicaof("127.0.0.1", "1")
        server.client.delete(Queue.INDEX)  # or it is full, and nothing is sent
        server.client.config_set("replica-read-only", "yes")
        wait_for(lambda: "can only be read" in log.read_text())
        time.sleep(1)  # for fifty more tries
        server.client.replicaof("NO", "ONE")
        wait_for(lambda: len(messages(server)) == MAX_WAITING)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    warned = [line["event"] for line in lines if line["level"] != "info"]
    assert warned == ["the broker takes no messages: it is a replica that can only be read"]


def test_a_request_never_waits_for_a_redis_that_does_not_answer(server: RedisServer) -> None:
    app = make_app(settings_of(server.url))
    sends: list[str] = []
    began, may_end = threading.Event(), threading.Event()

    def send() -> None:
        sends.append("sent")
        began.set()
        may_end.wait()
        Notifier(app, settings_of(server.url))()

    notify = BackgroundNotifier(send)
    notify()
    began.wait()
    for _ in range(100):  # while the thread waits
        notify()
    assert sends == ["sent"]
    may_end.set()
    wait_for(lambda: len(sends) == 2)
    wait_for(lambda: len(messages(server)) == 2)


def test_a_consumer_connects_again_at_once_and_says_so_once(server: RedisServer) -> None:
    app = make_app(settings_of(server.url))
    consumer = SimpleNamespace(first_connection_attempt=True, meanwhile=lambda: None)
    server.kill(lose_data=False)
    threading.Timer(2.5, server.start).start()
    with structlog.testing.capture_logs() as lines:
        found = QuickConsumer.ensure_connected(consumer, app.connection_for_read())
    found.release()
    assert [line["event"] for line in lines] == [
        "the broker does not answer",
        "the broker answers again",
    ]
    assert lines[1]["tries"] >= 2


def test_a_notifier_for_which_the_host_had_no_thread_sends_with_the_next_call() -> None:
    sent = threading.Event()
    notify = BackgroundNotifier(sent.set)
    with no_threads():
        notify()
    notify()
    assert sent.wait(60)
