"""The API as a process: its settings, its services, and the worker thread if it is embedded.

An embedded index has one owner. One API process, with threads, owns it and works itself. Of several
processes none does: one more process owns the index, works and is asked by the others, unless
Celery and a Qdrant server do all that. Nothing is opened, and no thread is started, before the
master forks them.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import structlog

from backend import logs, variables
from backend.api import health, imports
from backend.api_process import OWNER_WAIT_SECONDS, ServingProcess, become_owner
from backend.bootstrap import explain
from backend.calls import Caller, make_pair
from backend.errors import LookalikeError
from backend.serving import listening
from backend.serving.master import CANNOT_START, Master
from backend.settings import Settings, read_settings
from backend.vectors.edge.owner import Owner
from backend.vectors.server.addresses import warn_about_plain_key
from backend.worker.owner import OwnerProcess
from workers import services as distributed

log = structlog.get_logger(__name__)

Made = TypeVar("Made")

SHORT_READS: Final = ("/similar", "/together")
"""How the paths of short reads end that take turns where nothing waits for a server: there, threads
only take the interpreter from each other."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; ends the process.

    Raises IndexLocked when another process owns the index, and ConfigurationError when the port is
    taken.
    """
    logs.configure(settings.log_level)
    logs.log_uncaught_errors()
    variables.warn_about_unknown(Settings)
    warn_about_plain_key(settings.qdrant_url, settings.qdrant_api_key)
    listener = listening.listen(settings.host, settings.port)
    url = listening.local_url(settings.host, listener.getsockname()[1])
    if not settings.qdrant_url:
        _check_owner(settings, url)
    log.info("serving", url=url)
    serve, own = partial(_serve_in_child, settings, listener, url), None
    if settings.separates_work:
        asking, answering = make_pair()
        serve = partial(serve, asking=asking)
        own = partial(_own_in_child, settings, listener, url, answering)
    sys.exit(Master(serve, count=settings.api_processes, listener=listener, supporting=own).run())


def _check_owner(settings: Settings, url: str) -> None:
    """Raise IndexLocked now, in the terminal, and not later in the forked process."""
    owner = Owner(settings.data_dir)
    become_owner(owner, url, seconds=OWNER_WAIT_SECONDS)
    owner.release()


def _own_in_child(
    settings: Settings,
    listener: socket.socket,
    url: str,
    answering: socket.socket,
    master: socket.socket,
) -> int:
    """Own the index and work in a child of the master; return the exit status."""
    listener.close()  # or the port would not be free while this process stops

    def make() -> OwnerProcess:
        services = distributed.build(
            settings, notify=lambda: process.wake() if process else None, wait=True, serves=True
        )
        if not settings.qdrant_url:
            become_owner(services.owner, url, seconds=OWNER_WAIT_SECONDS, patient=True)
        return OwnerProcess(services, answering)

    process: OwnerProcess | None = None
    process = _started(make, settings)
    if process is None:
        return CANNOT_START
    process.run(master)
    return 0


def _serve_in_child(
    settings: Settings,
    listener: socket.socket,
    url: str,
    master: socket.socket,
    *,
    asking: socket.socket | None = None,
) -> int:
    """Serve in a child of the master; return the exit status."""
    from backend.serving.child import run  # noqa: PLC0415  # the master needs no event loop
    from backend.serving.special_paths import SpecialPaths  # noqa: PLC0415

    caller = Caller(asking) if asking else None
    process = _started(lambda: ServingProcess(settings, url=url, caller=caller), settings)
    if process is None:
        return CANNOT_START
    paths = SpecialPaths(
        direct={"/livez": health.ALIVE},
        apart=frozenset({health.READY_PATH}),
        turns=() if settings.qdrant_url or not process.services.db.is_sqlite else SHORT_READS,
        in_loop=caller is None and not settings.broker_url,  # no read asks another process
        uploads={imports.PATH: settings.max_upload_bytes},
    )
    run(
        process.app,
        threads=settings.threads,
        max_requests=settings.max_requests,
        max_body=process.app.config["MAX_CONTENT_LENGTH"],
        paths=paths,
        listener=listener,
        master=master,
        on_stop=process.hurry,
        shares_listener=settings.api_processes > 1,
    )
    process.stop()
    return 0


def _started(make: Callable[[], Made], settings: Settings) -> Made | None:
    """Return what `make` returns; None, after logging why, when it cannot start."""
    try:
        return make()
    except LookalikeError as error:
        log.error("cannot start", error=error.message)
    except Exception as error:
        said = explain(error, settings)
        if said is None:
            raise
        log.error("cannot start", error=said)
    return None


def main() -> None:
    """Serve with the settings of the environment: `python -m backend.wsgi`."""
    settings = None
    try:
        settings = read_settings()
        serve(settings)
    except LookalikeError as error:
        sys.exit(f"lookalike: {error.message}")
    except Exception as error:
        said = explain(error, settings) if settings else None
        if said is None:
            raise
        sys.exit(f"lookalike: {said}")


if __name__ == "__main__":
    main()
