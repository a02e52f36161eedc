"""The embedded index: a qdrant-edge shard in this process, which is its only owner.

- The engine holds the GIL through every call, so batches are short; an upsert of 256 points takes
  about 10 ms.
- What was acknowledged survives a killed process (write-ahead log). It survives a power cut after
  `flush`.
- A new shard is searched by brute force, exactly, which takes milliseconds at tens of thousands.
  Another process builds one with a graph, which then replaces it (`backend.vectors.edge.store`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Final

import numpy as np
import qdrant_edge as qe

from backend.filters import OPEN_PREFIX, Scalar, Schema, Where
from backend.filters.check import check_facet
from backend.vectors import Hit, Point, SearchMode, StoredPoint, Vector, VectorIndex
from backend.vectors.edge.copy import scroll_claims
from backend.vectors.edge.passing_points import PassingPoints
from backend.vectors.edge.post_filter import (
    EngineQuery,
    Points,
    fallback,
    passing_of,
    post_filtered,
)
from backend.vectors.edge.queries import EDGE_FILTERS, search_params
from backend.vectors.edge.shard import ShardOptions, engine_points
from backend.vectors.edge.shard_filters import ShardFilters
from backend.vectors.edge.store import EdgeStore
from backend.vectors.points import (
    BATCH,
    as_hits,
    batches_by_claim,
    check_examples,
    check_patch,
    check_points,
    cosine_of_best_score,
    float32_threshold,
    sort_counts,
    stored_points,
    unit_vector,
    with_tokens,
)
from backend.vectors.search_mode import choose
from backend.vectors.translate import path, points_with_claim, points_without_claim

REMEMBERED_BYTES: Final = 16 * 2**20
"""Of queries by vectors, about: each takes its vector twice, in float32."""

READ_FOR_EACH: Final = 10
"""Up to so many points for each value that a filter names, the points are read to count values. The
engine's facet compares each point with each value: of 24 values with 60 points it took 0.89 ms, to
read them 0.33; of 96 with 219, 10.1 and 1.2 (20,000 points, processor time)."""


class EdgeIndex(VectorIndex):
    """The vectors of one generation in a folder of their own; opened by the first call.

    A second owner, in this process or another, gets IndexLocked; one that inherited the open
    index through a fork gets ConfigurationError. `store` replaces the shard by one with a graph.
    """

    def __init__(
        self, path: Path, *, size: int, schema: Schema, options: ShardOptions | None = None
    ) -> None:
        self.size = size
        self.options = options or ShardOptions()
        self._schema = dict(schema)
        self._tokens = self.options.attribute_tokens
        self._remembered = lru_cache(REMEMBERED_BYTES // (8 * size))(self._near_bytes)
        self._passing_points = PassingPoints(self._schema)
        self.store = EdgeStore(
            path,
            size=size,
            schema=self._schema,
            tokens=self._tokens,
            written=self._passing_points.forget,
        )
        self._filters = ShardFilters(self.store, self._schema, tokens=self._tokens)

    # --- writing ---

    def upsert(self, points: Sequence[Point]) -> None:
        ready = check_points(points, size=self.size, schema=self._schema, tokens=self._tokens)
        with self.store.writing([point.id for point in ready]) as shard:
            for claim, batch in batches_by_claim(ready, attrgetter("claim")):
                older = points_with_claim(EDGE_FILTERS, lt=claim)
                shard.update(
                    qe.UpdateOperation.upsert_points(engine_points(batch), condition=older)
                )

    def delete(self, claims: Mapping[int, int]) -> None:
        with self.store.writing(claims.keys()) as shard:
            for claim, batch in batches_by_claim(claims.items(), itemgetter(1)):
                outdated = points_with_claim(
                    EDGE_FILTERS, ids=[claimed[0] for claimed in batch], lte=claim
                )
                shard.update(qe.UpdateOperation.delete_points_by_filter(outdated))

    def set_payload(self, id: int, payload: Mapping[str, Any]) -> None:
        check_patch(payload, self._schema)
        with self.store.writing([id]) as shard:
            # A filter, because by id alone the engine raises if there is no such point.
            point = points_with_claim(EDGE_FILTERS, ids=[id])
            fields = dict(with_tokens(payload, tokens=self._tokens))
            shard.update(qe.UpdateOperation.set_payload_by_filter(point, fields))

    def flush(self) -> None:
        with self.store.using() as shard:
            shard.flush()

    @property
    def version(self) -> object:
        return self.store.version

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
        payloads: bool = True,
    ) -> list[Hit]:
        return self._search(
            self._near(vector),
            where,
            exclude,
            mode=SearchMode.EXACT if exact else mode,
            payloads=payloads,
            limit=limit,
            score_threshold=float32_threshold(min_score),
        )

    def nearest_each(
        self,
        queries: Sequence[tuple[Vector, float | None]],
        *,
        limit: int,
        where: Where | None = None,
        mode: SearchMode | None = None,
    ) -> list[list[Hit]]:
        # One by one: the engine's batch is no faster, and would hold the GIL all the time.
        mode = mode or self.search_mode(where)
        return [
            self._search(
                self._near(vector),
                where,
                (),
                mode=mode,
                payloads=False,
                limit=limit,
                score_threshold=float32_threshold(min_score),
            )
            for vector, min_score in queries
        ]

    def recommend(
        self,
        positives: Sequence[Vector],
        negatives: Sequence[Vector] = (),
        *,
        limit: int,
        where: Where | None = None,
        exclude: Sequence[int] = (),
    ) -> list[Hit]:
        wanted, unwanted = check_examples(positives, negatives, self.size)
        hits = self._search(
            qe.Query.RecommendBestScore(qe.RecommendQuery(positives=wanted, negatives=unwanted)),
            where,
            exclude,
            limit=limit,
            score_threshold=0.0,
        )
        return [Hit(hit.id, cosine_of_best_score(hit.score), hit.payload) for hit in hits]

    def search_mode(self, where: Where | None = None) -> SearchMode:
        self._filters.of(where)
        return choose(
            where,
            self._schema,
            has_graph=self.indexed,
            estimate=lambda: self._filters.count(where),
            # With int8 a graph search reads small codes, but a comparison reads whole vectors.
            points=None if self.options.quantization else self._filters.count,
        )

    def compared(self, where: Where) -> int:
        if not self.indexed or self.search_mode(where) is SearchMode.PLAIN:
            return 0
        return self._filters.count(where)

    def _near(self, vector: Vector) -> Any:
        """Return the engine's query for a vector, remembered: products are asked about again."""
        kind: Any = vector
        if isinstance(kind, np.ndarray) and kind.dtype == np.float32 and kind.shape == (self.size,):
            return self._remembered(vector.tobytes())
        return qe.Query.Nearest(unit_vector(vector, self.size).tolist())

    def _near_bytes(self, vector: bytes) -> Any:
        return qe.Query.Nearest(unit_vector(np.frombuffer(vector, np.float32), self.size).tolist())

    def _search(
        self,
        query: Any,
        where: Where | None,
        exclude: Sequence[int],
        *,
        limit: int,
        score_threshold: float | None,
        mode: SearchMode | None = None,
        payloads: bool = True,
    ) -> list[Hit]:
        mode = mode or self.search_mode(where)
        passing = self._filters.of(where, exclude)
        if mode is SearchMode.ACORN and passing is not None:
            wanted = EngineQuery(query, limit, score_threshold, payloads)
            found, mode = self._post_filter(passing, wanted, where, exclude)
            if found is not None:
                return as_hits(found, payloads=payloads)
        request = qe.QueryRequest(
            query=query,
            filter=passing,
            params=search_params(mode, self.options),
            with_payload=payloads,
            limit=limit,
            score_threshold=score_threshold,
        )
        return as_hits(self.store.query(request), payloads=payloads)

    def _post_filter(
        self, passing: qe.Filter, wanted: EngineQuery, where: Where | None, exclude: Sequence[int]
    ) -> tuple[Points | None, SearchMode]:
        """Try a walk without the filter; return what it found, and what to do if that is None."""

        def which_pass(ids: set[int]) -> Points:
            asked = wanted._replace(limit=len(ids), score_threshold=None)
            return self.store.query(passing_of(asked, passing, ids))

        def keep(found: Points) -> Points:
            if exclude or wanted.payloads or not (where and self._passing_points.keeps(where)):
                return self.store.query(passing_of(wanted, passing, {it.id for it in found}))
            return self._passing_points.of(where, found, which_pass)

        points, count = self._filters.count(), self._filters.count(where)
        other, most = fallback(count, points, quantized=bool(self.options.quantization))
        share = max(count, 1) / max(points, 1)
        return post_filtered(self.store.query, keep, wanted, share=share, most=most), other

    # --- reading ---

    def vector(self, id: int) -> Vector | None:
        with self.store.using() as shard:
            found = shard.retrieve([id], False, True)
        return np.asarray(found[0].vector, dtype=np.float32) if found else None

    def facet(
        self,
        field: str,
        *,
        limit: int = 200,
        where: Where | None = None,
        several: bool = False,
    ) -> list[tuple[Scalar, int]]:
        check_facet(field, self._schema)
        passing = self._filters.of(where, first_only=several)
        named = len(where[field].any_of) if where and field in where else 0
        is_column = not field.startswith(OPEN_PREFIX)  # which has one value
        if named and is_column and self._filters.estimate(passing) <= READ_FOR_EACH * named:
            counts = self._count_read(field, passing, most=2 * READ_FOR_EACH * named)
            if counts is not None:
                return sort_counts(counts.items())[:limit]
        request = qe.FacetRequest(key=path(field), limit=limit, exact=True, filter=passing)
        with self.store.using() as shard:
            return sort_counts((hit.value, hit.count) for hit in shard.facet(request).hits)

    def _count_read(
        self, field: str, passing: qe.Filter | None, *, most: int
    ) -> Mapping[Scalar, int] | None:
        """Count the values of a field by reading the points; None where more than `most` pass."""
        request = qe.ScrollRequest(
            limit=most, filter=passing, with_payload=qe.PayloadSelector.Include([field])
        )
        with self.store.using() as shard:
            points, following = shard.scroll(request)
        if following is not None:
            return None
        return Counter([point.payload[field] for point in points if point.payload])

    def count(self, where: Where | None = None, *, several: bool = False) -> int:
        passing = self._filters.of(where, first_only=several)
        request = qe.CountRequest(exact=True, filter=passing)
        with self.store.using() as shard:
            return shard.count(request)

    def claims(self, *, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        for point in scroll_claims(self.store.using, start=start):
            if stop is not None and point[0] >= stop:
                return
            yield point

    def records(self, ids: Sequence[int], *, vectors: bool = False) -> list[StoredPoint]:
        found: list[qe.Record] = []
        for start in range(0, len(ids), BATCH):  # the engine lets no other thread run
            with self.store.using() as shard:
                found += shard.retrieve(list(ids[start : start + BATCH]), True, vectors)
        return stored_points(found, tokens=self._tokens)

    def vectors(self, ids: Sequence[int]) -> dict[int, Vector]:
        found: list[qe.Record] = []
        for start in range(0, len(ids), BATCH):
            with self.store.using() as shard:
                found += shard.retrieve(list(ids[start : start + BATCH]), False, True)
        return {int(it.id): np.asarray(it.vector, dtype=np.float32) for it in found if it.vector}

    def points_without_claim(self, *, limit: int = 1000) -> list[str]:
        request = qe.ScrollRequest(
            limit=limit, filter=points_without_claim(EDGE_FILTERS), with_payload=False
        )
        with self.store.using() as shard:
            return [str(point.id) for point in shard.scroll(request)[0]]

    def delete_points_without_claim(self) -> None:
        with self.store.writing([]) as shard:
            shard.update(
                qe.UpdateOperation.delete_points_by_filter(points_without_claim(EDGE_FILTERS))
            )

    # --- what the optimizer reads ---

    @property
    def schema(self) -> Schema:
        """The payload fields that are indexed."""
        return self._schema

    @property
    def indexed(self) -> bool:
        """Whether a graph is searched; all that was written since it was built is compared."""
        return self.store.indexed

    @property
    def dirty(self) -> int:
        """How many points were written or deleted since the shard in use was built."""
        return self.store.dirty

    # --- opening and closing ---

    def ping(self) -> None:
        self.store.check_folder()
        with self.store.using() as shard:
            shard.info()

    def drop(self) -> None:
        self.store.drop()

    def close(self) -> None:
        self.store.close()
