"""The embedded index: a qdrant-edge shard in this process, which is its only owner.

- The engine holds the GIL through every call, so batches are short; an upsert of 256 points takes
  about 10 ms.
- What was acknowledged survives a killed process (write-ahead log); `flush` is what survives a
  power cut.
- A new shard is searched by brute force, exactly, which takes milliseconds at tens of thousands.
  One with a graph is built by another process and put in its place (`edge_store`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Final

import numpy as np
import qdrant_edge as qe

from backend.filters import Scalar, Schema, Where
from backend.filters.check import check, check_facet
from backend.vectors import Hit, Point, SearchMode, StoredPoint, Vector
from backend.vectors.edge.copy import walk
from backend.vectors.edge.folders import Built, Failure
from backend.vectors.edge.shard import ShardOptions, rows
from backend.vectors.edge.store import EdgeStore
from backend.vectors.points import (
    BATCH,
    CANDIDATES,
    by_claim,
    check_diversity,
    check_patch,
    checked,
    cosine_of_best_score,
    examples,
    most_first,
    records,
    threshold,
    unit,
    without_claim,
)
from backend.vectors.search_mode import choose
from backend.vectors.translate import (
    Dialect,
    path,
    points_with_claim,
    points_without_claim,
    translate,
)

EDGE: Final = Dialect(
    sdk=qe,
    range=qe.RangeFloat,
    has_id=lambda ids: qe.HasIdCondition(set(ids)),
    is_empty=qe.IsEmptyCondition,
    has_vector=qe.HasVectorCondition,
    boolean=np.bool_,  # it takes Python's True for the integer 1, and then finds nothing
)


class EdgeIndex:
    """The vectors of one generation in a folder of their own; opened by the first call.

    A second owner, in this process or another, gets IndexLocked; one that inherited the open
    index through a fork gets ConfigurationError.
    """

    def __init__(
        self, path: Path, *, size: int, schema: Schema, options: ShardOptions | None = None
    ) -> None:
        self.size = size
        self.options = options or ShardOptions()
        self._schema = dict(schema)
        self._store = EdgeStore(path, size=size, schema=self._schema)

    # --- writing ---

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points, except over a point whose claim is the same or newer."""
        ready = checked(points, size=self.size, schema=self._schema)
        with self._store.writing([point.id for point in ready]) as shard:
            for claim, batch in by_claim(ready, attrgetter("claim")):
                older = points_with_claim(EDGE, lt=claim)
                shard.update(qe.UpdateOperation.upsert_points(rows(batch), condition=older))

    def delete(self, claims: Mapping[int, int]) -> None:
        """Delete points {id: claim}, except a point whose claim is newer."""
        with self._store.writing(claims.keys()) as shard:
            for claim, batch in by_claim(claims.items(), itemgetter(1)):
                doomed = points_with_claim(EDGE, ids=[claimed[0] for claimed in batch], lte=claim)
                shard.update(qe.UpdateOperation.delete_points_by_filter(doomed))

    def set_payload(self, id: int, payload: Mapping[str, Any]) -> None:
        """Merge fields into one point's payload; a point that is not there stays away."""
        check_patch(payload, self._schema)
        with self._store.writing([id]) as shard:  # by id, the engine raises where there is none
            point = points_with_claim(EDGE, ids=[id])
            shard.update(qe.UpdateOperation.set_payload_by_filter(point, dict(payload)))

    def flush(self) -> None:
        """Make what was acknowledged safe against power loss."""
        with self._store.using() as shard:
            shard.flush()

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
        mode: SearchMode | None = None,
    ) -> list[Hit]:
        """Return up to `limit` neighbours, best first. `exact` asks for a full scan."""
        return self._search(
            qe.Query.Nearest(unit(vector, self.size).tolist()),
            where,
            exclude,
            mode=SearchMode.EXACT if exact else mode,
            limit=limit,
            score_threshold=threshold(min_score),
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
            where,
            exclude,
            limit=limit,
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
        return self._search(query, where, exclude, limit=limit)

    def search_mode(self, where: Where | None = None) -> SearchMode:
        """Return how a search under this filter is done."""
        passing = self._filter(where)
        return choose(
            where,
            self._schema,
            has_graph=self.indexed,
            estimate=lambda: self._roughly(passing),
            # With int8 a walk reads codes, and comparing the vectors, which may lie on disk.
            points=None if self.options.quantization else self._roughly,
        )

    def _roughly(self, passing: qe.Filter | None = None) -> int:
        """Count the points that pass, by the payload indexes: microseconds."""
        with self._store.using() as shard:
            return shard.count(qe.CountRequest(exact=False, filter=passing))

    def _search(
        self,
        query: Any,
        where: Where | None,
        exclude: Sequence[int],
        *,
        mode: SearchMode | None = None,
        **options: Any,
    ) -> list[Hit]:
        request = qe.QueryRequest(
            query=query,
            filter=self._filter(where, exclude),
            params=_params(mode or self.search_mode(where), self.options),
            with_payload=True,
            **options,
        )
        with self._store.using() as shard:
            found = shard.query(request)
        return [Hit(int(it.id), it.score, without_claim(it.payload)) for it in found]

    def _filter(self, where: Where | None, exclude: Sequence[int] = ()) -> qe.Filter | None:
        check(where, self._schema)
        found: qe.Filter | None = translate(where, self._schema, EDGE, exclude=exclude)
        return found

    # --- reading ---

    def vector(self, id: int) -> Vector | None:
        """Return a point's vector, (size,) float32 of length 1, or None."""
        with self._store.using() as shard:
            found = shard.retrieve([id], False, True)
        return np.asarray(found[0].vector, dtype=np.float32) if found else None

    def facet(
        self, field: str, *, limit: int = 200, where: Where | None = None
    ) -> list[tuple[Scalar, int]]:
        """Count the points per value of an indexed keyword, integer or bool field, most first."""
        check_facet(field, self._schema)
        request = qe.FacetRequest(
            key=path(field), limit=limit, exact=True, filter=self._filter(where)
        )
        with self._store.using() as shard:
            return most_first((hit.value, hit.count) for hit in shard.facet(request).hits)

    def count(self, where: Where | None = None) -> int:
        """Count the points, exactly."""
        request = qe.CountRequest(exact=True, filter=self._filter(where))
        with self._store.using() as shard:
            return shard.count(request)

    def claims(self, *, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield (id, claim) of the points with start <= id < stop, in id order."""
        for point in walk(self._store.using, start=start):
            if stop is not None and point[0] >= stop:
                return
            yield point

    def records(self, ids: Sequence[int], *, vectors: bool = False) -> list[StoredPoint]:
        """Return the points with these ids as they are stored, those that are there."""
        found: list[qe.Record] = []
        for start in range(0, len(ids), BATCH):  # so that other threads run in between
            with self._store.using() as shard:
                found += shard.retrieve(list(ids[start : start + BATCH]), True, vectors)
        return records(found)

    def points_without_claim(self, *, limit: int = 1000) -> list[str]:
        """Return ids of points that cannot be ours: they carry no claim, or no vector."""
        request = qe.ScrollRequest(
            limit=limit, filter=points_without_claim(EDGE), with_payload=False
        )
        with self._store.using() as shard:
            return [str(point.id) for point in shard.scroll(request)[0]]

    def delete_points_without_claim(self) -> None:
        """Delete the points that cannot be ours."""
        with self._store.writing([]) as shard:
            shard.update(qe.UpdateOperation.delete_points_by_filter(points_without_claim(EDGE)))

    # --- optimizing: the build itself is another process's work ---

    @property
    def schema(self) -> Schema:
        """The payload fields that are indexed."""
        return self._schema

    @property
    def store(self) -> EdgeStore:
        """Where the shard lies, for what is no call of an index."""
        return self._store

    @property
    def indexed(self) -> bool:
        """Whether a graph is searched; all that was written since it was built is compared."""
        return self._store.indexed

    @property
    def dirty(self) -> int:
        """How many points were written or deleted since the shard in use was built."""
        return self._store.dirty

    def begin_build(self) -> Path:
        """Return the folder where a shard with a graph may be built; one at a time."""
        return self._store.begin_build()

    def abandon(self, folder: Path, *, failure: Failure | None = None) -> None:
        """Forget a build, whose process has ended, and keep why it failed."""
        self._store.abandon(folder, failure=failure)

    def adopt(
        self, folder: Path, built: Built, *, heartbeat: Callable[[], None] = lambda: None
    ) -> Built:
        """Answer from the shard that was built, once it holds all that the one in use holds.

        Queries are answered and writes accepted meanwhile, but for as long as the engine takes to
        load it. Returns `built`, with the number of points that had changed since it began.
        """
        return self._store.adopt(folder, built, heartbeat=heartbeat)

    # --- opening and closing ---

    def ping(self) -> None:
        """Raise unless the shard answers."""
        self._store.check_folder()
        with self._store.using() as shard:
            shard.info()

    def drop(self) -> None:
        """Delete the folder with all it holds; the object cannot be used afterwards."""
        self._store.drop()

    def close(self) -> None:
        """Let go of the shard; a child of a fork only forgets it, since it never was its own."""
        self._store.close()


def _params(mode: SearchMode, options: ShardOptions) -> qe.SearchParams:
    """Return what a search asks of the engine; int8 without rescoring found 86% of neighbours."""
    exact = mode is SearchMode.EXACT
    acorn = qe.AcornSearchParams(enable=True) if mode is SearchMode.ACORN else None
    int8 = qe.QuantizationSearchParams(ignore=exact, rescore=True, oversampling=2.0)
    return qe.SearchParams(
        exact=exact, acorn=acorn, quantization=int8 if options.quantization else None
    )
