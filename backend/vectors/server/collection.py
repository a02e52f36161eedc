"""Making a Qdrant collection, with its payload indexes before the first point, and dropping it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from qdrant_client import models

from backend.errors import ConfigurationError
from backend.filters import FieldType, Schema
from backend.filters.tokens import TOKENS
from backend.vectors import payload_indexes
from backend.vectors.server.channel import WRITE_SECONDS
from backend.vectors.server.nodes import Nodes
from backend.vectors.server.strict_mode import Limits
from backend.vectors.translate import path

_TYPES: Final[dict[FieldType, models.PayloadSchemaType]] = {
    "keyword": models.PayloadSchemaType.KEYWORD,
    "integer": models.PayloadSchemaType.INTEGER,
    "float": models.PayloadSchemaType.FLOAT,
    "bool": models.PayloadSchemaType.BOOL,
}

_TOKENS_INDEX: Final = models.KeywordIndexParams(
    type=models.KeywordIndexType.KEYWORD, enable_hnsw=False
)
"""The graph gets no links for tokens: `search_mode` does not rely on them, and they are many."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How a collection is laid out; what is None is the server's own default."""

    on_disk: bool = False  # vectors and payload; quantized vectors stay in memory
    quantization: Literal["int8"] | None = None
    shard_number: int | None = None
    replication_factor: int | None = None
    hnsw_m: int | None = None  # links per node
    hnsw_ef_construct: int | None = None  # neighbours considered while building
    attribute_tokens: bool = False  # whether points hold the tokens of their open attributes


def ensure_collection(
    nodes: Nodes, name: str, *, size: int, schema: Schema, options: ServerOptions
) -> Limits:
    """Make the collection unless it is there, and the payload indexes that it lacks.

    Returns the limits of its strict mode.

    Raises ConfigurationError when it is there with vectors of another size or distance.
    """
    call = partial(_call, nodes, name)
    if not call("collection_exists"):
        try:
            call("create_collection", **_layout(size, options))
        except ConfigurationError:
            if not call("collection_exists"):  # otherwise another process was faster
                raise
    info = call("get_collection")
    _check_vectors(info.config.params.vectors, name, size)
    present = {key.replace('"', ""): it.data_type for key, it in info.payload_schema.items()}
    for field, kind in payload_indexes(schema, tokens=options.attribute_tokens).items():
        if present.get(field) != _TYPES[kind]:
            how = _TOKENS_INDEX if field == TOKENS else _TYPES[kind]
            call("create_payload_index", field_name=path(field), field_schema=how)
    return Limits.of(info.config.strict_mode_config)


def check_collection(nodes: Nodes, name: str, *, size: int) -> None:
    """Ask for a collection, and make nothing; one that is not there yet is no error.

    Raises ConfigurationError when it is there with vectors of another size or distance, or when
    the key is wrong, and IndexUnavailable.
    """
    if _call(nodes, name, "collection_exists"):
        _check_vectors(_call(nodes, name, "get_collection").config.params.vectors, name, size)


def read_limits(nodes: Nodes, name: str) -> Limits:
    """Return the limits of a collection's strict mode; raises IndexGone where it is gone."""
    return Limits.of(_call(nodes, name, "get_collection").config.strict_mode_config)


def drop_collection(nodes: Nodes, name: str) -> None:
    """Delete a collection if it is there."""
    _call(nodes, name, "delete_collection", timeout=WRITE_SECONDS)


def point_alias(nodes: Nodes, alias: str, collection: str) -> None:
    """Let an alias name a collection. If it named another one, both changes are one atomic step."""
    found = nodes.call("get_aliases", collection=collection).aliases
    named = {it.alias_name: it.collection_name for it in found}
    if named.get(alias) == collection:
        return
    change: list[Any] = [
        models.CreateAliasOperation(
            create_alias=models.CreateAlias(collection_name=collection, alias_name=alias)
        )
    ]
    if alias in named:
        delete = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
        change.insert(0, delete)
    nodes.call("update_collection_aliases", collection=collection, change_aliases_operations=change)


def _call(nodes: Nodes, name: str, method: str, **arguments: Any) -> Any:
    return nodes.call(method, name, collection=name, **arguments)


def _layout(size: int, options: ServerOptions) -> dict[str, Any]:
    int8 = models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(
            type=models.ScalarType.INT8, quantile=0.99, always_ram=True
        )
    )
    return {
        "vectors_config": models.VectorParams(
            size=size, distance=models.Distance.COSINE, on_disk=options.on_disk
        ),
        "on_disk_payload": options.on_disk,
        "quantization_config": int8 if options.quantization else None,
        "hnsw_config": models.HnswConfigDiff(
            m=options.hnsw_m, ef_construct=options.hnsw_ef_construct
        ),
        "shard_number": options.shard_number,
        "replication_factor": options.replication_factor,
    }


def _check_vectors(found: object, name: str, size: int) -> None:
    wanted = (size, models.Distance.COSINE)
    if not isinstance(found, models.VectorParams) or (found.size, found.distance) != wanted:
        raise ConfigurationError(
            f"the collection {name!r} is there, but not for {size} dimensions by cosine"
        )
