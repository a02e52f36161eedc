"""Asks `/livez` again and again from a process of its own, and sees what kept an answer waiting.

The process of a test has other threads, so its own waiting would count as the server's. What the
server's threads waited for a processor is counted apart (Linux): other programs of a busy machine
are no fault of the server.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from support.servers import wait_for

PAUSE_SECONDS = 0.05
LATE_SECONDS = 0.1


@dataclass(frozen=True)
class Probe:
    began: float  # time.monotonic(), which all processes of a host share
    took: float
    said: str
    queued: float  # seconds that the server's threads together waited for a processor meanwhile

    @property
    def is_late(self) -> bool:
        """Whether it took longer than it should, and not because the machine was busy."""
        return self.took > LATE_SECONDS + self.queued


class LivezProbe:
    """The asking process, and what it has seen so far; `pids` are the server's processes."""

    def __init__(self, url: str, pids: Sequence[int]) -> None:
        self._asking = subprocess.Popen(
            [sys.executable, "-m", "support.livez_probe", urlsplit(url).netloc, *map(str, pids)],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.seen: list[Probe] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_for(lambda: self.seen, seconds=60)

    def stop(self) -> None:
        self._asking.terminate()
        self._asking.wait(10)
        self._reader.join()

    def during(self, since: float, until: float) -> list[Probe]:
        return [it for it in list(self.seen) if since <= it.began < until]

    def _read(self) -> None:
        assert self._asking.stdout is not None
        with self._asking.stdout as lines:
            for line in lines:
                self.seen.append(Probe(**json.loads(line)))


def seconds_queued(pids: Sequence[str]) -> dict[Path, float]:
    """How long each thread of these processes has waited for a processor in all its life."""
    found: dict[Path, float] = {}
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with suppress(OSError):  # it has ended
                found[thread] = int(thread.read_text().split()[1]) / 1e9
    return found


def ask(address: str) -> str:
    """Return the status of an answer, or `refused`."""
    with suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection(address, timeout=30)
        connection.request("GET", "/livez")
        status = connection.getresponse().status
        connection.close()
        return str(status)
    return "refused"


def main(address: str, *pids: str) -> None:
    while True:
        before, began = seconds_queued(pids), time.monotonic()
        said = ask(address)
        took = time.monotonic() - began
        after = seconds_queued(pids)
        queued = sum(seconds - before.get(thread, 0) for thread, seconds in after.items())
        seen = Probe(began, took, said, queued)
        print(json.dumps(vars(seen)), flush=True)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
