"""An operator's re-index: ask for it, build it, check it, promote it, go back.

The work itself is the queue's: a building generation's rows are worked off as any others are. What
is here runs as jobs, a short step at a time, so that the process that runs them goes on working.
Reading order: `asking` (what is asked for), `building`, `deciding` (promote and roll back),
`upkeep` (what happens by itself), `describing`.
"""

from backend.reindexing.asking import Plan, request, request_promotion
from backend.reindexing.building import handlers
from backend.reindexing.deciding import roll_back
from backend.reindexing.describing import describe, listed
from backend.reindexing.upkeep import follow_settings, publish_active, tidy

__all__ = [
    "Plan",
    "describe",
    "follow_settings",
    "handlers",
    "listed",
    "publish_active",
    "request",
    "request_promotion",
    "roll_back",
    "tidy",
]
