"""An open shard that calls can hold on to while another takes its place."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from backend.errors import IndexUnavailable
from backend.filters import Schema
from backend.vectors.edge.folders import Tally, remove
from backend.vectors.edge.shard import engine_errors, has_graph, open_shard


class Handle:
    """An open shard, who opened it, and how many calls it answers at the moment."""

    def __init__(self, folder: Path, *, size: int, schema: Schema) -> None:
        self.folder = folder
        self.pid = os.getpid()
        self.shard = open_shard(folder, size=size, schema=schema)
        self.indexed = has_graph(self.shard)
        self.tally = Tally(folder.with_name(f"{folder.name}.written"))
        self._changed = threading.Condition()
        self._calls = 0
        self._replaced = False

    def enter(self) -> bool:
        """Begin a call; False when the shard was replaced since it was looked up."""
        with self._changed:
            self._calls += not self._replaced
            return not self._replaced

    def leave(self) -> None:
        """End a call."""
        with self._changed:
            self._calls -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Close the shard, also under calls that are about to begin: they fail."""
        with engine_errors():
            self.shard.close()
        self.tally.close()

    def retire(self) -> None:
        """Take no more calls, wait for those under way, then close the shard and delete it."""
        with self._changed:
            self._replaced = True
            self._changed.wait_for(lambda: not self._calls)
        with suppress(IndexUnavailable):  # nobody needs it any more
            self.close()
        remove(self.folder)
        remove(self.folder.with_name(f"{self.folder.name}.written"))
