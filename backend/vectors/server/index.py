"""The index on a Qdrant server or cluster, through qdrant-client: one collection a generation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any, Final

import numpy as np
from qdrant_client import models

from backend.filters import Scalar, Schema, Where
from backend.filters.check import check, check_facet
from backend.vectors import CLAIM, Hit, Point, SearchMode, StoredPoint, Vector, VectorIndex
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
from backend.vectors.server.channel import READ_SECONDS
from backend.vectors.server.collection import ServerOptions
from backend.vectors.server.connection import ServerCollection
from backend.vectors.server.nodes import Nodes
from backend.vectors.server.queries import SERVER_FILTERS, search_params
from backend.vectors.translate import (
    SdkFilters,
    path,
    points_with_claim,
    points_without_claim,
    translate,
)

_ORDERING: Final = models.WriteOrdering.MEDIUM
"""All writes of a shard go through one leader. With weak ordering, replicas may apply an upsert and
a later delete in different orders, which no claim can repair. With strong ordering, writing stops
when the leader does."""

_PAGE = 1000  # points per request


class ServerIndex(VectorIndex):
    """The vectors of one generation in a collection. Whoever made `nodes` closes them."""

    def __init__(
        self,
        collection: str,
        *,
        size: int,
        schema: Schema,
        nodes: Nodes,
        options: ServerOptions | None = None,
    ) -> None:
        self.size = size
        self._schema = dict(schema)
        self._options = options or ServerOptions()
        self._tokens = self._options.attribute_tokens
        self._filters = replace(SERVER_FILTERS, tokens=self._tokens)
        self.collection = ServerCollection(
            collection, size=size, schema=self._schema, nodes=nodes, options=self._options
        )

    @property
    def version(self) -> object:
        return None  # other processes write, too

    # --- writing ---

    def upsert(self, points: Sequence[Point]) -> None:
        ready = check_points(points, size=self.size, schema=self._schema, tokens=self._tokens)
        most = self.collection.limits.batch(BATCH)
        for claim, batch in batches_by_claim(ready, attrgetter("claim"), most=most):
            rows = [
                models.PointStruct(id=it.id, vector=it.vector.tolist(), payload=dict(it.payload))
                for it in batch
            ]
            self._write(
                "upsert", points=rows, update_filter=points_with_claim(SERVER_FILTERS, lt=claim)
            )

    def delete(self, claims: Mapping[int, int]) -> None:
        most = self.collection.limits.ids(BATCH)
        for claim, batch in batches_by_claim(claims.items(), itemgetter(1), most=most):
            outdated = points_with_claim(
                SERVER_FILTERS, ids=[claimed[0] for claimed in batch], lte=claim
            )
            self._write("delete", points_selector=models.FilterSelector(filter=outdated))

    def set_payload(self, id: int, payload: Mapping[str, Any]) -> None:
        check_patch(payload, self._schema)
        self._write(
            "set_payload",
            payload=dict(with_tokens(payload, tokens=self._tokens)),
            points=points_with_claim(SERVER_FILTERS, ids=[id]),
        )

    def flush(self) -> None:
        """Only connect: the server's own settings say when it flushes to disk."""
        self.collection.open()

    def _write(self, method: str, **arguments: Any) -> None:
        # `wait`: the entry is settled afterwards, so the point must be applied and not only queued.
        self.collection.call(method, wait=True, ordering=_ORDERING, **arguments)

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
        query = unit_vector(vector, self.size).tolist()
        mode = SearchMode.EXACT if exact else mode
        bound = float32_threshold(min_score)
        return self._search(
            query, limit, where, exclude, mode=mode, payloads=payloads, score_threshold=bound
        )

    def nearest_each(
        self,
        queries: Sequence[tuple[Vector, float | None]],
        *,
        limit: int,
        where: Where | None = None,
        mode: SearchMode | None = None,
    ) -> list[list[Hit]]:
        mode, limits = mode or self.search_mode(where), self.collection.limits
        if limits.page(limit) < limit:  # each needs several requests
            options: dict[str, Any] = {"where": where, "mode": mode, "payloads": False}
            return [self.nearest(it, limit=limit, min_score=low, **options) for it, low in queries]
        if mode is SearchMode.EXACT:
            limits.check_exact()
        passing, params = self._filter(where), search_params(mode, self._options, limits)
        requests = [
            models.QueryRequest(
                query=unit_vector(vector, self.size).tolist(),
                limit=limit,
                filter=passing,
                params=params,
                score_threshold=float32_threshold(min_score),
                with_payload=False,
            )
            for vector, min_score in queries
        ]
        found = self._read("query_batch_points", requests=requests)
        return [[Hit(int(it.id), it.score) for it in each.points] for each in found]

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
        query = models.RecommendQuery(
            recommend=models.RecommendInput(
                positive=wanted, negative=unwanted, strategy=models.RecommendStrategy.BEST_SCORE
            )
        )
        hits = self._search(query, limit, where, exclude, score_threshold=0.0)
        return [Hit(hit.id, cosine_of_best_score(hit.score), hit.payload) for hit in hits]

    def search_mode(self, where: Where | None = None) -> SearchMode:
        """Choose by the filter alone, as if every point were in the graph: nothing is asked for it.

        The server estimates by itself how many points pass, and compares them where they are few,
        in each mode: 5,000 at 512 dimensions by its own defaults.
        """
        check(where, self._schema)
        return choose(where, self._schema)

    def compared(self, where: Where) -> int:
        """Return 0: the server compares where that is cheaper, and does not say so."""
        return 0

    def _search(
        self,
        query: Any,
        limit: int,
        where: Where | None,
        exclude: Sequence[int],
        *,
        mode: SearchMode | None = None,
        payloads: bool = True,
        score_threshold: float | None = None,
    ) -> list[Hit]:
        limits, mode = self.collection.limits, mode or self.search_mode(where)
        if mode is SearchMode.EXACT:
            limits.check_exact()
        asked = {
            "query": query,
            "query_filter": self._filter(where, exclude),
            "search_params": search_params(mode, self._options, limits),
            "score_threshold": score_threshold,
            "with_payload": payloads,
        }
        found: list[Any] = []
        more: list[Any] = []
        page = limits.page(limit)
        while not found or (len(more) == page and len(found) < limit):
            wanted = min(page, limit - len(found))
            start = len(found) or None
            more = self._read("query_points", limit=wanted, offset=start, **asked).points
            found += more
            if not more:
                break
        return as_hits(found)

    def _filter(
        self, where: Where | None, exclude: Sequence[int] = (), *, first_only: bool = False
    ) -> models.Filter | None:
        check(where, self._schema)
        found: models.Filter | None = translate(
            where, self._schema, self._words(), exclude=exclude, first_only=first_only
        )
        self.collection.limits.check_filter(found)
        return found

    def _words(self) -> SdkFilters:
        most = self.collection.limits.condition_max_size
        return self._filters if most is None else replace(self._filters, most_values=most)

    def _read(self, method: str, **arguments: Any) -> Any:
        seconds = self.collection.limits.seconds(READ_SECONDS)
        return self.collection.call(method, timeout=seconds, **arguments)

    # --- reading ---

    def vector(self, id: int) -> Vector | None:
        found = self._read("retrieve", ids=[id], with_payload=False, with_vectors=True)
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
        self.collection.limits.check_limit(limit)
        self.collection.limits.check_exact()
        passing = self._filter(where, first_only=several)
        found = self._read("facet", key=path(field), limit=limit, exact=True, facet_filter=passing)
        return sort_counts((hit.value, hit.count) for hit in found.hits)

    def count(self, where: Where | None = None, *, several: bool = False) -> int:
        passing = self._filter(where, first_only=several)
        if not self.collection.limits.search_allow_exact:  # so the points are counted here
            return sum(1 for _ in self._scroll(with_payload=False, scroll_filter=passing))
        return int(self._read("count", count_filter=passing, exact=True).count)

    def _scroll(self, *, start: int | None = None, **asked: Any) -> Iterator[Any]:
        """Yield points in the order of their ids, as many in a request as are allowed."""
        page, offset = self.collection.limits.page(_PAGE), start
        while True:
            found, offset = self._read("scroll", offset=offset, limit=page, **asked)
            yield from found
            if offset is None:
                return

    def claims(self, *, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        for point in self._scroll(start=start, with_payload=[CLAIM]):
            claim = (point.payload or {}).get(CLAIM)
            if not isinstance(point.id, int):
                return  # UUIDs come after all numbers, and none of them is ours
            if stop is not None and point.id >= stop:
                return
            if isinstance(claim, int):
                yield point.id, claim

    def vectors(self, ids: Sequence[int]) -> dict[int, Vector]:
        found: list[models.Record] = []
        for start in range(0, len(ids), _PAGE):
            some = list(ids[start : start + _PAGE])
            found += self._read("retrieve", ids=some, with_payload=False, with_vectors=True)
        return {int(it.id): np.asarray(it.vector, np.float32) for it in found if it.vector}

    def records(self, ids: Sequence[int], *, vectors: bool = False) -> list[StoredPoint]:
        found: list[models.Record] = []
        for start in range(0, len(ids), _PAGE):
            some = list(ids[start : start + _PAGE])
            found += self._read("retrieve", ids=some, with_payload=True, with_vectors=vectors)
        return stored_points(found, tokens=self._tokens)

    def points_without_claim(self, *, limit: int = 1000) -> list[str]:
        strangers = points_without_claim(SERVER_FILTERS)
        found = self._scroll(scroll_filter=strangers, with_payload=False)
        return [str(point.id) for point in islice(found, limit)]

    def delete_points_without_claim(self) -> None:
        self._write(
            "delete",
            points_selector=models.FilterSelector(filter=points_without_claim(SERVER_FILTERS)),
        )

    # --- opening and closing ---

    def ping(self) -> None:
        self.collection.call("get_collection")

    def drop(self) -> None:
        self.collection.drop()

    def close(self) -> None:
        self.collection.close()
