"""An operator's long tasks, such as a re-index or a check of the index.

Any process may request a job; one that has what the job needs runs it. Callers use
`from backend import jobs`, then `jobs.write(…)`. `records` requests, reads and cancels jobs,
`run` runs them, `reporting` writes their progress, `runners` knows which processes are there.
"""

from backend.jobs.records import (
    CANCELLED,
    DONE,
    ENDED,
    FAILED,
    IMPORT,
    QUEUED,
    RUNNING,
    add,
    ask_to_end,
    cancel,
    failed,
    newest,
    read,
    seconds_left,
    unfinished,
    write,
)
from backend.jobs.reporting import STALE_AFTER, Cancelled, Report, Superseded
from backend.jobs.run import Handler, Interrupted, Waiting, free, run_next
from backend.jobs.runners import why_idle

__all__ = [
    "CANCELLED",
    "DONE",
    "ENDED",
    "FAILED",
    "IMPORT",
    "QUEUED",
    "RUNNING",
    "STALE_AFTER",
    "Cancelled",
    "Handler",
    "Interrupted",
    "Report",
    "Superseded",
    "Waiting",
    "add",
    "ask_to_end",
    "cancel",
    "failed",
    "free",
    "newest",
    "read",
    "run_next",
    "seconds_left",
    "unfinished",
    "why_idle",
    "write",
]
