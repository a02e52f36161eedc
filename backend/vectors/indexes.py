"""The indexes of the generations that one process works with, embedded or on a Qdrant server."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Literal

from backend.calls import Caller
from backend.database.models import Generation
from backend.errors import ConfigurationError, IndexGone, IndexUnavailable
from backend.filters import Schema
from backend.settings import Settings
from backend.vectors import VectorIndex
from backend.vectors.edge import folders
from backend.vectors.edge.folders import Shard
from backend.vectors.edge.index import EdgeIndex
from backend.vectors.edge.remote_index import RemoteIndex
from backend.vectors.edge.shard import ShardOptions

if TYPE_CHECKING:
    from backend.vectors.server.nodes import Nodes
    from backend.vectors.server.replicas import ReplicaReport


class Indexes:
    """One index per generation, opened on first use and kept open. Safe to use from threads."""

    def __init__(self, settings: Settings, *, schema: Schema, owner: Caller | None = None) -> None:
        """With `owner`, an embedded index is asked through the process that owns it."""
        self._settings = settings
        self._owner = owner
        self._schema = schema
        self._lock = threading.Lock()
        self._open: dict[str, VectorIndex] = {}
        self._dropped: set[str] = set()
        self._nodes: Nodes | None = None

    def of(self, generation: Generation) -> VectorIndex:
        """Return a generation's index. An embedded one is opened by its owner alone.

        Raises IndexGone after `drop`.
        """
        collection = generation.collection
        with self._lock:
            if collection in self._dropped:  # it must not be created again, empty
                raise IndexGone(f"the index of generation {generation.id} was dropped")
            if collection not in self._open:
                self._open[collection] = self._make(generation)
            return self._open[collection]

    def shard_of(self, generation: Generation) -> EdgeIndex | None:
        """Return a generation's embedded index, None where a server holds it."""
        index = self.of(generation)
        return index if isinstance(index, EdgeIndex) else None

    def look_at_shard(self, generation: Generation) -> Shard | None:
        """Return what is known of a generation's embedded index, whichever process owns it."""
        if self._settings.qdrant_url:
            return None
        return folders.look(self._settings.index_dir / generation.collection)

    def close(self, generation: Generation) -> None:
        """Close a generation's index, which may be gone; the next use opens it again."""
        with self._lock:
            index = self._open.pop(generation.collection, None)
        if index is not None:
            with suppress(IndexUnavailable):  # what is gone cannot be flushed
                index.close()

    def drop(self, generation: Generation) -> None:
        """Delete a generation's index with all it holds, permanently."""
        with self._lock:
            index = self._open.pop(generation.collection, None)
            self._dropped.add(generation.collection)
        index = index or self._make(generation)
        index.drop()

    def point_alias(self, generation: Generation) -> None:
        """Point the server's alias at a generation's collection; an embedded index has none."""
        if self._settings.qdrant_url:
            from backend.vectors.server.collection import point_alias  # noqa: PLC0415

            prefix = self._settings.qdrant_prefix
            alias = prefix + self._settings.qdrant_alias
            point_alias(self.nodes(), alias, prefix + generation.collection)

    def nodes(self) -> Nodes:
        """Return the nodes of the Qdrant server; all indexes share their connections."""
        # Only here: qdrant-client takes a second to import, which embedded shops need not pay.
        from backend.vectors.server.nodes import of_urls  # noqa: PLC0415

        if self._nodes is None:
            settings = self._settings
            self._nodes = of_urls(
                str(settings.qdrant_url),
                api_key=settings.qdrant_api_key,
                grpc_port=settings.qdrant_grpc_port,
                most_calls=max(1, settings.threads - max(1, settings.threads // 4)),
            )
        return self._nodes

    def check(self, generation: Generation | None) -> None:
        """Ask the Qdrant server once: its address, the key, a generation's layout. Makes nothing.

        Does nothing for an embedded index. Raises ConfigurationError or IndexUnavailable, which
        name the settings.
        """
        settings = self._settings
        if not settings.qdrant_url:
            return
        from backend.vectors.server.collection import check_collection  # noqa: PLC0415

        name, size = (generation.collection, generation.size) if generation else ("lookalike", 0)
        try:
            check_collection(self.nodes(), settings.qdrant_prefix + name, size=size)
        except IndexGone:
            return
        except IndexUnavailable as error:
            raise IndexUnavailable(
                f"{error.message}; QDRANT_URL={settings.qdrant_url} and "
                f"LOOKALIKE_QDRANT_GRPC_PORT={settings.qdrant_grpc_port} say where it is"
            ) from error

    def compare_replicas(self, generation: Generation, *, full: bool = False) -> ReplicaReport:
        """Compare what the nodes of a Qdrant cluster hold of a generation, all vectors if `full`.

        Raises ConfigurationError where QDRANT_URL names fewer than two nodes.
        """
        nodes = self.nodes().all() if self._settings.qdrant_url else ()
        if len(nodes) < 2:
            raise ConfigurationError(
                "QDRANT_URL names one node or none: give all of a cluster, as "
                "http://a:6333,http://b:6333 or by a name with several records"
            )
        from backend.vectors.server.nodes import Nodes  # noqa: PLC0415
        from backend.vectors.server.replicas import compare_replicas  # noqa: PLC0415

        indexes = {
            node.name: _server_index(self._settings, self._schema, generation, Nodes.of([node]))
            for node in nodes
        }
        collection = self._settings.qdrant_prefix + generation.collection
        return compare_replicas(self.nodes(), indexes, collection=collection, full=full)

    def problem(self) -> str | None:
        """Return why the Qdrant server is not asked now; None if it is, or without a server."""
        return self._nodes.problem() if self._nodes else None

    def close_all(self) -> None:
        """Flush and close every index."""
        with self._lock:
            for index in self._open.values():
                index.close()
            self._open.clear()
        if self._nodes:
            self._nodes.close()

    def _make(self, generation: Generation) -> VectorIndex:
        if self._settings.qdrant_url:
            return _server_index(self._settings, self._schema, generation, self.nodes())
        if self._owner is not None:
            size = generation.size
            return RemoteIndex(self._owner, generation.id, size=size, schema=self._schema)
        return _edge_index(self._settings, self._schema, generation)


def _edge_index(settings: Settings, schema: Schema, generation: Generation) -> VectorIndex:
    names = {field.name for field in fields(ShardOptions)}
    options = {name: it for name, it in generation.index_options.items() if name in names}
    return EdgeIndex(
        settings.index_dir / generation.collection,
        size=generation.size,
        schema=schema,
        # LOOKALIKE_QDRANT_QUANTIZATION is a setting for Qdrant servers only.
        options=ShardOptions(
            **options,
            quantization=_quantization(generation.quantization),
            attribute_tokens=bool(generation.attribute_tokens),
        ),
    )


def _server_index(
    settings: Settings, schema: Schema, generation: Generation, nodes: Nodes
) -> VectorIndex:
    from backend.vectors.server.collection import ServerOptions  # noqa: PLC0415
    from backend.vectors.server.index import ServerIndex  # noqa: PLC0415

    return ServerIndex(
        settings.qdrant_prefix + generation.collection,
        size=generation.size,
        schema=schema,
        nodes=nodes,
        options=ServerOptions(
            on_disk=settings.qdrant_on_disk,
            quantization=_quantization(generation.quantization or settings.qdrant_quantization),
            shard_number=settings.qdrant_shards,
            replication_factor=settings.qdrant_replicas,
            hnsw_m=generation.index_options.get("hnsw_m"),
            hnsw_ef_construct=generation.index_options.get("hnsw_ef_construct"),
            attribute_tokens=bool(generation.attribute_tokens),
        ),
    )


def _quantization(chosen: str | None) -> Literal["int8"] | None:
    return "int8" if chosen == "int8" else None
