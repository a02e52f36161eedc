"""An operator's re-index: request it, build it, check it, promote it, roll back.

The work itself is the queue's: a building generation's rows are worked off as any others are. What
is here runs as jobs, a short step at a time, so that the process that runs them goes on working.
Reading order: `requests` (what is asked for), `job` (the steps), `checks` (the measurements),
`decide` (promote and roll back), `cleanup` (what retired generations left), `describe`.
"""

from backend.reindex.cleanup import clean_up
from backend.reindex.decide import Promoter, bounds_of
from backend.reindex.describe import describe, listed
from backend.reindex.job import ReindexJobs
from backend.reindex.requests import ReindexPlan, follow_settings, request, request_promotion

__all__ = [
    "Promoter",
    "ReindexJobs",
    "ReindexPlan",
    "bounds_of",
    "clean_up",
    "describe",
    "follow_settings",
    "listed",
    "request",
    "request_promotion",
]
