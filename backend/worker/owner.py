"""The process that owns the embedded index, and works, where several processes answer HTTP.

It answers no requests itself, so nothing but calls of the engine keeps the others waiting for it.
"""

from __future__ import annotations

import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from backend.bootstrap import Services
from backend.calls import Answering
from backend.database.models import Generation
from backend.errors import IndexGone
from backend.generations import EmbedderIdentity
from backend.images.box import Box
from backend.metrics.snapshots import Publisher
from backend.search.query_image import EmbeddedQuery
from backend.vectors.edge import remote_index
from backend.worker.first_lists import FirstListsThread
from backend.worker.loop import Worker
from backend.worker.threads import ArrivalThread, FirstQueryThread, WorkerThread

log = structlog.get_logger(__name__)

ROLE: Final = "owner"
"""What this process is in the metrics."""

BEAT_SECONDS: Final = 1.0

STOP_SECONDS: Final = 20
"""How long the worker may take to finish its batch, from the signal on. What is not finished is
done again later."""

LAST_SECONDS: Final = 24
"""So long after the signal, the kernel ends the process if it did not end by itself."""


class OwnerCalls:
    """Answers what the API processes ask. Safe to call from several threads."""

    def __init__(
        self, services: Services, *, wake: Callable[[], None], problem: Callable[[], str | None]
    ) -> None:
        self._services = services
        self._generations: dict[int, Generation] = {}
        self._calls: dict[str, Callable[..., Any]] = {
            "index": self._ask_index,
            "embed_image": self._embed_image,
            "check_encoder": self._check_encoder,
            "identify": self._identify,
            "wake": wake,
            "problem": problem,
        }

    def __call__(self, name: str, arguments: tuple[Any, ...], more: dict[str, Any]) -> Any:
        """Answer one call, as `backend.calls.Answer` says."""
        return self._calls[name](*arguments, **more)

    def _ask_index(
        self, generation_id: int, method: str, arguments: Sequence[Any], more: dict[str, Any]
    ) -> Any:
        index = self._services.indexes.of(self._generation(generation_id))
        return remote_index.answer(index, method, arguments, more)

    def _generation(self, id_: int) -> Generation:
        """Return a generation whose index is there. Raises IndexGone after it was dropped.

        A process that replaces another one does not know what that one has dropped, and must not
        make it again, empty. A generation that is known was there; `Indexes` notices its end.
        """
        if id_ not in self._generations:
            with self._services.db.read() as session:
                found = session.get(Generation, id_)
            if found is None or found.dropped_at is not None:
                raise IndexGone(f"the index of generation {id_} was dropped")
            self._generations[id_] = found
        return self._generations[id_]

    def _embed_image(self, generation_id: int, data: bytes, box: Box | None) -> EmbeddedQuery:
        generation = self._generation(generation_id)
        return self._services.local_encoder.embed_image(generation, data, box)

    def _check_encoder(self, generation_id: int) -> None:
        self._services.local_encoder.check(self._generation(generation_id))

    def _identify(self, spec: str) -> EmbedderIdentity:
        return self._services.local_encoder.identify(spec)


class OwnerProcess:
    """Owns the index, works, and answers calls, from `run` on until the other processes ended."""

    def __init__(self, services: Services, calls: socket.socket) -> None:
        self._services = services
        self._thread = WorkerThread(Worker(services), then=self._prepare_queries)
        self._arrival = ArrivalThread(services.arrival, then=self._thread.start)
        self._answering = Answering(
            calls, OwnerCalls(services, wake=self._thread.notify, problem=self._problem)
        )
        self._metrics = Publisher(services.settings.metrics_dir, role=ROLE)
        self._stops_at: float | None = None

    def wake(self) -> None:
        """Wake the worker up: a row may be due."""
        self._thread.notify()

    def run(self, master: socket.socket) -> None:
        """Work until the master shuts its end down, which it does after the API processes ended.

        The signal before lets the worker end after its batch; calls are answered meanwhile.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, lambda *_: self._hurry())
        self._metrics.start()
        self._answering.start()
        if self._services.arrival.problem:
            self._arrival.start()
        else:
            self._thread.start()
        _wait_for_end(master)
        self._stop()

    def _problem(self) -> str | None:
        return self._services.arrival.problem or self._thread.problem()

    def _prepare_queries(self) -> None:
        """Do what the first queries would wait for: the first lists, and the first image.

        An image is embedded only where this process embeds those of shoppers.
        """
        FirstListsThread(self._services.db, self._services.similar).start()
        if self._services.query_encoder is self._services.local_encoder:
            FirstQueryThread(self._services.db, self._services.query_encoder).start()

    def _hurry(self) -> None:
        """Begin to stop, and set a limit to all the rest."""
        if self._stops_at is not None:
            return
        self._stops_at = time.monotonic() + STOP_SECONDS
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LAST_SECONDS)
        self._services.owner.leave()
        self._thread.stop(seconds=0)

    def _stop(self) -> None:
        """End the thread after its batch, flush the index and close everything."""
        self._hurry()
        self._arrival.stop()
        self._answering.stop()
        self._metrics.stop()
        left = max(0.0, (self._stops_at or 0) - time.monotonic())
        if self._thread.stop(seconds=0 if self._thread.is_loading else left):
            self._services.close()
        else:
            log.warning("the worker did not end in time", loading=self._thread.is_loading)


def _wait_for_end(master: socket.socket) -> None:
    """Show the master that this process lives, until it shuts its end down or dies."""
    master.setblocking(False)
    while True:
        with suppress(OSError):
            master.send(b".")
        heard, _, _ = select.select([master], [], [], BEAT_SECONDS)
        if not heard:
            continue
        if _is_closed(master):
            return


def _is_closed(master: socket.socket) -> bool:
    """Tell whether the master has shut its end down or died; what it has sent is thrown away."""
    try:
        return not master.recv(64)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
