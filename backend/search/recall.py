"""Recall of an approximate search: the share of the exact answer that it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from backend.vectors import Hit

NEIGHBOURS: Final = 10
"""Neighbours that are compared wherever recall or overlap is measured: recall@10."""

TIE: Final = 1e-5
"""Scores that differ by less are equal: of equal neighbours either may be named."""


def recall(found: Sequence[Hit], exact: Sequence[Hit]) -> float:
    """Return the share of the exact answer that was found, 0 to 1; 1 where the exact one is empty.

    A hit counts when the exact answer holds it, or when it scores no less than the last exact one.
    """
    if not exact:
        return 1.0
    ids, worst = {hit.id for hit in exact}, exact[-1].score - TIE
    good = sum(hit.id in ids or hit.score >= worst for hit in found)
    return min(1.0, good / len(exact))
