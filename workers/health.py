"""Signs of life for health checks: a file that a worker or the scheduler touches as it works.

`lookalike health` reads the files. They lie in the folder for temporary files, which a container
does not share, so a check sees the processes of its own container. Neither the broker's address nor
its port matters, and no connection is opened.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TOUCH_SECONDS: Final = 1.0
"""Between two touches, however often the process shows life."""


@dataclass(frozen=True)
class Sign:
    """The newest sign of life of one process."""

    process: str  # such as worker-7, where 7 is its process id
    age: float  # seconds
    allowed: float  # seconds

    @property
    def is_good(self) -> bool:
        """Whether the sign is recent enough."""
        return self.age <= self.allowed


class SignOfLife:
    """The file of one process. `allowed_seconds` without a touch count as a failure."""

    def __init__(self, role: str, *, allowed_seconds: float, folder: Path | None = None) -> None:
        self._path = (folder or usual_folder()) / f"{role}-{os.getpid()}"
        self._allowed = allowed_seconds
        self._touched = 0.0

    def touch(self) -> None:
        """Show life; cheap enough to be called for every step."""
        now = time.monotonic()
        if now - self._touched < TOUCH_SECONDS:
            return
        self._touched = now
        with suppress(OSError):  # a full disk must not end a worker; the check will fail
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            self._path.write_text(f"{self._allowed}\n")

    def remove(self) -> None:
        """Remove the file: no process runs now, for example between a crash and the next start."""
        self._touched = 0.0
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def usual_folder() -> Path:
    """Return where the processes of this user keep their files."""
    return Path(tempfile.gettempdir()) / f"lookalike-health-{os.getuid()}"


def signs(folder: Path | None = None) -> list[Sign]:
    """Return the sign of each process that runs; files of killed processes are left out."""
    found = []
    for path in sorted((folder or usual_folder()).glob("*-*")):
        with suppress(OSError, ValueError):  # it ended a moment ago
            allowed, touched = float(path.read_text()), path.stat().st_mtime
            if _runs(int(path.name.rpartition("-")[2])):
                found.append(Sign(path.name, max(0.0, time.time() - touched), allowed))
    return found


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
