"""Process the queue: embed what is pending, apply what is embedded; reconcile index and SQL.

A call of `embed_pending` or `apply_pending` processes one claim of one generation. Any number of
processes may call them at once.
"""

from backend.indexing.apply import apply_pending
from backend.indexing.drift import Drift
from backend.indexing.embed import EmbedOptions, embed_pending
from backend.indexing.payload import payload, schema
from backend.indexing.reconciliation import reconcile, reconcile_slice

__all__ = [
    "Drift",
    "EmbedOptions",
    "apply_pending",
    "embed_pending",
    "payload",
    "reconcile",
    "reconcile_slice",
    "schema",
]
