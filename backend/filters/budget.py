"""How large a filter may be: one budget over all its clauses, wherever it is written.

The same limits hold for a query string, a form and a JSON body. Each limit is a number that both
databases and both engines answer: tests ask for it, and for one more.
"""

from __future__ import annotations

from typing import Final

from backend.errors import FilterTooLarge

MOST_VALUES: Final = 1000
"""Values of all any-ofs and none-ofs together."""

MOST_CLAUSES: Final = 100
"""Clauses: each any-of, none-of and bound of a field is one."""

MOST_BYTES: Final = 65_536
"""Bytes of the filter: of its JSON, or of its parameters' names and values, in UTF-8."""


class Budget:
    """What is left for one filter. Each method raises FilterTooLarge, which names the limit."""

    def __init__(self) -> None:
        self._values = self._clauses = self._bytes = 0

    def spend_clause(self, values: int) -> None:
        """Count one clause with so many values; a bound has none."""
        self._clauses += 1
        if self._clauses > MOST_CLAUSES:
            raise FilterTooLarge(f"the filter has more than {MOST_CLAUSES} clauses")
        self._values += values
        if self._values > MOST_VALUES:
            raise FilterTooLarge(f"the filter has more than {MOST_VALUES} values in all clauses")

    def spend_bytes(self, size: int) -> None:
        """Count bytes, before they are read."""
        self._bytes += size
        if self._bytes > MOST_BYTES:
            raise FilterTooLarge(f"the filter has more than {MOST_BYTES} bytes")
