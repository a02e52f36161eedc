"""Threads of this process, which the host may refuse: it has a limit of threads, as containers do.

A refused thread is the host's fault and passes. So whoever starts one notes nothing of it before it
runs, and can ask again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import structlog

from backend.logs.repeats import Repeats

_repeats = Repeats(structlog.get_logger(__name__))


def start_thread(run: Callable[..., Any], *arguments: Any, name: str) -> threading.Thread | None:
    """Start a daemon thread that calls `run(*arguments)`; return None where the host refuses it.

    That is logged, once a minute.
    """
    thread = threading.Thread(target=run, args=arguments, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # a new thread raises it only if the host refuses
        _repeats.log("the host starts no further thread of this process", error=str(error))
        return None
    return thread
