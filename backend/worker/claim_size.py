"""How much a worker claims at once: as much as takes it one and a half to three seconds."""

from __future__ import annotations

from typing import Final

FIRST: Final = 3
MOST: Final = 12
"""Batches of a claim. A few large claims cost less: at the start of each the network waits for the
first decoded images, at its end the decoders wait for the network, and each needs transactions and
a notification."""

SHORT_SECONDS: Final = 1.5
LONG_SECONDS: Final = 3.0
"""A longer claim is too large: a single write waits until the running claim is done."""


class ClaimSize:
    """The number of batches to claim next, learnt from how long the last claims took."""

    def __init__(self) -> None:
        self.batches = FIRST

    def learn(self, seconds: float) -> None:
        """Adapt the size to how long a claim of this size took."""
        if seconds < SHORT_SECONDS:
            self.batches = min(MOST, self.batches + 1)
        elif seconds > LONG_SECONDS:
            self.batches = max(1, self.batches // 2)
