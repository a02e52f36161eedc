"""The index on a Qdrant server or cluster, through qdrant-client.

One collection is one generation. It is made by the first call, with all payload indexes before
any point; a collection that is dropped afterwards is never made again by the same object.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any, Final

import numpy as np
from qdrant_client import QdrantClient, models

from backend.errors import IndexGone, IndexUnavailable
from backend.filters import Scalar, Schema, Where
from backend.filters.check import check, check_facet
from backend.vectors import CLAIM, Hit, Point, SearchMode, StoredPoint, Vector
from backend.vectors.points import (
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
from backend.vectors.server.calls import attempt
from backend.vectors.server.collection import (
    Connect,
    ServerOptions,
    drop_collection,
    ensure_collection,
)
from backend.vectors.translate import (
    Dialect,
    path,
    points_with_claim,
    points_without_claim,
    translate,
)

SERVER: Final = Dialect(
    sdk=models,
    range=models.Range,
    has_id=lambda ids: models.HasIdCondition(has_id=list(ids)),
    is_empty=lambda field: models.IsEmptyCondition(is_empty=models.PayloadField(key=field)),
    has_vector=lambda name: models.HasVectorCondition(has_vector=name),
)

READ_SECONDS: Final = 5
"""A shopper waits for reads."""

_ORDERING: Final = models.WriteOrdering.MEDIUM
"""Writes of a shard go through one leader. Weak ordering may let replicas apply an upsert and a
later delete in different orders, which no claim can repair; strong would stop with the leader."""

_PAGE = 1000  # points per page of a walk


@dataclass(frozen=True)
class _Connection:
    client: QdrantClient
    pid: int


class ServerIndex:
    """The vectors of one generation in a collection. A forked child connects anew."""

    def __init__(
        self,
        collection: str,
        *,
        size: int,
        schema: Schema,
        connect: Connect,
        options: ServerOptions | None = None,
    ) -> None:
        self.size = size
        self._collection = collection
        self._schema = dict(schema)
        self._connect = connect
        self._options = options or ServerOptions()
        self._lock = threading.Lock()
        self._connection: _Connection | None = None
        self._is_made = False
        self._closed = False
        self._gone = False

    # --- writing ---

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points, except over a point whose claim is the same or newer."""
        ready = checked(points, size=self.size, schema=self._schema)
        for claim, batch in by_claim(ready, attrgetter("claim")):
            rows = [
                models.PointStruct(id=it.id, vector=it.vector.tolist(), payload=dict(it.payload))
                for it in batch
            ]
            self._write("upsert", points=rows, update_filter=points_with_claim(SERVER, lt=claim))

    def delete(self, claims: Mapping[int, int]) -> None:
        """Delete points {id: claim}, except a point whose claim is newer."""
        for claim, batch in by_claim(claims.items(), itemgetter(1)):
            doomed = points_with_claim(SERVER, ids=[claimed[0] for claimed in batch], lte=claim)
            self._write("delete", points_selector=models.FilterSelector(filter=doomed))

    def set_payload(self, id: int, payload: Mapping[str, Any]) -> None:
        """Merge fields into one point's payload; a point that is not there stays away."""
        check_patch(payload, self._schema)
        self._write(
            "set_payload", payload=dict(payload), points=points_with_claim(SERVER, ids=[id])
        )

    def flush(self) -> None:
        """Do nothing: when the server syncs its log is its own setting."""
        self._client()

    def _write(self, method: str, **arguments: Any) -> None:
        # Applied, not only queued: what is settled after it can be found.
        self._call(method, wait=True, ordering=_ORDERING, **arguments)

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
        query = unit(vector, self.size).tolist()
        mode = SearchMode.EXACT if exact else mode
        bound = threshold(min_score)
        return self._search(query, limit, where, exclude, mode=mode, score_threshold=bound)

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
        query = models.RecommendQuery(
            recommend=models.RecommendInput(
                positive=wanted, negative=unwanted, strategy=models.RecommendStrategy.BEST_SCORE
            )
        )
        hits = self._search(query, limit, where, exclude, score_threshold=0.0)
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
        query = models.NearestQuery(
            nearest=unit(vector, self.size).tolist(),
            mmr=models.Mmr(diversity=diversity, candidates_limit=CANDIDATES * limit),
        )
        return self._search(query, limit, where, exclude)

    def search_mode(self, where: Where | None = None) -> SearchMode:
        """Return how a search under this filter is done, as if every point were in the graph.

        What the server has not indexed yet it compares point by point, whatever is asked for. No
        share of the points is compared: vectors may lie on disk, and every shard would be busy.
        """
        passing = self._filter(where)

        def estimate() -> int:
            found = self._call("count", count_filter=passing, exact=False, timeout=READ_SECONDS)
            return int(found.count)

        return choose(where, self._schema, has_graph=True, estimate=estimate)

    def _search(
        self,
        query: Any,
        limit: int,
        where: Where | None,
        exclude: Sequence[int],
        *,
        mode: SearchMode | None = None,
        score_threshold: float | None = None,
    ) -> list[Hit]:
        found = self._call(
            "query_points",
            query=query,
            limit=limit,
            query_filter=self._filter(where, exclude),
            search_params=self._params(mode or self.search_mode(where)),
            score_threshold=score_threshold,
            with_payload=True,
            timeout=READ_SECONDS,
        )
        return [Hit(int(it.id), it.score, without_claim(it.payload)) for it in found.points]

    def _filter(self, where: Where | None, exclude: Sequence[int] = ()) -> models.Filter | None:
        check(where, self._schema)
        found: models.Filter | None = translate(where, self._schema, SERVER, exclude=exclude)
        return found

    def _params(self, mode: SearchMode) -> models.SearchParams:
        """Return what a search sends; int8 without rescoring found 86% of the neighbours."""
        exact = mode is SearchMode.EXACT
        params = models.SearchParams(exact=exact)
        if mode is SearchMode.ACORN:
            params.acorn = models.AcornSearchParams(enable=True)
        if self._options.quantization:
            params.quantization = models.QuantizationSearchParams(
                ignore=exact,  # other searches are judged by what it finds
                rescore=True,
                oversampling=2.0,
            )
        return params

    # --- reading ---

    def vector(self, id: int) -> Vector | None:
        """Return a point's vector, (size,) float32 of length 1, or None."""
        found = self._call(
            "retrieve", ids=[id], with_payload=False, with_vectors=True, timeout=READ_SECONDS
        )
        return np.asarray(found[0].vector, dtype=np.float32) if found else None

    def facet(
        self, field: str, *, limit: int = 200, where: Where | None = None
    ) -> list[tuple[Scalar, int]]:
        """Count the points per value of an indexed keyword, integer or bool field, most first."""
        check_facet(field, self._schema)
        found = self._call(
            "facet",
            key=path(field),
            limit=limit,
            exact=True,
            facet_filter=self._filter(where),
            timeout=READ_SECONDS,
        )
        return most_first((hit.value, hit.count) for hit in found.hits)

    def count(self, where: Where | None = None) -> int:
        """Count the points, exactly."""
        passing = self._filter(where)
        found = self._call("count", count_filter=passing, exact=True, timeout=READ_SECONDS)
        return int(found.count)

    def claims(self, *, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield (id, claim) of the points with start <= id < stop, in id order."""
        offset: Any = start
        while offset is not None:
            page, offset = self._call(
                "scroll", offset=offset, limit=_PAGE, with_payload=[CLAIM], timeout=READ_SECONDS
            )
            for point in page:
                claim = (point.payload or {}).get(CLAIM)
                if not isinstance(point.id, int):
                    return  # behind all numbers come the UUIDs, none of which is ours
                if stop is not None and point.id >= stop:
                    return
                if isinstance(claim, int):
                    yield point.id, claim

    def records(self, ids: Sequence[int], *, vectors: bool = False) -> list[StoredPoint]:
        """Return the points with these ids as they are stored, those that are there."""
        found: list[models.Record] = []
        for start in range(0, len(ids), _PAGE):
            found += self._call(
                "retrieve",
                ids=list(ids[start : start + _PAGE]),
                with_payload=True,
                with_vectors=vectors,
                timeout=READ_SECONDS,
            )
        return records(found)

    def points_without_claim(self, *, limit: int = 1000) -> list[str]:
        """Return ids of points that cannot be ours: they carry no claim, or no vector."""
        found, _ = self._call(
            "scroll",
            scroll_filter=points_without_claim(SERVER),
            limit=limit,
            with_payload=False,
            timeout=READ_SECONDS,
        )
        return [str(point.id) for point in found]

    def delete_points_without_claim(self) -> None:
        """Delete the points that cannot be ours."""
        self._write(
            "delete", points_selector=models.FilterSelector(filter=points_without_claim(SERVER))
        )

    # --- the connection ---

    def ping(self) -> None:
        """Raise unless the server has the collection and answers."""
        self._call("get_collection")

    def close(self) -> None:
        """Let go of the connection that this process opened."""
        with self._lock:
            self._closed = True
            connection = self._connection
            if connection is not None and connection.pid == os.getpid():
                self._connection = None
                connection.client.close()

    def drop(self) -> None:
        """Delete the collection, which is not made for it; the object cannot be used afterwards."""
        with self._lock:
            opened = self._connection
            mine = opened is not None and opened.pid == os.getpid()
            self._is_made, self._gone = False, True
        client = opened.client if opened is not None and mine else self._connect()
        try:
            drop_collection(client, self._collection)
        finally:
            self.close()
            if not mine:
                client.close()

    def _call(self, method: str, **arguments: Any) -> Any:
        call = partial(getattr(self._client(), method), self._collection, **arguments)
        return attempt(call, collection=self._collection)

    def _client(self) -> QdrantClient:
        connection = self._connection
        if not self._is_made or connection is None or connection.pid != os.getpid():
            connection = self._open()
        return connection.client

    def _open(self) -> _Connection:
        with self._lock:
            if self._gone:
                raise IndexGone("the index was dropped", collection=self._collection)
            if self._closed:
                raise IndexUnavailable("the index is closed")
            if self._connection is None or self._connection.pid != os.getpid():
                self._connection = _Connection(self._connect(), os.getpid())
            if not self._is_made:
                ensure_collection(
                    self._connection.client,
                    self._collection,
                    size=self.size,
                    schema=self._schema,
                    options=self._options,
                )
                self._is_made = True
            return self._connection
