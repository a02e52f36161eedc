"""Child processes that run a module of this package, started by exec.

A fork would copy locks that our threads hold, and the embedded index hangs after one. The spawn of
multiprocessing imports our main module, and Celery's daemonic processes may not use it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

File: TypeAlias = int | None
"""A file descriptor, or one of the constants of `subprocess`; None: the same as the parent's."""


def start_module(
    module: str,
    *arguments: str,
    keep_environment: Collection[str] | None = None,
    pass_fds: Collection[int] = (),
    stdin: File = None,
    stdout: File = None,
) -> subprocess.Popen[bytes]:
    """Start `python -m module arguments…`, which imports from the same folders as this process.

    The child sees those environment variables that `keep_environment` names; None: all of them.
    """
    return subprocess.Popen(  # noqa: S603
        # -P: modules in the working directory must not replace ours
        [sys.executable, "-P", "-W", "ignore", "-m", module, *arguments],
        stdin=stdin,
        stdout=stdout,
        pass_fds=tuple(pass_fds),
        env=_environment(keep_environment),
    )


@contextmanager
def repeating(
    call: Callable[[], None], *, every_seconds: float = 0.5, most_seconds: float
) -> Iterator[None]:
    """Call something again and again from a thread meanwhile, at most for some seconds."""
    over = threading.Event()

    def repeat() -> None:
        until = time.monotonic() + most_seconds
        while not over.wait(every_seconds) and time.monotonic() < until:
            call()

    thread = threading.Thread(target=repeat, name="repeating", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def describe_exit(status: int) -> str:
    """Say how a process ended, by its `returncode` in `subprocess`."""
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _environment(keep: Collection[str] | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if keep is None or name in keep}
    folders = (str(Path(entry).absolute()) for entry in sys.path)
    return {**kept, "PYTHONPATH": os.pathsep.join(folders)}
