"""A Qdrant server's gRPC interface in front of qdrant-client's local mode.

It tries what local mode leaves out: the conversions on the wire, deadlines and status codes, in
which order a collection is made, and what a request asks for. It is no server: nothing here says
how a real one plans a query.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from qdrant_client import QdrantClient
from qdrant_client import grpc as pb
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.grpc import collections_service_pb2_grpc as collections_rpc
from qdrant_client.grpc import points_service_pb2_grpc as points_rpc
from qdrant_client.models import StrictModeConfig

from support.qdrant_strict import refusal

Handler = Callable[[Any, Any], Any]

LOCAL_MODE_WARNINGS = [  # it has neither payload indexes nor search parameters
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
]
"""The `pytestmark` of a module that uses qdrant-client's local mode."""


class Wire:
    """The listening server: `seen` are its requests, and planned failures come before answers."""

    def __init__(
        self,
        strict: StrictModeConfig | None = None,
        *,
        local: QdrantClient | None = None,
        port: int = 0,
    ) -> None:
        self.strict = strict
        self.local = local or QdrantClient(":memory:")
        self.indexes: dict[str, dict[str, int]] = defaultdict(dict)  # which local mode lacks
        self.seen: list[Any] = []
        self.replica_states: list[int] = []  # of the shard's replicas at other peers
        self._failures: list[tuple[grpc.StatusCode | None, str]] = []
        self._server = grpc.server(ThreadPoolExecutor(1))  # local mode is not thread-safe
        collections_rpc.add_CollectionsServicer_to_server(_Collections(self), self._server)
        points_rpc.add_PointsServicer_to_server(_Points(self), self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def connect(self) -> QdrantClient:
        """Return a client as the adapter's own connector makes it."""
        return QdrantClient(
            url="http://127.0.0.1:1",
            grpc_port=self.port,
            prefer_grpc=True,
            timeout=10,
            check_compatibility=False,
        )

    def fail(self, *statuses: grpc.StatusCode | None, details: str = "as planned") -> None:
        """Answer the next requests with these statuses, or properly where there is None."""
        self._failures.extend((status, details) for status in statuses)

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop(None).wait()
        self.local.close()

    def answer(self, handle: Callable[[], Any], request: Any, context: grpc.ServicerContext) -> Any:
        """Record a request and answer it, with a server's status codes for what goes wrong."""
        self.seen.append(request)
        status, details = self._failures.pop(0) if self._failures else (None, "")
        if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
            context.set_trailing_metadata([("retry-after", "1")])
        if status:
            context.abort(status, details)
        indexes = self.indexes.get(getattr(request, "collection_name", ""), {})
        if refused := refusal(request, self.strict, indexes):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, refused)
        try:
            return handle()
        except ValueError as error:
            missing = "not found" in str(error)
            status = grpc.StatusCode.NOT_FOUND if missing else grpc.StatusCode.INVALID_ARGUMENT
            context.abort(status, str(error))


