"""What API keys are for; a module of its own, since the command line needs it before SQL."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """What a key is for. Each scope includes those before it."""

    READ = "read"
    INGEST = "ingest"
    ADMIN = "admin"

    def includes(self, other: Scope) -> bool:
        """Tell whether who has this scope may do what `other` is needed for."""
        order = list(Scope)
        return order.index(self) >= order.index(other)
