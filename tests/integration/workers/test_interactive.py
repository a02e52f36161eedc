"""A shopper's image on its way to a worker: bounded, with a deadline at both ends."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from celery.contrib.testing.worker import start_worker
from structlog.testing import capture_logs
from support.servers import RedisServer, redis_server, wait_for

from backend import log_fields
from backend.embedders.regions import FoundRegion
from backend.errors import EmbedderBusy, WeightsUnavailable
from backend.search.query_image import EmbeddedQuery
from backend.settings import Settings, read_settings
from workers import tasks
from workers.app import make_app
from workers.interactive import MAX_WAITING, UNANSWERED, Embed, RemoteEmbedder, Replies
from workers.names import Queue

CATALOGUE = "postgresql://nobody@127.0.0.1:1/none"
VECTOR = np.array([0.6, 0.8], np.float32)
OWN = np.array([0.28, 0.96], np.float32)
MASK = np.linspace(-9, 9, 28 * 21, dtype=np.float32).reshape(28, 21)
REGIONS = [FoundRegion((0.1, 0.2, 0.3, 1.0), 0.987654321, "shirt")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as found:
        yield found


@pytest.fixture
def distributed(settings: Settings, server: RedisServer) -> Settings:
    return read_settings(
        _env_file=None,
        database_url=CATALOGUE,
        broker_url=server.url,
        image_store="file:///images",
        interactive_seconds=1,
    )


def embed(image: bytes, spec: str) -> EmbeddedQuery:
    assert (image, spec) == (b"an image", "mean-colour")
    return EmbeddedQuery(
        *(VECTOR, "a fingerprint", "photograph", REGIONS, OWN),
        composed=True,
        mask=MASK,
        doubtful=True,
    )


def answer_one(settings: Settings, server: RedisServer, how: Embed = embed) -> threading.Thread:
    """Play a worker that takes one message."""

    def work() -> None:
        raw = wait_for(lambda: server.client.rpop(Queue.INTERACTIVE), every=0.01)
        Replies(settings).answer(*arguments(raw), embed=how)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


FAR_TOO_LONG = 3600  # seconds; a test that waited for them would not end in time


def arguments(raw: bytes) -> tuple[str, str, str]:
    image, spec, reply_to = json.loads(base64.b64decode(json.loads(raw)["body"]))[0]
    return image, spec, reply_to


def ask(settings: Settings, *, seconds: float = 1) -> EmbeddedQuery:
    remote = RemoteEmbedder(make_app(settings), settings)
    return remote(b"an image", spec="mean-colour", seconds=seconds)


def test_an_image_goes_out_and_its_vector_comes_back_exactly(
    distributed: Settings, server: RedisServer
) -> None:
    worker = answer_one(distributed, server)
    answer = ask(distributed, seconds=5)
    vector, fingerprint, kind, regions, own, composed, compared, mask, doubtful = answer
    worker.join()
    assert (fingerprint, kind, regions) == ("a fingerprint", "photograph", REGIONS)
    assert own is not None
    assert (composed, compared, doubtful) == (True, None, True)
    assert mask == pytest.approx(MASK, abs=0.01)
    for read, sent in ((vector, VECTOR), (own, OWN)):
        assert read.dtype == np.float32
        assert np.array_equal(read, sent)
    assert server.client.keys("lookalike:*") == []


def test_the_message_expires_with_the_deadline(distributed: Settings, server: RedisServer) -> None:
    with pytest.raises(EmbedderBusy, match="within"):
        ask(distributed, seconds=0.3)
    message: dict[str, Any] = json.loads(server.client.lindex(Queue.INTERACTIVE, 0))
    assert datetime.fromisoformat(message["headers"]["expires"]) <= datetime.now(UTC)


def test_an_answer_that_nobody_waits_for_is_soon_gone(
    distributed: Settings, server: RedisServer
) -> None:
    Replies(distributed).answer("YW4gaW1hZ2U=", "mean-colour", "nobody", embed=embed)
    assert 0 < server.client.pttl("nobody") <= 1000


def test_when_many_images_wait_the_next_is_refused_at_once(
    distributed: Settings, server: RedisServer
) -> None:
    for _ in range(MAX_WAITING):
        with pytest.raises(EmbedderBusy, match="within"):
            ask(distributed, seconds=0.01)
    with pytest.raises(EmbedderBusy, match="too many"):
        ask(distributed, seconds=FAR_TOO_LONG)
    assert server.client.llen(Queue.INTERACTIVE) == MAX_WAITING


def test_without_redis_an_image_is_refused_at_once_and_no_address_is_told(
    distributed: Settings, server: RedisServer
) -> None:
    server.kill(lose_data=True)
    with pytest.raises(EmbedderBusy) as raised:
        ask(distributed, seconds=FAR_TOO_LONG)
    assert raised.value.message == "the message broker does not answer"


def test_a_redis_without_memory_is_named(distributed: Settings, server: RedisServer) -> None:
    server.client.config_set("maxmemory", "1")
    remote = RemoteEmbedder(make_app(distributed), distributed)
    for _ in range(2):  # the second one is not tried
        with pytest.raises(EmbedderBusy, match="its memory is full"):
            remote(b"an image", spec="mean-colour", seconds=1)


def test_a_redis_that_dies_while_a_shopper_waits_ends_the_waiting(
    distributed: Settings, server: RedisServer
) -> None:
    killer = threading.Timer(0.3, server.kill, kwargs={"lose_data": True})
    killer.start()
    with pytest.raises(EmbedderBusy, match="broker"):
        ask(distributed, seconds=FAR_TOO_LONG)
    killer.join()


def test_what_keeps_the_worker_from_embedding_is_told_by_its_code_alone(
    distributed: Settings, server: RedisServer
) -> None:
    def fail(image: bytes, spec: str) -> EmbeddedQuery:
        raise WeightsUnavailable("no file /secret/path")

    worker = answer_one(distributed, server, fail)
    with pytest.raises(EmbedderBusy) as raised:
        ask(distributed, seconds=5)
    worker.join()
    assert raised.value.message == "a worker cannot embed the image: weights-unavailable"


def test_when_no_worker_answers_most_images_are_refused_at_once_until_one_does(
    distributed: Settings, server: RedisServer
) -> None:
    remote = RemoteEmbedder(make_app(distributed), distributed)

    def ask_it(seconds: float) -> EmbeddedQuery:
        return remote(b"an image", spec="mean-colour", seconds=seconds)

    for _ in range(UNANSWERED + 1):
        with pytest.raises(EmbedderBusy, match="within"):
            ask_it(0.01)
    with pytest.raises(EmbedderBusy, match="lately"):
        ask_it(FAR_TOO_LONG)

    server.client.delete(Queue.INTERACTIVE)
    worker = answer_one(distributed, server)

    def answered() -> bool:
        try:
            return ask_it(5).fingerprint == "a fingerprint"
        except EmbedderBusy:
            return False

    wait_for(answered)
    worker.join()
    worker = answer_one(distributed, server)
    assert ask_it(5)
    worker.join()


def test_what_a_worker_logs_of_an_image_names_the_request_that_it_came_with(
    distributed: Settings,
) -> None:
    def fail(image: bytes, spec: str) -> EmbeddedQuery:
        raise WeightsUnavailable("no file")

    app = make_app(distributed)
    worker: Any = SimpleNamespace(
        services=SimpleNamespace(local_encoder=SimpleNamespace(embed=fail))
    )
    tasks.register(app, worker, notify=lambda: None, replies=Replies(distributed))
    app.conf.task_default_queue = Queue.INTERACTIVE.value
    with (
        capture_logs(processors=[log_fields.merge]) as lines,
        start_worker(app, perform_ping_check=False, queues=[Queue.INTERACTIVE.value]),
        log_fields.added(request_id="r-4711"),
        pytest.raises(EmbedderBusy),
    ):
        ask(distributed, seconds=10)
    (line,) = (line for line in lines if line["event"] == "cannot embed an image")
    assert line["request_id"] == "r-4711"


def test_a_worker_of_an_earlier_release_knows_of_no_regions(
    distributed: Settings, server: RedisServer
) -> None:
    def work() -> None:
        raw = wait_for(lambda: server.client.rpop(Queue.INTERACTIVE), every=0.01)
        text = base64.b64encode(VECTOR.tobytes()).decode()
        answer = json.dumps({"vector": text, "fingerprint": "it", "kind": None})
        server.client.lpush(arguments(raw)[2], answer)

    worker = threading.Thread(target=work)
    worker.start()
    answer = ask(distributed, seconds=5)
    assert (answer.regions, answer.own, answer.mask) == (None, None, None)
    assert not answer.composed
    assert not answer.doubtful
    worker.join()
