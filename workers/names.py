"""The names of queues and tasks in messages. Releases share them: they must not change."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Queue(StrEnum):
    """The queues. Each has its own workers, so that a shopper does not wait behind a batch."""

    INDEX = "index"
    INTERACTIVE = "interactive"


WORK: Final = "lookalike.work"
RECONCILE: Final = "lookalike.reconcile"
REPORT: Final = "lookalike.report"
EMBED: Final = "lookalike.embed"

REQUEST_ID: Final = "lookalike_request_id"
"""The header of a message on behalf of a request; other releases ignore it."""
