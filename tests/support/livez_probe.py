"""Asks `/livez` again and again from a process of its own, beside a server that is idle.

The process of a test has other threads, so its own waiting would count as the server's. The idle
server says how long an answer takes on this machine at that moment, whatever is asked.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from support.servers import free_port, wait_for

PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Probe:
    began: float  # time.monotonic(), which all processes of a host share
    took: float
    said: str
    idle: float  # seconds that the idle server needed

    @property
    def is_late(self) -> bool:
        """Whether it took a tenth of a second more than the machine was busy."""
        return self.took > 0.1 + self.idle


class LivezProbe:
    """The asking process, and what it has seen so far."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url).netloc
        self._idle = _start("idle", str(port := free_port()), stdout=subprocess.DEVNULL)
        wait_for(lambda: _ask(f"127.0.0.1:{port}")[1] == "200")
        self._asking = _start("ask", address, f"127.0.0.1:{port}", stdout=subprocess.PIPE)
        self.seen: list[Probe] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def stop(self) -> None:
        for one in (self._asking, self._idle):
            one.terminate()
            one.wait(10)
        self._reader.join()

    def during(self, since: float, until: float) -> list[Probe]:
        return [it for it in list(self.seen) if since <= it.began < until]

    def _read(self) -> None:
        assert self._asking.stdout is not None
        with self._asking.stdout as lines:
            for line in lines:
                self.seen.append(Probe(**json.loads(line)))


def _start(*arguments: str, stdout: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "support.livez_probe", *arguments],
        cwd=Path(__file__).parents[1],
        stdout=stdout,
        text=True,
    )


def _ask(address: str) -> tuple[float, str]:
    began = time.monotonic()
    said = "refused"
    with suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection(address, timeout=30)
        connection.request("GET", "/livez")
        said = str(connection.getresponse().status)
        connection.close()
    return time.monotonic() - began, said


def _ask_both(address: str, idle: str) -> None:
    while True:
        began = time.monotonic()
        took, said = _ask(address)
        print(json.dumps({"began": began, "took": took, "said": said, "idle": _ask(idle)[0]}))
        sys.stdout.flush()
        time.sleep(PAUSE_SECONDS)


async def _serve_idly(port: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "idle":
        asyncio.run(_serve_idly(int(sys.argv[2])))
    else:
        _ask_both(*sys.argv[2:])
