"""The program of the building process: build one shard, with its graph, from what SQL holds.

Started as `python -m backend.indexing.build_shard` by the optimizer. Standard input is a JSON
object that says what to build; as an argument, the database's URL would be in the process list.
Standard output is the progress, one JSON object a line; the last one holds `points` or an `error`.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
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
"""The builder gets the processors mostly when the server does not use them."""

PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Read the request, build, and report how it ended."""
    request = json.loads(sys.stdin.read())
    report = separate_output()
    die_with_parent(request["parent"])
    lower_priority()
    try:
        report(points=run(request, report), peak_bytes=peak_bytes())
    except LookalikeError as error:
        report(error=error.message)


def run(request: Mapping[str, Any], report: Callable[..., None]) -> int:
    """Build the shard; return its number of points."""
    with closing(Database(request["database"])) as db:
        with db.read() as session:
            generation = session.get_one(Generation, request["generation"])
            total = count_points(session, generation.id)
        report(filled=0, total=total)
        return build(
            Path(request["folder"]),
            snapshot(db, generation, request["schema"]),
            size=generation.size,
            schema=request["schema"],
            options=ShardOptions(**request["options"]),
            threads=request["threads"],
            filled=lambda count: report(filled=count, total=max(count, total)),
        )


def lower_priority() -> None:
    """Let queries go first, and let the kernel kill this process first when memory runs out.

    A build that was killed is tried again later; a killed server would interrupt the shop.
    """
    os.nice(NICENESS)
    with suppress(OSError):  # only Linux has it
        Path("/proc/self/oom_score_adj").write_text("500")


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when the thread that started it ends, for whatever reason.

    By a signal, because no Python code runs while the graph is built. On other systems than Linux
    an orphan builds to its end, in a folder that the next owner removes.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before `prctl` was called
        sys.exit("the parent has gone")


def peak_bytes() -> int:
    """Return the most memory this process has had at once."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def separate_output() -> Callable[..., None]:
    """Return a function that writes one line to the parent; other output goes to standard error."""
    ours = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def report(**progress: Any) -> None:
        ours.write(json.dumps(progress) + "\n")

    return report


if __name__ == "__main__":
    main()
