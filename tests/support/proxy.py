"""A TCP proxy before a server that delays, swallows, cuts or refuses what passes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Passes connections on to a port of this host, as its attributes say at each moment.

    `silent`: nothing passes, and nothing is closed. `delay`: seconds before each piece passes.
    `cut_after`: connections are closed after so many bytes of answers.
    """

    def __init__(self, target: int | str, *, port: int = 0) -> None:
        self._target = target  # a port, or the path of a socket
        self.silent = False
        self.delay = 0.0
        self.cut_after: int | None = None
        self.accepted = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self.port = port
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuse new connections and close the others, as a server does that ends."""
        if self._listener:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """Close all connections."""
        with self._lock:
            found, self._open = self._open, set()
        for one in found:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    @contextmanager
    def silenced(self) -> Iterator[None]:
        self.silent = True
        try:
            yield
        finally:
            self.silent = False

    @contextmanager
    def away(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = self._connect()
        except OSError:
            client.close()
            return
        with self._lock:
            self._open |= {client, server}
        back = threading.Thread(target=self._pump, args=(server, client, True), daemon=True)
        back.start()
        self._pump(client, server, False)
        back.join()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()

    def _connect(self) -> socket.socket:
        if isinstance(self._target, int):
            return socket.create_connection(("127.0.0.1", self._target))
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(self._target)
        except OSError:
            made.close()
            raise
        return made

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65_536):
                while self.silent:
                    time.sleep(0.02)
                time.sleep(self.delay)
                cut_after = self.cut_after  # a test may end the fault meanwhile
                if answers and cut_after is not None:
                    target.sendall(data[: max(0, cut_after - passed)])
                    passed += len(data)
                    if passed >= cut_after:
                        break
                else:
                    target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(target: int | str) -> Iterator[Proxy]:
    made = Proxy(target)
    try:
        yield made
    finally:
        made.stop()
