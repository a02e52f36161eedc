"""Serve a WSGI app in this process, until it is told to stop."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from backend.serving.gateway import Gateway
from backend.serving.limits import HttpLimits, raise_descriptor_limit
from backend.serving.server import Server
from backend.serving.special_paths import SpecialPaths

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

BODIES_AT_ONCE: Final = 12
"""So many bodies of the largest size may be held at once."""

YOUNG_OBJECTS: Final = 10_000
"""New objects after which the youngest generation is collected. An answer makes about a thousand,
which are mostly free before that; Python's own 700 is less than one answer."""


def run(
    app: WSGIApplication,
    *,
    threads: int,
    max_requests: int,
    max_body: int,
    paths: SpecialPaths,
    listener: socket.socket,
    master: socket.socket,
    on_stop: Callable[[], None],
    shares_listener: bool = False,
) -> None:
    """Serve until SIGTERM or the master's end. `on_stop` is called at the signal, in the loop.

    A body may have `max_body` bytes, if it is no upload. With `shares_listener`, other processes
    accept connections of it, too.
    """
    leave_out_of_collections()
    limits = HttpLimits(body=max_body, buffered=BODIES_AT_ONCE * max_body)
    limits = replace(limits, connections=raise_descriptor_limit(limits))
    Server(
        Gateway(app, threads=threads, limits=limits, paths=paths),
        limits=limits,
        master=master,
        max_requests=max_requests,
        on_stop=on_stop,
        shares_listener=shares_listener,
    ).run(sockets=[listener])


def leave_out_of_collections() -> None:
    """Let the garbage collector walk no more through all that was imported and set up.

    A full collection did that while every request waited: it takes a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
