"""Connections of one listening socket that several processes share: about as many for each.

An event loop accepts all connections that wait at once. So of a client's pool, which opens its
connections together and keeps them, one process would get nearly all, and the others would be idle.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger(__name__)

REST_SECONDS: Final = 0.001
"""How long the other processes may accept what waits, after this one has accepted a connection."""

WITHOUT_DESCRIPTORS_SECONDS: Final = 1.0
"""The same, when this process may open no more files."""


class Acceptor:
    """Accepts one connection at a time; takes the place of an `asyncio.Server`."""

    def __init__(self, listener: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        """`make` makes the protocol of a connection."""
        self._listener = listener
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._begun: set[asyncio.Task[object]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._is_closed = False
        listener.setblocking(False)
        self._wait()

    def close(self) -> None:
        """Accept no more."""
        self._is_closed = True
        if self._resting:
            self._resting.cancel()
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Return when connections that were accepted have begun."""
        if self._begun:
            await asyncio.wait(self._begun)

    def _wait(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was first, or the client has gone
        except OSError as error:  # too many open files
            log.warning("cannot accept a connection", error=str(error))
            self._rest(WITHOUT_DESCRIPTORS_SECONDS)
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._begin(connection))
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        self._rest(REST_SECONDS)

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._resting = self._loop.call_later(seconds, self._wait)

    async def _begin(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, connection)
        except OSError as error:  # the client has gone
            connection.close()
            log.debug("a connection did not begin", error=str(error))
