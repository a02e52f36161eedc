"""The process that builds one shard, seen by its parent."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from backend.database.models import utcnow
from backend.errors import IndexUnavailable
from backend.processes import describe_exit, start_module
from backend.vectors.edge.folders import BuildResult


class BuildProcess:
    """Runs `backend.indexing.build_shard`, from its start to its end."""

    def __init__(self, folder: Path, request: Mapping[str, Any]) -> None:
        self.folder = folder
        self.filled = 0
        self.total: int | None = None
        self._started = time.monotonic()
        self._line = b""
        self._last: dict[str, Any] = {}
        self._process = start_module(
            "backend.indexing.build_shard", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._send({**request, "folder": str(folder), "parent": os.getpid()})
        os.set_blocking(self._output, False)

    def _send(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin  # noqa: S101  (for the type checker)
        with suppress(BrokenPipeError), self._process.stdin as pipe:  # it may be dead already
            pipe.write(json.dumps(request).encode())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def _output(self) -> int:
        assert self._process.stdout  # noqa: S101  (for the type checker)
        return self._process.stdout.fileno()

    def has_ended(self) -> bool:
        """Read its progress, without waiting; return whether it has ended."""
        ended = self._process.poll() is not None
        self._read_progress()
        return ended

    def result(self) -> BuildResult:
        """Wait for the end, and return how the shard was built; raises IndexUnavailable if not."""
        status = self._process.wait()
        if status != 0 or "points" not in self._last:
            reason = self._last.get("error") or describe_exit(status)
            raise IndexUnavailable(f"the builder failed: {reason}")
        return BuildResult(
            at=utcnow().isoformat(timespec="seconds"),
            points=self._last["points"],
            seconds=round(time.monotonic() - self._started, 1),
            peak_bytes=self._last["peak_bytes"],
        )

    def stop(self) -> None:
        """Kill the process, if it still runs, and close its pipe."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _read_progress(self) -> None:
        while chunk := self._read():
            *lines, self._line = (self._line + chunk).split(b"\n")
            for line in lines:
                self._last = json.loads(line)
                self.filled = self._last.get("filled", self.filled)
                self.total = self._last.get("total", self.total)

    def _read(self) -> bytes:
        try:
            return os.read(self._output, 65536)
        except BlockingIOError:
            return b""