def rpc(handler: Handler) -> Callable[[Any, Any, grpc.ServicerContext], Any]:
    """Make a method of a servicer from what answers its request."""

    @functools.wraps(handler)
    def method(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        return self.wire.answer(lambda: handler(self, request), request, context)

    return method


class _Collections(collections_rpc.CollectionsServicer):
    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    @rpc
    def CollectionExists(self, request: Any) -> Any:  # noqa: N802
        exists = self.wire.local.collection_exists(request.collection_name)
        return pb.CollectionExistsResponse(result=pb.CollectionExists(exists=exists))

    @rpc
    def Create(self, request: Any) -> Any:  # noqa: N802
        self.wire.indexes[request.collection_name] = {}
        vectors = GrpcToRest.convert_vectors_config(request.vectors_config)
        done = self.wire.local.create_collection(request.collection_name, vectors_config=vectors)
        return pb.CollectionOperationResponse(result=done)

    @rpc
    def Get(self, request: Any) -> Any:  # noqa: N802
        info = self.wire.local.get_collection(request.collection_name)
        found = RestToGrpc.convert_collection_info(info)
        for field, kind in self.wire.indexes[request.collection_name].items():
            key = field.replace('"', "") if field.replace('"', "").isidentifier() else field
            found.payload_schema[key].data_type = kind + 1  # PayloadSchemaType counts from 1
        if self.wire.strict:
            strict = RestToGrpc.convert_strict_mode_config(self.wire.strict)
            found.config.strict_mode_config.CopyFrom(strict)
        return pb.GetCollectionInfoResponse(result=found)

    @rpc
    def CollectionClusterInfo(self, request: Any) -> Any:  # noqa: N802
        states = [pb.LocalShardInfo(shard_id=0, state=pb.ReplicaState.Active)]
        others = [
            pb.RemoteShardInfo(shard_id=0, peer_id=2 + number, state=state)
            for number, state in enumerate(self.wire.replica_states)
        ]
        return pb.CollectionClusterInfoResponse(
            peer_id=1, shard_count=1, local_shards=states, remote_shards=others
        )

    @rpc
    def Delete(self, request: Any) -> Any:  # noqa: N802
        done = self.wire.local.delete_collection(request.collection_name)
        return pb.CollectionOperationResponse(result=done)


class _Points(points_rpc.PointsServicer):
    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    @rpc
    def CreateFieldIndex(self, request: Any) -> Any:  # noqa: N802
        self.wire.local.count(request.collection_name)
        self.wire.indexes[request.collection_name][request.field_name] = request.field_type
        return _done()

    @rpc
    def Upsert(self, request: Any) -> Any:  # noqa: N802
        points = [GrpcToRest.convert_point_struct(point) for point in request.points]
        self.wire.local.upsert(
            request.collection_name, points, update_filter=_filter(request, "update_filter")
        )
        return _done()

    @rpc
    def Delete(self, request: Any) -> Any:  # noqa: N802
        chosen = GrpcToRest.convert_points_selector(request.points)
        self.wire.local.delete(request.collection_name, points_selector=chosen)
        return _done()

    @rpc
    def SetPayload(self, request: Any) -> Any:  # noqa: N802
        payload = GrpcToRest.convert_payload(request.payload)
        chosen = GrpcToRest.convert_points_selector(request.points_selector)
        self.wire.local.set_payload(request.collection_name, payload, points=chosen)
        return _done()

    @rpc
    def Query(self, request: Any) -> Any:  # noqa: N802
        return pb.QueryResponse(result=self._query(request))

    @rpc
    def QueryBatch(self, request: Any) -> Any:  # noqa: N802
        for each in request.query_points:
            each.collection_name = request.collection_name
        found = [pb.BatchResult(result=self._query(each)) for each in request.query_points]
        return pb.QueryBatchResponse(result=found)

    def _query(self, request: Any) -> Any:
        asked = GrpcToRest.convert_query_points(request)
        found = self.wire.local.query_points(
            request.collection_name,
            query=asked.query,
            query_filter=asked.filter,
            search_params=asked.params,
            limit=asked.limit,
            offset=asked.offset,
            score_threshold=asked.score_threshold,
            with_payload=asked.with_payload,
        )
        return list(map(RestToGrpc.convert_scored_point, found.points))

    @rpc
    def Facet(self, request: Any) -> Any:  # noqa: N802
        found = self.wire.local.facet(
            request.collection_name,
            request.key,
            facet_filter=_filter(request, "filter"),
            limit=request.limit,
            exact=request.exact,
        )
        return pb.FacetResponse(hits=map(RestToGrpc.convert_facet_value_hit, found.hits))

    @rpc
    def Count(self, request: Any) -> Any:  # noqa: N802
        found = self.wire.local.count(request.collection_name, _filter(request, "filter"))
        return pb.CountResponse(result=RestToGrpc.convert_count_result(found))

    @rpc
    def Scroll(self, request: Any) -> Any:  # noqa: N802
        page, offset = self.wire.local.scroll(
            request.collection_name,
            limit=request.limit,
            offset=_offset(request),
            scroll_filter=_filter(request, "filter"),
            with_payload=GrpcToRest.convert_with_payload_interface(request.with_payload),
        )
        following = None if offset is None else RestToGrpc.convert_extended_point_id(offset)
        return pb.ScrollResponse(result=_records(page), next_page_offset=following)

    @rpc
    def Get(self, request: Any) -> Any:  # noqa: N802
        found = self.wire.local.retrieve(
            request.collection_name,
            list(map(GrpcToRest.convert_point_id, request.ids)),
            with_payload=GrpcToRest.convert_with_payload_interface(request.with_payload),
            with_vectors=GrpcToRest.convert_with_vectors_selector(request.with_vectors),
        )
        return pb.GetResponse(result=_records(found))


def _offset(request: Any) -> Any:
    return GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None


def _filter(request: Any, field: str) -> Any:
    return GrpcToRest.convert_filter(getattr(request, field)) if request.HasField(field) else None


def _records(points: Iterable[Any]) -> list[Any]:
    return [
        RestToGrpc.convert_record(point.model_copy(update={"payload": point.payload or {}}))
        for point in points
    ]


def _done() -> Any:
    status = pb.UpdateStatus.Completed
    return pb.PointsOperationResponse(result=pb.UpdateResult(operation_id=0, status=status))
