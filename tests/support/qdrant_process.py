"""The double of a Qdrant server as a process of its own, which can be stopped and come back.

What it holds is on disk. Files in its folder have it refuse: `denied` every key, `full` writes.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from qdrant_client import QdrantClient

from support.qdrant_wire import Wire
from support.servers import free_port, wait_for

WRITES = ("UpsertPoints", "SetPayloadPoints", "DeletePoints", "CreateCollection")


class QdrantProcess:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.qdrant_process", str(self.folder), str(self.port)],
            cwd=Path(__file__).parents[1],
        )
        wait_for(self._answers, seconds=60)

    def stop(self, *, kill: bool = False) -> None:
        if self.process is not None and self.process.poll() is None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(30)

    def _answers(self) -> bool:
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=1)
            except grpc.FutureTimeoutError:
                return False
        return True


class RefusingWire(Wire):
    """Answers as the files in its folder say."""

    folder: Path

    def answer(self, handle: Callable[[], Any], request: Any, context: Any) -> Any:
        self.seen.clear()
        if (self.folder / "denied").exists():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "Invalid API key or JWT")
        if (self.folder / "full").exists() and type(request).__name__ in WRITES:
            context.abort(grpc.StatusCode.INTERNAL, "No space left on device (os error 28)")
        return super().answer(handle, request, context)


def main() -> None:
    warnings.simplefilter("ignore")
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    local = QdrantClient(path=str(folder / "storage"), force_disable_check_same_thread=True)
    wire = RefusingWire(local=local, port=port)
    wire.folder = folder
    threading.Event().wait()


if __name__ == "__main__":
    main()
