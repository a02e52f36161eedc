"""Half-open clients, probes and faults for `make prove-siege`, which has them all at once."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

PATIENCE = 40  # seconds in which every request is answered, if only by a refusal


class HalfOpenClients:
    """Connections that sent half a header or half a body; one that is closed is opened anew."""

    def __init__(self, address: Callable[[], str | None], count: int) -> None:
        self._address, self._count = address, count
        self._open: list[socket.socket] = []
        self.answers: Counter[str] = Counter()  # the first lines of what the server sent

    def step(self) -> None:
        """Read what came, and fill up."""
        for client in list(self._open):
            self._look_at(client)
        while len(self._open) < self._count and self._connect(len(self._open)):
            pass

    def close(self) -> None:
        for client in self._open:
            client.close()

    def _look_at(self, client: socket.socket) -> None:
        try:
            data = client.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.answers[data.partition(b"\r\n")[0].decode("latin-1")] += 1
        client.close()
        self._open.remove(client)

    def _connect(self, number: int) -> bool:
        parts = urlsplit(self._address() or "")
        if not parts.port:
            return False
        try:
            client = socket.create_connection((parts.hostname, parts.port), timeout=5)
            client.sendall(_HALF_HEADER if number % 2 else _HALF_BODY)
        except OSError:
            return False
        client.setblocking(False)
        self._open.append(client)
        return True


_HALF_HEADER = b"GET /v1/products HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "
_HALF_BODY = (
    b"POST /v1/similar HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"
    b"Content-Length: 100000\r\n\r\n" + bytes(500)
)


@dataclass
class Statuses:
    """Counts the statuses of one kind of request; 0 where nobody answered."""

    kind: str
    counts: Counter[int] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)  # codes of the problem documents

    def send(self, method: str, url: str, **options: Any) -> None:
        try:
            answer = requests.request(method, url, timeout=PATIENCE, **options)
        except requests.RequestException:
            self.counts[0] += 1
            return
        self.counts[answer.status_code] += 1
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json", answer.text[:200]
            self.reasons[answer.json()["code"]] += 1


@dataclass(frozen=True)
class Probed:
    """One call of /livez: when, how long it took in seconds, and its status (0: no answer)."""

    at: float
    took: float
    status: int


class LivenessProbe:
    """Asks /livez from a new connection each time."""

    def __init__(self, address: Callable[[], str | None]) -> None:
        self._address = address
        self.calls: list[Probed] = []

    def step(self) -> None:
        began = time.monotonic()
        status = 0
        with suppress(requests.RequestException):
            status = requests.get(f"{self._address()}/livez", timeout=PATIENCE).status_code
        self.calls.append(Probed(began, time.monotonic() - began, status))

    def outside(self, pauses: Sequence[tuple[float, float]]) -> list[Probed]:
        """Return the calls that no pause touches, such as that between a kill and a restart."""
        return [
            call
            for call in self.calls
            if not any(since <= call.at + call.took and call.at <= until for since, until in pauses)
        ]


@contextmanager
def full_disk(folder: Path) -> Iterator[bool]:
    """Fill the file system of a folder to its last byte; say whether it could be done."""
    ballast = folder / "ballast"
    try:
        # Without a buffer: what is left in one is written at the end, outside `suppress`.
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(65_536))
        yield True
    finally:
        ballast.unlink(missing_ok=True)
