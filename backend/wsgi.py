"""The API as a process: gunicorn, started from here, and the worker thread of the embedded mode.

An embedded index has one owner, so there is exactly one API process then, with threads. If Celery
and a Qdrant server do the work, there may be several processes. Nothing is opened, and no thread is
started, before gunicorn forks them.
"""

from __future__ import annotations

import socket
import sys
import time
from typing import Final

import structlog
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from backend import logs, monitoring, variables
from backend.api import authentication, create_app, metrics
from backend.errors import ConfigurationError, IndexLocked, LookalikeError
from backend.metrics.snapshots import Publisher
from backend.settings import Settings, read_settings
from backend.vectors.edge.owner import Owner
from backend.worker.loop import Worker
from backend.worker.threads import RecallThread, WorkerThread
from workers import services as distributed

log = structlog.get_logger(__name__)

OWNER_WAIT_SECONDS: Final = 10
"""How long a new process waits for the lock of the process that it replaces."""

STOP_SECONDS: Final = 30
"""How long the worker may take to finish its batch. What is not finished is done again later."""

BACKLOG: Final = 1024
LOCAL_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104
"""Where a client on this host reaches a server that is bound to all addresses."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; ends the process.

    Raises IndexLocked when another process owns the index, and ConfigurationError when the port is
    taken.
    """
    logs.configure(settings.log_level)
    logs.log_uncaught_errors()
    variables.warn_about_unknown(Settings)
    listener = _listen(settings.host, settings.port)
    url = _local_url(settings.host, listener.getsockname()[1])
    if not settings.qdrant_url:
        _check_owner(settings, url)
    _Gunicorn(settings, listener, url).run()


def _listen(host: str, port: int) -> socket.socket:
    """Bind the port here, before anything starts: gunicorn would retry for five seconds."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {str(error.strerror).partition(' (')[0]}; "
            "choose another address with --host and --port"
        ) from None


def _local_url(host: str, port: int) -> str:
    """Return the URL at which a client on this host reaches the server."""
    host = LOCAL_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _check_owner(settings: Settings, url: str) -> None:
    """Raise IndexLocked now, in the terminal, and not later in the forked process."""
    owner = Owner(settings.data_dir)
    owner.acquire(url=url)
    owner.release()


class _Gunicorn(BaseApplication):  # type: ignore[misc]  # untyped
    """gunicorn, configured only here: it reads no file, no environment and no arguments."""

    def __init__(self, settings: Settings, listener: socket.socket, url: str) -> None:
        self._settings = settings
        self._descriptor = listener.detach()  # gunicorn closes it
        self._url = url
        self._process: ServingProcess | None = None
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's options."""
        options = {
            "bind": f"fd://{self._descriptor}",
            "workers": self._settings.api_processes,
            "worker_class": "gthread",
            "threads": self._settings.threads,
            "max_requests": self._settings.max_requests,
            "max_requests_jitter": self._settings.max_requests // 10,
            "timeout": 120,  # for a process whose main thread hangs
            "graceful_timeout": STOP_SECONDS + 10,
            "limit_request_line": 8190,  # a filter can be long
            "errorlog": "-",
            "loglevel": "warning",  # we log the address and the requests ourselves
            "proc_name": "lookalike",
            "control_socket_disable": True,
            "when_ready": lambda _server: log.info("serving", url=self._url),
            "worker_exit": lambda _server, _worker: self._stop_process(),
        }
        for name, value in options.items():
            if name in self.cfg.settings:  # older releases have no control socket to disable
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Start the serving process. If it cannot start, gunicorn's master process ends too."""
        try:
            self._process = ServingProcess(self._settings, url=self._url)
        except LookalikeError as error:
            log.error("cannot start", error=error.message)
            sys.exit(Arbiter.APP_LOAD_ERROR)
        return self._process.app

    def _stop_process(self) -> None:
        if self._process:
            self._process.stop()


class ServingProcess:
    """One API process: its services, its Flask app, and the thread that works beside the app."""

    def __init__(self, settings: Settings, *, url: str) -> None:
        self.services = distributed.build(settings, notify=self._notify)
        self._worker: WorkerThread | None = None
        self._recall: RecallThread | None = None
        probes = distributed.make_probes(settings)
        if not settings.qdrant_url:
            _become_owner(self.services.owner, url)
        if not (settings.broker_url and settings.qdrant_url):  # else Celery workers do the work
            self._worker = WorkerThread(Worker(self.services))
            probes["worker"] = self._worker.problem
        else:
            self._recall = RecallThread(self.services)
        self._metrics = Publisher(settings.metrics_dir, role=monitoring.API)
        self.app = create_app(self.services, probes=probes)
        authentication.warn_about_keys(self.services)
        self._metrics.start()
        if settings.metrics_port:
            monitoring.show_apart(self.app.extensions[metrics.EXPOSITION], settings)
        for thread in (self._worker, self._recall):
            if thread:
                thread.start()

    def stop(self) -> None:
        """End the thread after its batch, flush the index and close everything."""
        if self._recall:
            self._recall.stop(seconds=STOP_SECONDS)
        self._metrics.stop()
        if not self._worker or self._worker.stop(seconds=STOP_SECONDS):
            self.services.close()
        else:
            log.warning("the worker did not end in time", seconds=STOP_SECONDS)

    def _notify(self) -> None:
        if self._worker:
            self._worker.notify()


def _become_owner(owner: Owner, url: str) -> None:
    """Take the lock of the index; wait for the process that this one replaces to release it."""
    deadline = time.monotonic() + OWNER_WAIT_SECONDS
    while True:
        try:
            return owner.acquire(url=url)
        except IndexLocked:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def main() -> None:
    """Serve with the settings of the environment: `python -m backend.wsgi`."""
    try:
        serve(read_settings())
    except LookalikeError as error:
        sys.exit(f"lookalike: {error.message}")


if __name__ == "__main__":
    main()
