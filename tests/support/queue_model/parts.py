"""What production code is handed in the small world of the queue: each call is a step."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sqlalchemy.pool import StaticPool

from backend import indexing
from backend.database.engine import Database
from backend.errors import CorruptImage, ImageUnavailable, NoImage
from backend.images.decoder_pool import Decoded
from backend.vectors import Point
from support.exact_index import ExactIndex

if TYPE_CHECKING:
    from support.queue_model.world import World

BAD: Final = ("bad", "killer", "none")
"""Images that never get a vector: one does not decode, one kills its process, one is missing."""

KINDS: Final = ("good0", "good1", "good2", "flaky", *BAD)


class Wrong(AssertionError):
    """The history has led to something that the design rules out."""


def expect(truth: object, otherwise: str) -> None:
    """Raise Wrong unless something is true."""
    if not truth:
        raise Wrong(otherwise)


class Died(BaseException):
    """The process of this worker is no more; no handler of production code may see it."""


class Worker:
    """A thread that runs production code one step at a time, each when it is told to."""

    def __init__(self, work: Callable[[], object], *, began: int, embeds: bool) -> None:
        self.began = began
        self.embeds = embeds
        self.held = 0.0  # seconds since it may have claimed something
        self.over = self.died = False
        self._work = work
        self._error: BaseException | None = None
        self._dying = False
        self._go, self._halted = Lock(), Lock()
        self._go.acquire()
        self._halted.acquire()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def is_current(self) -> bool:
        """Whether the calling thread is the one that takes the steps."""
        return current_thread() is self._thread

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._dying:
                self._work()
        except Died:
            self.died = True
        except BaseException as error:  # noqa: BLE001  (told to whoever takes the next step)
            self._error = error
        self.over = True
        self._halted.release()

    def halt(self) -> None:
        """Wait, in the worker's thread, for the next step."""
        self._halted.release()
        self._go.acquire()
        if self._dying:
            raise Died

    def step(self) -> None:
        """Let it run until it halts again, or is over."""
        self._go.release()
        self._halted.acquire()
        if self._error:
            raise self._error

    def finish(self) -> None:
        """Let it run to its end."""
        while not self.over:
            self.step()

    def crash(self) -> None:
        """Let it be heard of never again."""
        self._dying = True
        self.finish()


class SteppedDatabase(Database):
    """SQLite in memory on one connection; every transaction is a step."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.open = 0
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        super().__init__("sqlite://", poolclass=StaticPool, creator=lambda: self._connection)

    @contextmanager
    def read(self) -> Iterator[Any]:
        self.world.halt()
        with self._one_at_a_time(), super().read() as session:
            yield session

    def write(self, work: Callable[[Any], Any]) -> Any:
        self.world.halt()
        with self._one_at_a_time():
            return super().write(work)

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def raw(self, statement: str) -> list[Any]:
        """Ask SQLite itself, in a hundredth of the time."""
        return self._connection.execute(statement).fetchall()


class WatchedIndex(ExactIndex):
    """An index in memory; every call is a step, and a point must never grow older."""

    def __init__(self, world: World) -> None:
        super().__init__(size=3, schema=indexing.schema())
        self.world = world
        self.wrong: Wrong | None = None  # what was seen; its caller may take it for a refusal

    @property
    def points(self) -> dict[int, Point]:
        return self._points

    def upsert(self, points: Sequence[Point]) -> None:
        with self._watched():
            self.put(points)

    def delete(self, claims: Mapping[int, int]) -> None:
        with self._watched(deleted=claims):
            self.erase(claims)

    def put(self, points: Sequence[Point]) -> None:
        """Write points; here a wrong rule may be put in."""
        super().upsert(points)

    def erase(self, claims: Mapping[int, int]) -> None:
        """Delete points; here a wrong rule may be put in."""
        super().delete(claims)

    def claims(self, *, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        _outside_transactions(self.world)
        yield from super().claims(start=start, stop=stop)

    @contextmanager
    def _watched(self, deleted: Mapping[int, int] | None = None) -> Iterator[None]:
        try:
            _outside_transactions(self.world)
            before = {id_: point.claim for id_, point in self._points.items()}
            yield
            for id_, claim in before.items():
                is_there = id_ in self._points
                now = self._points[id_].claim if is_there else (deleted or {}).get(id_, 0)
                expect(now >= claim, "a late writer has replaced a newer point")
        except Wrong as wrong:
            self.wrong = wrong
            raise


class ModelImages:
    """Images by their kind; nobody may open one about which nothing has changed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._flaked: set[str] = set()

    def is_doubtful(self, _uri: str | None) -> bool:
        return False

    def open(self, uris: Sequence[str | None], size: tuple[int, int], **_: object) -> Iterator[Any]:
        for uri in uris:
            _outside_transactions(self.world)
            yield self._open(uri) if uri else NoImage()

    def _open(self, uri: str) -> Any:
        image, sku, _ = uri.split("/")
        self.world.see_opened(sku)
        if image == "bad":
            return CorruptImage()
        if image == "flaky" and uri not in self._flaked:
            self._flaked.add(uri)
            return ImageUnavailable()
        return ModelDecoded(pixels=b"", size=(8, 8), digest=image)


class ModelDecoded(Decoded):
    """An image that is its kind alone."""

    @property
    def image(self) -> Any:
        return self.digest


class ModelEmbedder:
    """Vectors by an image's kind; one kind kills the process."""

    name, fingerprint, size, input_size = "e", "f", 3, (8, 8)

    def __init__(self, world: World) -> None:
        self.world = world

    def embed(self, images: Sequence[Any]) -> Any:
        active = self.world.active  # it may change while a thread embeds
        if active is not None and active.is_current:
            _outside_transactions(self.world)
        # Otherwise a thread embeds beside the worker's steps. It touches no row, so that it may
        # run at any time, also while the worker records the batch before.
        if "killer" in images:
            raise Died
        return np.stack([vector_of(image) for image in images])


def vector_of(image: str) -> Any:
    """Return the vector of a kind of image: each points elsewhere."""
    angle = KINDS.index(image)
    return np.array([np.cos(angle), np.sin(angle), 0], dtype=np.float32)


def _outside_transactions(world: World) -> None:
    """Halt before something slow; no transaction may be open across it."""
    expect(world.db.open == 0, "a transaction is open across a slow call")
    world.halt()
