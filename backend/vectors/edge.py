"""The embedded index: a qdrant-edge shard in this process, which is its only owner.

- The engine holds the GIL through every call, so batches are short; an upsert of 256 points takes
  about 10 ms.
- After a fork its handle hangs in the child: the shard is opened by the first call, and a child
  that inherits it is refused.
- What was acknowledged survives a killed process (write-ahead log); `flush` is what survives a
  power cut.
- The shard is searched by brute force, exactly, which takes milliseconds at tens of thousands.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Final

import numpy as np
import qdrant_edge as qe
from filelock import FileLock, Timeout

from backend.errors import ConfigurationError, IndexLocked, IndexUnavailable
from backend.vectors import CLAIM, Hit, Point, Scalar, Schema, Vector, Where
from backend.vectors.edge_shard import check_space, engine_errors, has_graph, open_shard
from backend.vectors.filters import Dialect, check, check_facet, path, stored, translate
from backend.vectors.points import (
    CANDIDATES,
    by_claim,
    check_diversity,
    check_patch,
    checked,
    cosine_of_best_score,
    examples,
    most_first,
    threshold,
    unit,
    without_claim,
)

EDGE: Final = Dialect(
    sdk=qe,
    range=qe.RangeFloat,
    has_id=lambda ids: qe.HasIdCondition(set(ids)),
    boolean=np.bool_,  # it takes Python's True for the integer 1, and then finds nothing
)

_PAGE = 1000  # points per page of a walk


@dataclass(frozen=True)
class _Handle:
    """An open shard and who opened it; replaced as one, so that searches need no lock."""

    shard: qe.EdgeShard
    owner: FileLock
    pid: int
    indexed: bool


class EdgeIndex:
    """The vectors of one generation in a folder of their own; opened by the first call.

    A second owner, in this process or another, gets IndexLocked; one that inherited the open
    index through a fork gets ConfigurationError.
    """

    def __init__(self, path: Path, *, size: int, schema: Schema) -> None:
        self.size = size
        self._path = path
        self._schema = dict(schema)
        self._lock = threading.RLock()  # of opening, closing and writing; searches take none
        self._handle: _Handle | None = None
        self._closed = False

    # --- writing ---

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points, except over a point whose claim is the same or newer."""
        ready = checked(points, size=self.size, schema=self._schema)
        with self._lock:
            for claim, batch in by_claim(ready, attrgetter("claim")):
                rows = [qe.Point(p.id, p.vector.tolist(), dict(p.payload)) for p in batch]
                self._update(
                    qe.UpdateOperation.upsert_points(rows, condition=stored(EDGE, lt=claim))
                )

    def delete(self, claims: Mapping[int, int]) -> None:
        """Delete points {id: claim}, except a point whose claim is newer."""
        with self._lock:
            for claim, batch in by_claim(claims.items(), itemgetter(1)):
                doomed = stored(EDGE, ids=[claimed[0] for claimed in batch], lte=claim)
                self._update(qe.UpdateOperation.delete_points_by_filter(doomed))

    def set_payload(self, id: int, payload: Mapping[str, Any]) -> None:
        """Merge fields into one point's payload; a point that is not there stays away."""
        check_patch(payload, self._schema)
        with self._lock:  # by filter: by id, the engine raises for a point that is not there
            point = stored(EDGE, ids=[id])
            self._update(qe.UpdateOperation.set_payload_by_filter(point, dict(payload)))

    def flush(self) -> None:
        """Make what was acknowledged safe against power loss."""
        with self._lock, engine_errors():
            self._shard().flush()

    def _update(self, operation: qe.UpdateOperation) -> None:
        shard = self._shard()
        check_space(self._path)
        with engine_errors():
            shard.update(operation)

    # --- searching ---

    def nearest(
        self,
        vector: Vector,
        *,
        limit: int,
        where: Where | None = None,
        exclude: Sequence[int] = (),
        min_score: float | None = None,
        exact: bool = False,
    ) -> list[Hit]:
        """Return up to `limit` neighbours, best first. `exact` asks for a full scan."""
        return self._search(
            qe.Query.Nearest(unit(vector, self.size).tolist()),
            limit=limit,
            filter=self._filter(where, exclude),
            score_threshold=threshold(min_score),
            params=qe.SearchParams(exact=exact),
        )

    def recommend(
        self,
        positives: Sequence[Vector],
        negatives: Sequence[Vector] = (),
        *,
        limit: int,
        where: Where | None = None,
        exclude: Sequence[int] = (),
    ) -> list[Hit]:
        """Return neighbours of several examples, away from the negatives, best first."""
        wanted, unwanted = examples(positives, negatives, self.size)
        hits = self._search(
            qe.Query.RecommendBestScore(qe.RecommendQuery(positives=wanted, negatives=unwanted)),
            limit=limit,
            filter=self._filter(where, exclude),
            score_threshold=0.0,
        )
        return [Hit(hit.id, cosine_of_best_score(hit.score), hit.payload) for hit in hits]

    def diverse(
        self,
        vector: Vector,
        *,
        limit: int,
        diversity: float,
        where: Where | None = None,
        exclude: Sequence[int] = (),
    ) -> list[Hit]:
        """Return neighbours re-ranked by maximal marginal relevance; `diversity` in [0, 1]."""
        check_diversity(diversity)
        query = qe.Mmr(
            vector=unit(vector, self.size).tolist(),
            lambda_=1 - diversity,
            candidates_limit=CANDIDATES * limit,
        )
        return self._search(query, limit=limit, filter=self._filter(where, exclude))

    def _search(self, query: Any, **options: Any) -> list[Hit]:
        request = qe.QueryRequest(query=query, with_payload=True, **options)
        with engine_errors():
            found = self._shard().query(request)
        return [Hit(int(it.id), it.score, without_claim(it.payload)) for it in found]

    def _filter(self, where: Where | None, exclude: Sequence[int] = ()) -> qe.Filter | None:
        check(where, self._schema)
        found: qe.Filter | None = translate(where, self._schema, EDGE, exclude=exclude)
        return found

    # --- reading ---

    def vector(self, id: int) -> Vector | None:
        """Return a point's vector, (size,) float32 of length 1, or None."""
        with engine_errors():
            found = self._shard().retrieve([id], False, True)
        return np.asarray(found[0].vector, dtype=np.float32) if found else None

    def facet(
        self, field: str, *, limit: int = 200, where: Where | None = None
    ) -> list[tuple[Scalar, int]]:
        """Count the points per value of an indexed keyword, integer or bool field, most first."""
        check_facet(field, self._schema)
        request = qe.FacetRequest(
            key=path(field), limit=limit, exact=True, filter=self._filter(where)
        )
        with engine_errors():
            return most_first((hit.value, hit.count) for hit in self._shard().facet(request).hits)

    def count(self, where: Where | None = None) -> int:
        """Count the points, exactly."""
        request = qe.CountRequest(exact=True, filter=self._filter(where))
        with engine_errors():
            return self._shard().count(request)

    def claims(self, *, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield (id, claim) of the points with start <= id < stop, in id order."""
        offset: Any = start
        while offset is not None:
            request = qe.ScrollRequest(offset=offset, limit=_PAGE, with_payload=[CLAIM])
            with engine_errors():
                page, offset = self._shard().scroll(request)
            for point in page:
                if stop is not None and int(point.id) >= stop:
                    return
                yield int(point.id), (point.payload or {})[CLAIM]

    # --- opening and closing ---

    @property
    def indexed(self) -> bool:
        """Whether a graph is searched; all that was written since it was built is compared."""
        return (self._handle or self._open()).indexed

    def ping(self) -> None:
        """Raise unless the shard answers."""
        with engine_errors():
            self._shard().info()

    def close(self) -> None:
        """Let go of the shard; a child of a fork only forgets it, since it never was its own."""
        with self._lock:
            self._closed = True
            handle = self._handle
            if handle is None or handle.pid != os.getpid():
                return
            self._handle = None
            try:
                with engine_errors():
                    handle.shard.close()
            finally:
                handle.owner.release()

    def _shard(self) -> qe.EdgeShard:
        handle = self._handle or self._open()
        if handle.pid != os.getpid():
            raise ConfigurationError(
                "the embedded index was opened before a fork, after which it cannot be used: "
                "open it in the process that serves (no gunicorn preload)"
            )
        return handle.shard

    def _open(self) -> _Handle:
        with self._lock:
            if self._closed:
                raise IndexUnavailable("the embedded index is closed")
            if self._handle is None:
                owner = _own(self._path)
                try:
                    shard = open_shard(self._path, size=self.size, schema=self._schema)
                except BaseException:
                    owner.release()
                    raise
                self._handle = _Handle(shard, owner, os.getpid(), has_graph(shard))
            return self._handle


def _own(path: Path) -> FileLock:
    """Take the lock beside a shard's folder: the engine's own does not cover its creation."""
    lock = FileLock(f"{path}.lock", thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise IndexLocked(f"the embedded index in {path} has another owner") from None
    except OSError as error:
        raise IndexUnavailable(f"the embedded index cannot be opened: {error}") from error
    return lock
