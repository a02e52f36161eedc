"""An operator's re-index: request it, build it, check it, promote it, roll back.

The queue does the work itself: the rows of a building generation are processed like all others. The
code here runs as jobs, in short steps, so that the process can work on the queue in between.
Reading order: `requests` (what can be requested), `automatic` (the adaptation that begins by
itself), `job` (the steps), `checks` (the measurements), `decide` (promote and roll back), `cleanup`
(delete what retired generations left), `describe`.
"""

from backend.reindex.automatic import request_adaptation
from backend.reindex.automatic import unfinished as unfinished_adaptation
from backend.reindex.cleanup import clean_up
from backend.reindex.decide import Promoter, bounds_of
from backend.reindex.describe import describe, described, listed
from backend.reindex.job import ReindexJobs
from backend.reindex.requests import ReindexPlan, follow_settings, request, request_promotion

__all__ = [
    "Promoter",
    "ReindexJobs",
    "ReindexPlan",
    "bounds_of",
    "clean_up",
    "describe",
    "described",
    "follow_settings",
    "listed",
    "request",
    "request_adaptation",
    "request_promotion",
    "unfinished_adaptation",
]
