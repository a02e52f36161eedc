"""How much a worker takes at once: as much as lasts a second or two, on whatever it runs."""

from __future__ import annotations

from typing import Final

FIRST: Final = 3
MOST: Final = 12
"""Batches of a claim. At its begin the network waits for the first decoded pictures, at its end the
decoders for the network, and around it are transactions and a knock: few large claims cost less."""

SHORT_SECONDS: Final = 1.0
LONG_SECONDS: Final = 3.0
"""But a single write waits until the claim in hand is done."""


class ClaimSize:
    """The number of batches to take next, learnt from how long the last ones took."""

    def __init__(self) -> None:
        self.batches = FIRST

    def learn(self, seconds: float) -> None:
        """Take note of how long a claim of this size took."""
        if seconds < SHORT_SECONDS:
            self.batches = min(MOST, self.batches + 1)
        elif seconds > LONG_SECONDS:
            self.batches = max(1, self.batches // 2)
