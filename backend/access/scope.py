"""The scopes of API keys. Kept apart from `keys`: the command line needs it without SQL."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """What a key allows. Each scope includes those before it."""

    READ = "read"
    INGEST = "ingest"
    ADMIN = "admin"

    def includes(self, other: Scope) -> bool:
        """Tell whether this scope allows what needs the scope `other`."""
        return _ORDER[self] >= _ORDER[other]


_ORDER: Final = {scope: number for number, scope in enumerate(Scope)}
