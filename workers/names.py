"""What goes over the wire: queues and tasks by name."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Queue(StrEnum):
    """A queue has workers of its own: a shopper must not wait behind a batch."""

    INDEX = "index"
    INTERACTIVE = "interactive"


WORK: Final = "lookalike.work"
RECONCILE: Final = "lookalike.reconcile"
REPORT: Final = "lookalike.report"
EMBED: Final = "lookalike.embed"
