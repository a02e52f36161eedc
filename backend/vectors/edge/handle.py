"""An open shard. When another shard replaces it, it is closed after its last call has ended."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from backend.errors import IndexUnavailable
from backend.filters import Schema
from backend.vectors.edge.folders import WriteCounter, remove
from backend.vectors.edge.shard import closed_on_error, engine_errors, has_graph, open_shard


class Handle:
    """An open shard, the process that opened it, and the number of calls under way."""

    def __init__(self, folder: Path, *, size: int, schema: Schema, tokens: bool) -> None:
        self.folder = folder
        self.pid = os.getpid()
        self.shard = open_shard(folder, size=size, schema=schema, tokens=tokens)
        with closed_on_error(self.shard):
            self.indexed = has_graph(self.shard)
            self.writes = _counter_of(folder)
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)  # calls, of a shard that was replaced
        self._calls = 0
        self._replaced = False

    def enter(self) -> bool:
        """Begin a call. False if the shard was replaced in the meantime: then take the new one."""
        with self._lock:
            self._calls += not self._replaced
            return not self._replaced

    def leave(self) -> None:
        """End a call."""
        with self._lock:
            self._calls -= 1
            if self._replaced:
                self._ended.notify_all()

    def close(self) -> None:
        """Close the shard at once; calls that are about to begin fail."""
        with engine_errors():
            self.shard.close()
        self.writes.close()

    def retire(self) -> None:
        """Refuse new calls, wait for those under way, then close the shard and delete it."""
        with self._lock:
            self._replaced = True
            self._ended.wait_for(lambda: not self._calls)
        with suppress(IndexUnavailable):  # it is deleted anyway
            self.close()
        remove(self.folder)
        remove(self.folder.with_name(f"{self.folder.name}.written"))


def _counter_of(folder: Path) -> WriteCounter:
    """Open the count of a shard's writes. Raises IndexUnavailable, as on a full disk."""
    try:
        return WriteCounter(folder.with_name(f"{folder.name}.written"))
    except OSError as error:
        raise IndexUnavailable(
            f"the embedded index cannot be opened: {error.strerror} (os error {error.errno})"
        ) from error
