"""Cells of files with types that give no value: they are left out, with a warning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.feed import RowWarning, WarningKind


@dataclass(frozen=True)
class WrongCell:
    """A cell that gives no value, and why."""

    reason: str


def record_of(number: int, values: Sequence[Any], columns: Sequence[str]) -> TableRecord:
    """Make a record; a cell that could not be read is left out, with a warning."""
    wrong = [at for at, value in enumerate(values) if isinstance(value, WrongCell)]
    if not wrong:
        return TableRecord(number, values)
    kept = [None if isinstance(value, WrongCell) else value for value in values]
    texts = (f"{columns[at]}: {values[at].reason}; left out" for at in wrong)
    warnings = tuple(RowWarning(WarningKind.VALUE, text) for text in texts)
    return TableRecord(number, kept, warnings)
