"""Calls from one process of a server to another one that was forked from the same master.

The master makes one pair of sockets before it forks, and keeps both ends. A caller makes a
connection of its own, and sends one end of it over that pair. So no name has to exist in a file
system, nobody else can connect, and what is sent while the answering process is being replaced
waits in the kernel for the next one. What is sent is pickled: both ends run the same program.
"""

from __future__ import annotations

import pickle
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

import structlog

from backend.errors import LookalikeError
from backend.own_threads import start_thread

log = structlog.get_logger(__name__)

Answer: TypeAlias = Callable[[str, tuple[Any, ...], dict[str, Any]], Any]
"""(name of the call, its arguments) -> what it returns. It may raise; the caller raises that."""

ANSWER_SECONDS: Final = 15.0
"""How long a call waits, also for the next process when the one that answers has just died."""

WAKE_SECONDS: Final = 0.5
"""How often the thread that takes connections looks whether it should end."""

_SIZE: Final = struct.Struct("!I")
_TIME: Final = struct.Struct("@ll")  # seconds, microseconds
_CHUNK: Final = 65536
_CLOSE_ON_EXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class NoAnswer(Exception):
    """The process that answers is dead, or takes too long."""


def make_pair() -> tuple[socket.socket, socket.socket]:
    """Return the end that callers use, and the one that `Answering` takes."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


class Caller:
    """Calls the answering process. Safe to use from several threads; made after the fork."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._idle: list[tuple[socket.socket, float]] = []  # with the seconds that they wait

    def call(self, name: str, *arguments: Any, seconds: float = ANSWER_SECONDS, **more: Any) -> Any:
        """Return what the other process answers, or raise what was raised there.

        A call may run twice, if the process dies before it answers. Raises NoAnswer.
        """
        sent = pickle.dumps((name, arguments, more), pickle.HIGHEST_PROTOCOL)
        try:
            is_good, answer = pickle.loads(self._exchange(sent, seconds))  # noqa: S301
        except (TimeoutError, BlockingIOError):
            raise NoAnswer(f"no answer within {seconds:g} s") from None
        except OSError as error:
            raise NoAnswer(str(error)) from None
        if is_good:
            return answer
        raise answer

    def _exchange(self, sent: bytes, seconds: float) -> bytes:
        """Send over a connection that waits for work; if that one is dead, over a new one."""
        with suppress(IndexError):
            connection, limit = self._idle.pop()
            with suppress(ConnectionError):
                if limit != seconds:
                    _limit_waits(connection, seconds)
                return self._exchange_over(connection, sent, seconds)
            self._forget_idle()
        return self._exchange_over(self._connect(seconds), sent, seconds)

    def _exchange_over(self, connection: socket.socket, sent: bytes, seconds: float) -> bytes:
        """Send over a connection that waits so many seconds for the other end."""
        try:
            _send(connection, sent)
            answer = _receive(connection)
        except BaseException:
            connection.close()  # a late answer must not be taken for that of another call
            raise
        self._idle.append((connection, seconds))
        return answer

    def _connect(self, seconds: float) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                _limit_waits(ours, seconds)
                self._requests.settimeout(seconds)
                socket.send_fds(self._requests, [b"c"], [theirs.fileno()])
            except BaseException:
                ours.close()
                raise
        return ours

    def _forget_idle(self) -> None:
        """Close the other connections to a process that is dead."""
        with suppress(IndexError):
            while True:
                self._idle.pop()[0].close()

    def close(self) -> None:
        """Close all connections."""
        self._forget_idle()


class Answering:
    """Answers the calls, each connection in a thread of its own."""

    def __init__(self, requests: socket.socket, answer: Answer) -> None:
        self._requests = requests
        self._answer = answer
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._take, name="calls", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections. Those that are there are answered until the process ends."""
        self._stopping.set()
        self._thread.join()

    def _take(self) -> None:
        self._requests.settimeout(WAKE_SECONDS)
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                _, descriptors, _, _ = socket.recv_fds(self._requests, 1, 1, _CLOSE_ON_EXEC)
                for one in descriptors:
                    connection = socket.socket(fileno=one)
                    connection.setblocking(True)
                    if start_thread(self._serve, connection, name="call") is None:
                        connection.close()  # the caller says that nobody answers

    def _serve(self, connection: socket.socket) -> None:
        """Answer the calls of one connection, until the caller closes it."""
        with connection, suppress(ConnectionError):
            while True:
                name, arguments, more = pickle.loads(_receive(connection))  # noqa: S301
                _send(connection, self._answered(name, arguments, more))

    def _answered(self, name: str, arguments: tuple[Any, ...], more: dict[str, Any]) -> bytes:
        try:
            answer = True, self._answer(name, arguments, more)
            return pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
        except LookalikeError as error:
            return pickle.dumps((False, error), pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            log.exception("a call failed", call=name, error=repr(error))
            return pickle.dumps((False, RuntimeError(repr(error))), pickle.HIGHEST_PROTOCOL)


def _limit_waits(connection: socket.socket, seconds: float) -> None:
    """Let the kernel limit each wait: Python's own timeout asks it twice each time."""
    limit = _TIME.pack(int(seconds), round(seconds % 1 * 1e6))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _send(connection: socket.socket, body: bytes) -> None:
    connection.sendall(_SIZE.pack(len(body)) + body)


def _receive(connection: socket.socket) -> bytes:
    """Return the next message. Raises ConnectionError when the other end is closed."""
    found = bytearray()
    size = _SIZE.size
    while len(found) < size:
        part = connection.recv(_CHUNK)
        if not part:
            raise ConnectionResetError("the other process has ended")
        found += part
        if size == _SIZE.size and len(found) >= size:
            size += _SIZE.unpack_from(found)[0]
    return bytes(memoryview(found)[_SIZE.size :])
