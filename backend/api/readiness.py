"""The checks of /readyz: side by side, in threads of their own, with a deadline for all of them.

A store that does not answer holds one thread for each check, and none of those that work on
requests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import structlog

from backend.own_threads import start_thread

log = structlog.get_logger(__name__)

Probe: TypeAlias = Callable[[], str | None]
"""Returns what is wrong with one part, or None."""

DEADLINE_SECONDS: Final = 2.0
"""Within this time all checks together have an answer, if only that there is none."""

OK: Final = "ok"

NO_THREAD: Final = "cannot be checked: the host starts no further thread of this process"

DATABASE: Final = "database"
BROKER: Final = "broker"
"""The name of the check of Redis, where there is one."""


@dataclass(frozen=True)
class Checked:
    """What one check found, and how many seconds ago; None: it has never ended."""

    found: str
    age: float | None

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.found == OK


class ReadinessCheck:
    """One check. Safe to call from several threads, of which one at most runs the probe."""

    def __init__(self, name: str, probe: Probe) -> None:
        self.name = name
        self._probe = probe
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._running = False
        self._began = 0.0
        self._last: tuple[str, float] | None = None  # what was found, and when

    def begin(self) -> None:
        """Run the probe in a thread, unless it is running."""
        with self._lock:
            if self._running:
                return
            self._running, self._began = True, time.monotonic()
            self._ended.clear()
        if start_thread(self._run, name=f"check {self.name}") is None:
            self._end(NO_THREAD)

    def result(self, *, until: float) -> Checked:
        """Return what the probe finds; or, when it has not ended by then, that it does not answer.

        Then the age is that of the last result. A probe that has been running for a while is not
        waited for again.
        """
        until = min(until, self._began + DEADLINE_SECONDS)
        self._ended.wait(max(0.0, until - time.monotonic()))
        now = time.monotonic()
        with self._lock:
            last, silent = self._last, now - self._began if self._running else None
        age = now - last[1] if last else None
        if silent is not None:
            before = f"; before, it was: {last[0]}" if last and last[0] != OK else ""
            return Checked(f"has not answered for {silent:.1f} s{before}", age)
        return Checked(last[0] if last else "has not been checked", age)

    def _run(self) -> None:
        try:
            found = self._probe() or OK
        except Exception as error:
            log.exception("a check failed", check=self.name, error=repr(error))
            found = "the check failed; the log has the reason"
        self._end(found)

    def _end(self, found: str) -> None:
        with self._lock:
            self._last, self._running = (found, time.monotonic()), False
            self._ended.set()


class Readiness:
    """All checks of one process."""

    def __init__(
        self, probes: Mapping[str, Probe], *, deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        self._checks = [ReadinessCheck(name, probe) for name, probe in probes.items()]
        self._deadline_seconds = deadline_seconds

    def check(self) -> dict[str, Checked]:
        """Run the checks that are not running; return what each one found, within the deadline."""
        return self._run(self._checks)

    def problem(self, name: str) -> str | None:
        """Run the check of a name, if there is one; return what is wrong, or None."""
        found = self._run([one for one in self._checks if one.name == name]).get(name)
        return None if found is None or found.is_ok else found.found

    def _run(self, checks: Sequence[ReadinessCheck]) -> dict[str, Checked]:
        until = time.monotonic() + self._deadline_seconds
        for one in checks:
            one.begin()
        return {one.name: one.result(until=until) for one in checks}


def document_of(found: Mapping[str, Checked]) -> dict[str, Any]:
    """Return the members of /readyz that show the checks."""
    return {
        "checks": {name: one.found for name, one in found.items()},
        "ages": {
            name: None if one.age is None else round(one.age, 1) for name, one in found.items()
        },
    }
