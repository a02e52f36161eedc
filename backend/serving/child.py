"""Serve a WSGI app in this process, until it is told to stop."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from backend.serving.gateway import Gateway
from backend.serving.limits import HttpLimits, raise_descriptor_limit
from backend.serving.server import Server

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
    direct: Mapping[str, bytes],
    apart: Collection[str] = (),
    turns: Collection[str] = (),
    in_loop: bool = False,
    uploads: Mapping[str, int],
    listener: socket.socket,
    master: socket.socket,
    on_stop: Callable[[], None],
    shares_listener: bool = False,
) -> None:
    """Serve until SIGTERM or the master's end. `on_stop` is called at the signal, in the loop.

    A body may have `max_body` bytes. GET requests of the paths in `direct` are answered with that
    JSON, without a thread; those in `apart` never wait behind other requests, and those whose paths
    end with one of `turns` take turns; with `in_loop`, the event loop answers short ones. A body
    for a path in `uploads` may have so many bytes, and is read to the disk. With `shares_listener`,
    other processes accept connections of it, too.
    """
    leave_out_of_collections()
    limits = HttpLimits(body=max_body, buffered=BODIES_AT_ONCE * max_body)
    limits = replace(limits, connections=raise_descriptor_limit(limits))
    gateway = Gateway(
        app,
        threads=threads,
        limits=limits,
        direct=direct,
        apart=apart,
        turns=turns,
        in_loop=in_loop,
        uploads=uploads,
    )
    Server(
        gateway,
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
