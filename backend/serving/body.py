"""Read the body of a request before a thread is taken: within a limit, a budget and a deadline."""

from __future__ import annotations

import asyncio
from io import BytesIO
from tempfile import TemporaryFile
from typing import BinaryIO, Final, cast

from uvicorn._types import ASGIReceiveCallable

from backend.api.problems import RequestError
from backend.serving.limits import HttpLimits

SMALL: Final = 65_536
"""Bytes of a body that do not count for the budget: uvicorn holds as much for each connection."""

DRAINED: Final = 4
"""A body of up to so many times the limit is read and discarded, so that its client, which may be
unable to read while it writes, sees the answer."""

MOST_ON_DISK: Final = 4
"""So many bodies may lie on the disk at once: their clients need not have shown a key yet."""

STOP_SECONDS: Final = 2.0
"""How long a body may go on arriving when the server stops."""


class Disconnected(Exception):
    """The client has gone before its request was complete."""


class Bodies:
    """Reads the bodies of all requests of a process, whose bytes count together."""

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self.buffered = self.on_disk = 0
        self._deadlines: set[asyncio.Timeout] = set()
        self._stopping = False

    def stop(self) -> None:
        """Let bodies that are arriving end soon, and those that do not with 503."""
        self._stopping = True
        until = asyncio.get_running_loop().time() + STOP_SECONDS
        for deadline in self._deadlines:
            deadline.reschedule(min(until, deadline.when() or until))

    async def read(self, receive: ASGIReceiveCallable, *, upload: int | None = None) -> Body:
        """Return a body. Raises the 408 or 503, or Disconnected; then nothing of it is kept.

        With `upload` it may have so many bytes, and lies on the disk.
        """
        body = Body(self) if upload is None else self._on_disk(upload)
        try:
            await self._fill(body, receive)
        except BaseException:
            body.release()
            raise
        return body

    def _on_disk(self, limit: int) -> Body:
        if self.on_disk >= MOST_ON_DISK:
            detail = "too many large bodies are arriving at once"
            raise RequestError(503, "server-busy", detail, headers={"Retry-After": "5"})
        return BodyOnDisk(self, limit=limit)

    async def _fill(self, body: Body, receive: ASGIReceiveCallable) -> None:
        limits, loop = self._limits, asyncio.get_running_loop()
        began = loop.time()
        until = asyncio.timeout(STOP_SECONDS if self._stopping else limits.seconds)
        self._deadlines.add(until)
        try:
            async with until:
                while await self._take(body, receive):
                    if not self._stopping:
                        more = body.received / limits.bytes_per_second
                        until.reschedule(began + limits.seconds + more)
        except TimeoutError:
            raise self._late(body) from None
        finally:
            self._deadlines.discard(until)

    async def _take(self, body: Body, receive: ASGIReceiveCallable) -> bool:
        """Take a part of a body; return whether more is to come, and to be read."""
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        part = message.get("body", b"")
        body.received += len(part)
        limit = self._limits.body if body.limit is None else body.limit
        if body.received <= limit:
            body.file.write(part)
            self._count(body)
        most = DRAINED * self._limits.body + (body.limit or 0)
        return message.get("more_body", False) and body.received <= most

    def _count(self, body: Body) -> None:
        counted = 0 if body.limit else max(0, body.file.tell() - SMALL)
        self.buffered += counted - body.counted
        body.counted = counted
        if counted and self.buffered > self._limits.buffered:
            detail = "too many large bodies are arriving at once"
            raise RequestError(503, "server-busy", detail, headers={"Retry-After": "5"})

    def release(self, body: Body) -> None:
        """Give the bytes of a body back."""
        self.buffered -= body.counted
        body.counted = 0
        if isinstance(body, BodyOnDisk):
            self.on_disk -= 1

    def _late(self, body: Body) -> RequestError:
        if self._stopping:
            detail = "the server is stopping"
            return RequestError(503, "server-stopping", detail, headers={"Retry-After": "5"})
        return RequestError(
            408,
            "request-timeout",
            f"only {body.received:,} bytes of the body arrived in time: a body may stand still for "
            f"{self._limits.seconds:g} s, and has to bring {self._limits.bytes_per_second:,} "
            "bytes/s on average",
        )


class Body:
    """The body of one request. `received` may exceed the file, which then is incomplete."""

    limit: int | None = None  # None: as of all bodies

    def __init__(self, bodies: Bodies) -> None:
        self.file: BinaryIO = BytesIO()
        self.received = 0
        self.counted = 0
        self._bodies = bodies

    def release(self) -> None:
        """Free what the body holds."""
        self._bodies.release(self)
        self.file.close()
        self.file = BytesIO()


class BodyOnDisk(Body):
    """A body that lies on the disk, and so counts for no budget of memory."""

    def __init__(self, bodies: Bodies, *, limit: int) -> None:
        super().__init__(bodies)
        self.limit = limit
        bodies.on_disk += 1
        self.file = cast("BinaryIO", TemporaryFile())  # noqa: SIM115  # `release` closes it
