"""An operator's long tasks, such as a re-index or a check of the index.

Any process may request a job; one that has what the job needs runs it. Callers use
`from backend import jobs`, then `jobs.write(…)`. `records` requests and reads jobs, `run` runs
them, `reporting` writes their progress.
"""

from backend.jobs.records import (
    DONE,
    ENDED,
    FAILED,
    QUEUED,
    RUNNING,
    add,
    newest,
    read,
    seconds_left,
    unfinished,
    write,
)
from backend.jobs.reporting import Report
from backend.jobs.run import STALE_AFTER, Handler, Interrupted, Waiting, free, run_next

__all__ = [
    "DONE",
    "ENDED",
    "FAILED",
    "QUEUED",
    "RUNNING",
    "STALE_AFTER",
    "Handler",
    "Interrupted",
    "Report",
    "Waiting",
    "add",
    "free",
    "newest",
    "read",
    "run_next",
    "seconds_left",
    "unfinished",
    "write",
]
