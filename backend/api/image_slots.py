"""Threads that requests with an image cannot take: the others are for all other requests.

Such a request waits for a decoder, and where Celery embeds also for a worker. Without a limit,
a few of them would take every thread, and queries by sku would wait with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final

from flask import Flask, current_app

from backend.api.problems import RETRY_SECONDS, RequestError

SLOTS: Final = "lookalike.image_slots"
"""Where an app keeps them: `app.extensions[SLOTS]`."""


def reserve_threads(app: Flask, *, threads: int) -> None:
    """Keep a quarter of an app's threads, at least one, from requests with an image.

    A single thread is kept for nobody: one such request may use it.
    """
    app.extensions[SLOTS] = BoundedSemaphore(max(1, threads - max(1, threads // 4)))


@contextmanager
def image_slot() -> Iterator[None]:
    """Hold one of the threads for images, or answer 503 at once when all of them are taken."""
    slots: BoundedSemaphore = current_app.extensions[SLOTS]
    if not slots.acquire(blocking=False):
        detail = "as many images are being worked on as this server takes at once"
        headers = {"Retry-After": str(RETRY_SECONDS[503])}
        raise RequestError(503, "too-many-images", detail, headers=headers)
    try:
        yield
    finally:
        slots.release()
