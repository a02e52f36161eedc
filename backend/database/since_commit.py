"""What was read of a database since its last commit: until the next one it need not be read again.

Only for a database that tells of each commit (`Database.version`): a SQLite file.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, TypeAlias

MOST_KEPT: Final = 20_000
"""Rows that are kept, of about 0.8 kB each; beyond it all are forgotten."""

Kept: TypeAlias = dict[Any, Any]
"""What was read, by its name: a product's id, or a text. Only `keep` adds to it."""


class SinceCommit:
    """Keeps what was read, by a name for each kind. Threads may share it.

    `version` returns what differs after each commit of any process, or None: then nothing is kept.
    """

    def __init__(self, version: Callable[[], int | None]) -> None:
        self._version = version
        self._all: tuple[int | None, dict[Hashable, Kept]] = (None, {})

    def now(self) -> dict[Hashable, Kept] | None:
        """Return what was read and is unchanged, by the names of kinds, None where nothing is kept.

        What is read after this call is at least as new as the version that it is kept for.
        """
        version = self._version()
        if version is None:
            return None
        known, kept = self._all
        if known != version:
            kept = {}
            self._all = version, kept
        return kept

    def keep(self, kept: Kept, read: Mapping[Any, Any]) -> None:
        """Add what was read to what `now` returned before it was read."""
        kept.update(read)
        others = self._all[1]
        if sum(map(len, others.values())) > MOST_KEPT:
            others.clear()

    def forget(self) -> None:
        """Forget all: versions begin anew."""
        self._all = None, {}
