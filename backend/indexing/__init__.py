"""Work off the queue: embed what is pending, apply what is embedded, reconcile the rest.

Each call of the first two works off one claim in one generation. Any number of processes may call
them at once.
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
