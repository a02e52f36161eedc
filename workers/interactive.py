"""A shopper's picture, embedded by a worker while the shopper waits: both ends of the road.

The picture travels as a Celery message that expires with the deadline. The answer is pushed onto a
Redis list of its own, which expires too, and is popped by whoever asked: safe in any number of
threads, and two commands instead of the subscription that a Celery result takes.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from typing import Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import structlog
from celery import Celery
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend.errors import EmbedderBusy, LookalikeError
from backend.settings import Settings
from workers import names
from workers.app import BROKER_ERRORS, waiting
from workers.names import Queue

Vector: TypeAlias = npt.NDArray[np.float32]
Embed: TypeAlias = Callable[[bytes, str], tuple[Vector, str]]
"""(picture, spec of the embedder) -> (vector, fingerprint)."""

log = structlog.get_logger(__name__)

MAX_WAITING: Final = 32
"""Pictures in Redis that no worker has taken: more would expire before their turn."""


class RemoteEmbedder:
    """Asks the interactive workers. Safe to call from several threads."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._redis = _connect(settings)

    def __call__(self, picture: bytes, *, spec: str, seconds: float) -> tuple[Vector, str]:
        """Return (vector, fingerprint); raise EmbedderBusy when no worker answers in time."""
        reply_to = f"lookalike:reply:{uuid.uuid4().hex}"
        try:
            self._send(picture, spec, reply_to, seconds)
            answer = self._redis.blpop([reply_to], timeout=seconds)
        except BROKER_ERRORS as error:
            log.warning("a picture cannot be sent", error=str(error))
            raise EmbedderBusy("the message broker does not answer") from None
        if answer is None:
            raise EmbedderBusy(f"no worker embedded the picture within {seconds:g} seconds")
        return _read(cast("tuple[bytes, bytes]", answer)[1])

    def _send(self, picture: bytes, spec: str, reply_to: str, seconds: float) -> None:
        with self._app.producer_pool.acquire(block=True) as producer:
            if waiting(producer.channel, Queue.INTERACTIVE) >= MAX_WAITING:
                raise EmbedderBusy("too many pictures wait for a worker")
            arguments = (base64.b64encode(picture).decode(), spec, reply_to)
            self._app.send_task(names.EMBED, arguments, producer=producer, expires=seconds)


class Replies:
    """Answers, for the length of a deadline."""

    def __init__(self, settings: Settings) -> None:
        self._redis = _connect(settings)
        self._keep_ms = int(settings.interactive_seconds * 1000)

    def answer(self, picture: str, spec: str, reply_to: str, *, embed: Embed) -> None:
        """Embed a picture and push the vector, or what went wrong, to who asked for it."""
        try:
            vector, fingerprint = embed(base64.b64decode(picture), spec)
        except LookalikeError as error:
            log.warning("a picture cannot be embedded", code=error.code, error=error.message)
            answer = {"error": error.code}
        else:
            raw = base64.b64encode(vector.astype("<f4").tobytes()).decode()
            answer = {"vector": raw, "fingerprint": fingerprint}
        with self._redis.pipeline() as pipeline:
            pipeline.lpush(reply_to, json.dumps(answer))
            pipeline.pexpire(reply_to, self._keep_ms)
            pipeline.execute()


def _connect(settings: Settings) -> Redis:
    """Make a client that tries once: by default it would go on for longer than a shopper waits."""
    return Redis.from_url(
        str(settings.broker_url),
        socket_connect_timeout=2,
        socket_timeout=settings.interactive_seconds + 1,
        retry=Retry(NoBackoff(), 0),
    )


def _read(answer: bytes) -> tuple[Vector, str]:
    found = json.loads(answer)
    if "error" in found:
        cause = found["error"]
        raise EmbedderBusy(f"a worker cannot embed the picture: {cause}", cause=cause)
    vector = np.frombuffer(base64.b64decode(found["vector"]), dtype="<f4")
    return vector.astype(np.float32), str(found["fingerprint"])
