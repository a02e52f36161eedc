"""A shopper's image, embedded by a worker while the shopper waits: both ends of the exchange.

The image is sent as a Celery message that expires with the deadline. The worker pushes its answer
onto a Redis list made for this one request, which expires too, and the caller pops it. This is safe
in any number of threads, and takes two commands instead of a Celery result's subscription.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import numpy as np
import structlog
from celery import Celery
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from backend import log_fields
from backend.embedders.regions import FoundRegion
from backend.errors import EmbedderBusy, LookalikeError
from backend.outages import Outages
from backend.search.query_image import EmbeddedQuery
from backend.settings import Settings
from backend.vectors import Vector
from workers import names
from workers.app import BROKER_ERRORS, broker_fault, count_waiting
from workers.broker_clock import BrokerClock
from workers.names import Queue

Embed: TypeAlias = Callable[[bytes, str], EmbeddedQuery]
"""(bytes of an image file, spec of the embedder) -> what it made of it."""

log = structlog.get_logger(__name__)

MAX_WAITING: Final = 32
"""Images in Redis that no worker has taken: more would expire before a worker reaches them."""


UNANSWERED: Final = 3
"""Images in a row that may get no answer before it counts as having no worker."""

PROBE_SECONDS: Final = 1.0
"""How often an image is sent then."""

WORKERS: Final = "interactive workers"
BROKER: Final = "the message broker"


class RemoteEmbedder:
    """Has the interactive workers embed an image. Safe to call from several threads.

    When several images in a row got no answer, no worker is there. Then one image at a time is sent
    to find out whether that has changed, and the others are refused at once.
    """

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._redis = _connect(settings)
        self._prefix = settings.redis_prefix
        self._clock = BrokerClock(str(settings.broker_url))
        self._outages = Outages(first_seconds=PROBE_SECONDS, longest_seconds=PROBE_SECONDS)
        self._fault = "does not answer"  # of the broker, when it last failed

    def __call__(self, image: bytes, *, spec: str, seconds: float) -> EmbeddedQuery:
        """Return what a worker made of it; raise EmbedderBusy when none answers in time."""
        if not self._outages.may_try(WORKERS):
            raise EmbedderBusy("no worker has answered lately")
        if not self._outages.may_try(BROKER):
            raise EmbedderBusy(f"{BROKER} {self._fault}")
        reply_to = f"{self._prefix}lookalike:reply:{uuid.uuid4().hex}"
        try:
            self._send(image, spec, reply_to, seconds)
            answer = self._redis.blpop([reply_to], timeout=seconds)
        except BROKER_ERRORS as error:
            self._outages.fail(BROKER, str(error))
            self._fault = broker_fault(error)
            raise EmbedderBusy(f"{BROKER} {self._fault}") from None
        self._outages.work(BROKER)
        if answer is None:
            self._outages.fail(WORKERS, "no answer", tolerated=UNANSWERED)
            raise EmbedderBusy(f"no worker embedded the image within {seconds:g} seconds")
        self._outages.work(WORKERS)
        return _read(cast("tuple[bytes, bytes]", answer)[1])

    def _send(self, image: bytes, spec: str, reply_to: str, seconds: float) -> None:
        with self._app.producer_pool.acquire(block=True) as producer:
            if count_waiting(producer.channel, Queue.INTERACTIVE) >= MAX_WAITING:
                raise EmbedderBusy("too many images wait for a worker")
            arguments = (base64.b64encode(image).decode(), spec, reply_to)
            headers = {names.REQUEST_ID: log_fields.current().get("request_id")}
            headers |= self._clock.stamp(seconds)
            self._app.send_task(
                names.EMBED, arguments, producer=producer, expires=seconds, headers=headers
            )


class Replies:
    """Embeds what `RemoteEmbedder` sent, and answers; an answer is kept as long as a deadline."""

    def __init__(self, settings: Settings) -> None:
        self._redis = _connect(settings)
        self._keep_ms = int(settings.interactive_seconds * 1000)

    def answer(self, image: str, spec: str, reply_to: str, *, embed: Embed) -> None:
        """Embed a base64 image and push the vector, or an error code, onto the list `reply_to`."""
        try:
            found = embed(base64.b64decode(image), spec)
        except LookalikeError as error:
            log.warning("cannot embed an image", code=error.code, error=error.message)
            answer: dict[str, Any] = {"error": error.code}
        else:
            answer = _write(found)
        with self._redis.pipeline() as pipeline:
            pipeline.lpush(reply_to, json.dumps(answer))
            pipeline.pexpire(reply_to, self._keep_ms)
            pipeline.execute()


def _connect(settings: Settings) -> Redis:
    """Make a client that tries once: by default it would retry for longer than a shopper waits."""
    return Redis.from_url(
        str(settings.broker_url),
        socket_connect_timeout=2,
        socket_timeout=settings.interactive_seconds + 1,
        retry=Retry(NoBackoff(), 0),
    )


def _write(found: EmbeddedQuery) -> dict[str, Any]:
    return {
        "vector": _write_vector(found.vector),
        "own": None if found.own is None else _write_vector(found.own),
        "composed": found.composed,
        "doubtful": found.doubtful,
        "fingerprint": found.fingerprint,
        "kind": found.kind,
        "regions": found.regions,
        "mask": None if found.mask is None else found.mask.round(2).tolist(),
    }


def _read(answer: bytes) -> EmbeddedQuery:
    document = json.loads(answer)
    if "error" in document:
        cause = document["error"]
        raise EmbedderBusy(f"a worker cannot embed the image: {cause}", cause=cause)
    # a worker of an earlier release knows neither of regions nor of masks
    regions, own, mask = (document.get(name) for name in ("regions", "own", "mask"))
    return EmbeddedQuery(
        vector=_read_vector(document["vector"]),
        own=None if own is None else _read_vector(own),
        composed=bool(document.get("composed")),
        doubtful=bool(document.get("doubtful")),
        fingerprint=str(document["fingerprint"]),
        kind=document.get("kind"),
        regions=None if regions is None else [_read_region(each) for each in regions],
        mask=None if mask is None else np.array(mask, np.float32),
    )


def _write_vector(vector: Vector) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _read_vector(written: str) -> Vector:
    return np.frombuffer(base64.b64decode(written), dtype="<f4").astype(np.float32)


def _read_region(written: list[Any]) -> FoundRegion:
    box, confidence, kind = written
    left, top, right, bottom = box
    return FoundRegion((left, top, right, bottom), confidence, kind)
