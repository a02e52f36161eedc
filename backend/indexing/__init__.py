"""Work off the queue: embed what is pending, apply what is embedded, reconcile the rest.

Each call is one claim's worth of work in one generation, safe to run from any number of processes
at once; who calls it, and how often, is not its concern.
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
