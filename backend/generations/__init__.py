"""Generations: one index of the whole catalogue by one embedder.

A generation is building, then active, then standby (it goes on receiving every write, so that a
rollback is instant), then retired, and at last dropped. `rows` reads them, `starting` makes one
without losing a write that races it, `switching` changes their states, `dropping` clears away.
"""

from backend.generations.dropping import clear_away
from backend.generations.rows import (
    active,
    active_or_none,
    by_id,
    check_fingerprint,
    in_state,
    live,
)
from backend.generations.starting import Encoder, Layout, backfill, ensure_first, start
from backend.generations.switching import drop, promote, retire_expired, roll_back

__all__ = [
    "Encoder",
    "Layout",
    "active",
    "active_or_none",
    "backfill",
    "by_id",
    "check_fingerprint",
    "clear_away",
    "drop",
    "ensure_first",
    "in_state",
    "live",
    "promote",
    "retire_expired",
    "roll_back",
    "start",
]
