"""Generations: one index of the whole catalogue by one embedder.

A generation is building, then active, then standby (it still receives every write, so that a
rollback is instant), then retired, and in the end dropped. `rows` reads them, `states` starts one
without losing a concurrent write, `switching` changes their states.
"""

from backend.generations.rows import (
    active,
    active_or_none,
    blocks_of,
    by_id,
    check_fingerprint,
    in_state,
    live,
    store_blocks,
    store_most_images,
)
from backend.generations.states import EmbedderIdentity, IndexLayout, backfill, ensure_first, start
from backend.generations.switching import activate, drop, reactivate, retire_expired

__all__ = [
    "EmbedderIdentity",
    "IndexLayout",
    "activate",
    "active",
    "active_or_none",
    "backfill",
    "blocks_of",
    "by_id",
    "check_fingerprint",
    "drop",
    "ensure_first",
    "in_state",
    "live",
    "reactivate",
    "retire_expired",
    "start",
    "store_blocks",
    "store_most_images",
]
