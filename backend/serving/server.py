"""The event loop of one API process: uvicorn with our protocol, and how it stops."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn

from backend.serving.accepting import Acceptor
from backend.serving.gateway import Gateway
from backend.serving.limits import HttpLimits
from backend.serving.protocol import Connection

DRAIN_SECONDS = 10
"""How long requests may go on when the process stops."""

BEAT_SECONDS = 1


class Server(uvicorn.Server):
    """Serves until SIGTERM, SIGINT, or the end of the master; `on_stop` is called then."""

    def __init__(
        self,
        gateway: Gateway,
        *,
        limits: HttpLimits,
        master: socket.socket,
        max_requests: int,
        on_stop: Callable[[], None],
        shares_listener: bool = False,
    ) -> None:
        """With `shares_listener`, other processes accept connections of the same socket."""
        self._gateway = gateway
        self._shares_listener = shares_listener
        self._master = master
        self._on_stop = on_stop
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        super().__init__(
            uvicorn.Config(
                gateway,
                http=type("LimitedConnection", (Connection,), {"limits": limits}),
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=int(limits.keep_alive),
                timeout_graceful_shutdown=DRAIN_SECONDS,
                limit_max_requests=max_requests or None,
                limit_max_requests_jitter=max_requests // 10,
                callback_notify=self._beat,
                timeout_notify=BEAT_SECONDS,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections, and to listen to signals and to the master."""
        loop = asyncio.get_running_loop()
        self._master.setblocking(False)
        loop.add_reader(self._master, self._hear_master)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                loop.add_signal_handler(number, self._stop)
        if not self._shares_listener:
            await super().startup(sockets)
            return
        await super().startup([])
        self.servers = [Acceptor(each, self._make_connection) for each in sockets or []]  # type: ignore[misc]

    def _make_connection(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections and finish the requests that have begun."""
        self._stop()
        self._gateway.stop()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: uvicorn would end the process by the signal again."""
        yield

    def _stop(self) -> None:
        if not self.should_exit:
            self.should_exit = True
            self._on_stop()

    def _hear_master(self) -> None:
        """Stop when the master has died: nobody would replace or stop this process."""
        with suppress(ConnectionError):  # a reset is an end too: it has not read our bytes
            if self._master.recv(64):
                return
        asyncio.get_running_loop().remove_reader(self._master)
        self._stop()

    async def _beat(self) -> None:
        """Show the master that the loop is alive."""
        with suppress(OSError):
            self._master.send(b".")
