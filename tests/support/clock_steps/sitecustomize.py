"""For processes of a test: a host's clock that the test puts back and forward while they run.

Python imports this file at its start if this folder is on its path. The file `clock-offset` in the
process' working folder holds the seconds that are added to the real time, wherever the product
reads the host's clock. For a process whose host is always wrong, the variable `CLOCK_AHEAD` holds
them.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

READERS = {"backend.database.clock": "wall", "backend.database.models": "utcnow"}
"""Module -> its function that reads the host's clock."""

_FILE = Path("clock-offset").absolute()


def _stepped(read: Callable[[], datetime]) -> Callable[[], datetime]:
    def now() -> datetime:
        try:
            seconds = float(_FILE.read_text(encoding="ascii") or 0)
        except (OSError, ValueError):
            seconds = float(os.environ.get("CLOCK_AHEAD", "0"))
        return read() + timedelta(seconds=seconds)

    return now


class _Finder(MetaPathFinder):
    """Lets the two modules be loaded as ever, and then replaces their functions."""

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in READERS:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        assert spec is not None
        loader: Any = spec.loader
        load = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            reader = READERS[name]
            setattr(module, reader, _stepped(getattr(module, reader)))

        loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, _Finder())
