"""The queue: what each generation still has to do for each product, as a few numbers in SQL.

Callers use `from backend import queue`, then `queue.claim(…)`. Reading order:

1. `entries`: the row, its two stages, and the conditions that all statements share
2. `requesting`: request work, in the transaction that changes a product
3. `claims`: take due rows for the time of a lease
4. `settlements`: record that claimed work is done
5. `failed_claims`: record why it failed; the quarantine
6. `postponing`: rows that wait for the host, which are not at fault
7. `unreturned`: claims that are given back when the database answers again
8. `backfill`: the entries of a new generation
9. `progress`, `counting`: how far a generation is
"""

from backend.queue.claims import claim, first_due, free_leases, is_busy, is_due
from backend.queue.entries import (
    IMPORT,
    REINDEX,
    SINGLE,
    Claimed,
    FurtherImages,
    Stage,
    waits_for,
)
from backend.queue.failed_claims import (
    EXHAUSTED,
    await_image,
    fail,
    fail_apply,
    quarantine_exhausted,
)
from backend.queue.postponing import (
    WaitingRows,
    count_waiting,
    heal,
    postpone,
    postpone_apply,
    waiting_by_reason,
    waits_for_host,
)
from backend.queue.requesting import (
    forget_points,
    is_awaited_due,
    request,
    request_again,
    request_anew,
    request_removal,
    wake_awaited,
)
from backend.queue.settlements import (
    send_back,
    settle_embedded,
    settle_indexed,
    still_ours,
)
from backend.queue.unreturned import DATABASE_FAILED, Unreturned

__all__ = [
    "DATABASE_FAILED",
    "EXHAUSTED",
    "IMPORT",
    "REINDEX",
    "SINGLE",
    "Claimed",
    "FurtherImages",
    "Stage",
    "Unreturned",
    "WaitingRows",
    "await_image",
    "claim",
    "count_waiting",
    "fail",
    "fail_apply",
    "first_due",
    "forget_points",
    "free_leases",
    "heal",
    "is_awaited_due",
    "is_busy",
    "is_due",
    "postpone",
    "postpone_apply",
    "quarantine_exhausted",
    "request",
    "request_again",
    "request_anew",
    "request_removal",
    "send_back",
    "settle_embedded",
    "settle_indexed",
    "still_ours",
    "waiting_by_reason",
    "waits_for",
    "waits_for_host",
    "wake_awaited",
]
