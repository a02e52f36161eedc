"""What the building process runs: a shard from SQL, then its graph, then it ends.

Started as `python -m backend.indexing.build_shard` by the optimizer, never forked, with its orders,
a JSON object, on standard input: the database's URL must not be in the process list. On standard
output it tells how far it is, a JSON object a line; the last one holds `points` or an `error`.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from backend.database.engine import Database
from backend.database.models import Generation
from backend.errors import LookalikeError
from backend.indexing.snapshot import snapshot
from backend.queue.progress import count_points
from backend.vectors.edge.build import build
from backend.vectors.edge.shard import ShardOptions

NICENESS: Final = 5
"""Queries go first: the builder takes what processors have left."""

PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Read the orders, build, and say how it ended."""
    orders = json.loads(sys.stdin.read())
    tell = keep_output_apart()
    end_with(orders["parent"])
    give_way()
    try:
        tell(points=run(orders, tell), peak_bytes=peak_bytes())
    except LookalikeError as error:
        tell(error=error.message)


def run(orders: Mapping[str, Any], tell: Callable[..., None]) -> int:
    """Build what was ordered; return the number of points."""
    db = Database(orders["database"])
    with db.read() as session:
        generation = session.get_one(Generation, orders["generation"])
        total = count_points(session, generation.id)
    tell(filled=0, total=total)
    try:
        return build(
            Path(orders["folder"]),
            snapshot(db, generation, orders["schema"]),
            size=generation.size,
            schema=orders["schema"],
            options=ShardOptions(**orders["options"]),
            threads=orders["threads"],
            filled=lambda count: tell(filled=count, total=max(count, total)),
        )
    finally:
        db.close()


def give_way() -> None:
    """Let queries have the processors first, and the server its memory should there be too little.

    A build that the kernel ends is noted and tried again; a server is missed.
    """
    os.nice(NICENESS)
    with suppress(OSError):  # Linux alone has it
        Path("/proc/self/oom_score_adj").write_text("500")


def end_with(parent: int) -> None:
    """Have the kernel end this process with the thread that started it, however that ends.

    A signal, because no Python runs while the graph is built. Elsewhere than on Linux an orphan
    builds on in vain, in a folder that the next owner removes.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before the kernel knew
        sys.exit("the parent has gone")


def peak_bytes() -> int:
    """Return the most memory this process has had at once."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def keep_output_apart() -> Callable[..., None]:
    """Return what writes one line for the parent; all else that is printed goes to the log."""
    ours = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def tell(**news: Any) -> None:
        ours.write(json.dumps(news) + "\n")

    return tell


if __name__ == "__main__":
    main()
