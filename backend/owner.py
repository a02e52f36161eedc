"""The one owner of the embedded index: a lock, and beside it the address where it answers."""

from __future__ import annotations

import json
import os
from pathlib import Path

from filelock import FileLock, Timeout

from backend.errors import IndexLocked


class Owner:
    """The right to open the embedded index of one data folder. Freed when its process dies."""

    def __init__(self, data_dir: Path) -> None:
        self._lock = FileLock(data_dir / "owner.lock", is_singleton=False, thread_local=False)
        self._address = data_dir / "owner.json"

    def acquire(self, *, url: str | None = None) -> None:
        """Become the owner, announcing the address where this process answers HTTP.

        Raises IndexLocked when another process is the owner.
        """
        self._address.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise IndexLocked(f"another process owns the index: {self.describe()}") from None
        announcement = self._address.with_suffix(".tmp")
        announcement.write_text(json.dumps({"pid": os.getpid(), "url": url}))
        announcement.replace(self._address)

    @property
    def is_here(self) -> bool:
        """Whether this process is the owner."""
        return self._lock.is_locked

    def release(self) -> None:
        """Stop being the owner."""
        if self.is_here:
            self._address.unlink(missing_ok=True)
            self._lock.release()

    @property
    def url(self) -> str | None:
        """The address that the present owner announced, if it serves."""
        url = self._read().get("url")
        return str(url) if url else None

    def describe(self) -> str:
        """Say who the owner is, as far as it announced itself."""
        found = self._read()
        where = f", serving {found['url']}" if found.get("url") else ""
        return f"process {found.get('pid', 'unknown')}{where}"

    def _read(self) -> dict[str, object]:
        try:
            content = json.loads(self._address.read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}
