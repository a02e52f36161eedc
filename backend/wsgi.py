"""How the API is served: gunicorn, started from here, and the embedded worker beside it.

The embedded index has one owner, so beside it there is exactly one worker process, with threads,
which is never replaced while it lives. Where a Qdrant server and Celery do the work there may be
several. Nothing is opened, and no thread started, before they are forked.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from typing import Final

import structlog
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from backend import logs
from backend.api import authentication, create_app
from backend.bootstrap import Services
from backend.errors import ConfigurationError, IndexLocked, LookalikeError
from backend.settings import Settings, read_settings
from backend.vectors.edge.owner import Owner
from backend.worker.loop import Worker
from workers import services as distributed

log = structlog.get_logger(__name__)

HANDOVER_SECONDS: Final = 10
"""How long a new worker process waits for the lock of the one that it replaces."""

RETRY_SECONDS: Final = 5
STOP_SECONDS: Final = 30
"""How long the worker may take to finish its batch; what it loses then is done again later."""

BACKLOG: Final = 1024
ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; ends the process.

    Raises IndexLocked when another process owns the index, and ConfigurationError when the port is
    taken.
    """
    logs.configure(settings.log_level)
    listener = _listen(settings.host, settings.port)
    url = _url(settings.host, listener.getsockname()[1])
    if not settings.qdrant_url:
        _check_owner(settings, url)
    _Gunicorn(settings, listener, url).run()


def _listen(host: str, port: int) -> socket.socket:
    """Bind here, before anything is started: gunicorn would try for five seconds first."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {str(error.strerror).partition(' (')[0]}; "
            "choose another address with --host and --port"
        ) from None


def _url(host: str, port: int) -> str:
    """Return the address at which a client on this host reaches us."""
    host = ANYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _works(settings: Settings) -> bool:
    """Tell whether this process has work to do: not if workers write to a Qdrant server."""
    return not (settings.broker_url and settings.qdrant_url)


def _check_owner(settings: Settings, url: str) -> None:
    """Raise IndexLocked now, in the terminal, rather than later in the worker process."""
    owner = Owner(settings.data_dir)
    owner.acquire(url=url)
    owner.release()


class _Gunicorn(BaseApplication):  # type: ignore[misc]  # untyped
    """gunicorn with its settings from here alone: no file, no environment, no arguments."""

    def __init__(self, settings: Settings, listener: socket.socket, url: str) -> None:
        self._settings = settings
        self._descriptor = listener.detach()  # gunicorn's from now on
        self._url = url
        self._process: Process | None = None
        super().__init__()

    def load_config(self) -> None:
        """Tell gunicorn how to run."""
        options = {
            "bind": f"fd://{self._descriptor}",
            "workers": self._settings.api_processes,
            "worker_class": "gthread",
            "threads": self._settings.threads,
            "max_requests": self._settings.max_requests,
            "max_requests_jitter": self._settings.max_requests // 10,
            "timeout": 120,  # of a process whose main thread does not move
            "graceful_timeout": STOP_SECONDS + 10,
            "limit_request_line": 8190,  # a filter can be long
            "errorlog": "-",
            "loglevel": "warning",  # we log the address and the requests ourselves
            "proc_name": "lookalike",
            "control_socket_disable": True,
            "when_ready": lambda _server: log.info("serving", url=self._url),
            "worker_exit": lambda _server, _worker: self._exit(),
        }
        for name, value in options.items():
            if name in self.cfg.settings:  # older releases have no control socket to disable
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Start what the worker process holds. What cannot start ends the master too."""
        try:
            self._process = Process(self._settings, url=self._url)
        except LookalikeError as error:
            log.error("cannot start", error=error.message)
            sys.exit(Arbiter.APP_LOAD_ERROR)
        return self._process.app

    def _exit(self) -> None:
        if self._process:
            self._process.stop()


class Process:
    """What one serving process holds: the services, the app, and where it works, a thread."""

    def __init__(self, settings: Settings, *, url: str) -> None:
        self.services = distributed.build(settings, notify=self._ring)
        self._background: Background | None = None
        self._guard: Guard | None = None
        probes = distributed.probes(settings)
        if not settings.qdrant_url:
            _become_owner(self.services.owner, url)
        if _works(settings):
            self._background = Background(Worker(self.services))
            probes["worker"] = self._background.trouble
        else:
            self._guard = Guard(self.services)
        self.app = create_app(self.services, probes=probes)
        authentication.warn_about_keys(self.services)
        for thread in (self._background, self._guard):
            if thread:
                thread.start()

    def stop(self) -> None:
        """End the thread after its batch, flush the index, let go of everything."""
        if self._guard:
            self._guard.stop(seconds=STOP_SECONDS)
        if not self._background or self._background.stop(seconds=STOP_SECONDS):
            self.services.close()
        else:
            log.warning("the worker did not end in time", seconds=STOP_SECONDS)

    def _ring(self) -> None:
        if self._background:
            self._background.notify()


def _become_owner(owner: Owner, url: str) -> None:
    """Take the lock, if need be from a predecessor that is about to end."""
    deadline = time.monotonic() + HANDOVER_SECONDS
    while True:
        try:
            return owner.acquire(url=url)
        except IndexLocked:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Background:
    """The thread that works off the queue. What keeps it from working is told and tried again."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._trouble: str | None = "is loading the embedder"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def trouble(self) -> str | None:
        """Say what keeps it from working, or None."""
        return self._trouble or self._worker.trouble

    def notify(self) -> None:
        """Wake it: there is work."""
        self._worker.wake_up.set()

    def start(self) -> None:
        """Start the thread. Only here is torch imported."""
        self._thread.start()

    def stop(self, *, seconds: float) -> bool:
        """Let the thread end after its batch; return whether it did in time."""
        self._stopping.set()
        self._worker.stop()
        if self._thread.ident:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._worker.recover()
                self._trouble = None
                self._worker.run()
            except LookalikeError as error:
                self._trouble = f"{error.code}: {error.message}"
                log.error("the worker cannot start", error=self._trouble, retry=RETRY_SECONDS)
            except Exception as error:  # a thread that ends, ends in silence
                self._trouble = f"{type(error).__name__}: {error}"
                log.exception("the worker cannot start", retry=RETRY_SECONDS)
            self._stopping.wait(RETRY_SECONDS)


class Guard:
    """The thread that compares a sample of the searches, where no worker's thread does it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recall", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, *, seconds: float) -> None:
        """Let the thread end after its comparison."""
        self._stopping.set()
        if self._thread.ident:
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopping.wait(self._services.settings.poll_seconds):
            try:
                self._services.recall.compare(self._services.index_of)
            except Exception:  # a thread that ends, ends in silence
                log.exception("searches cannot be compared")


def main() -> None:
    """Serve with the settings of the environment: `python -m backend.wsgi`."""
    try:
        serve(read_settings())
    except LookalikeError as error:
        sys.exit(f"lookalike: {error.message}")


if __name__ == "__main__":
    main()
