"""Opening a qdrant-edge shard, and translating the errors of its engine."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import qdrant_edge as qe

from backend.errors import (
    ConfigurationError,
    IndexDamaged,
    IndexFull,
    IndexGone,
    IndexLocked,
    IndexUnavailable,
    LookalikeError,
)
from backend.files import sync_folder
from backend.filters import FieldType, Schema
from backend.filters.tokens import TOKENS
from backend.vectors import Point, payload_indexes
from backend.vectors.edge.holes import check_holes
from backend.vectors.translate import path as json_path

_TYPES: Final[dict[FieldType, qe.PayloadSchemaType]] = {
    "keyword": qe.PayloadSchemaType.Keyword,
    "integer": qe.PayloadSchemaType.Integer,
    "float": qe.PayloadSchemaType.Float,
    "bool": qe.PayloadSchemaType.Bool,
}

_MEANINGS: Final[tuple[tuple[str, type[LookalikeError], str], ...]] = (
    ("Kind(WouldBlock)", IndexLocked, "the embedded index has another owner"),
    ("config is incompatible", ConfigurationError, "the embedded index was made for other vectors"),
    ("Shard is not initialized", IndexUnavailable, "the embedded index is closed"),
)
"""Part of the engine's message -> the error that it means. Every other is IndexUnavailable."""

_OS_ERROR: Final = re.compile(r"os error (\d+)")
_OF_FILES: Final = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL}
"""What the operating system says of files that are not as they were. With any other number it is
the host that fails: a full disk, no right to read, no memory, too many open files."""


SEARCH_THREADS: Final = 1
"""So many threads search a shard. With one, the engine searches in the thread that asks. It had
eight by default on two cores, to read several segments at once. Ours have one large segment: the
other threads only gave the processor away, a hundred times a search."""

RESERVE: Final = 128 * 2**20
"""Bytes of disk that stay free. The engine writes through memory maps: on a full disk the kernel
kills the whole process (SIGBUS)."""


@dataclass(frozen=True, kw_only=True)
class ShardOptions:
    """How a shard's graph is built, which vectors it is searched by, and what payloads hold."""

    quantization: Literal["int8"] | None = None
    hnsw_m: int = 16  # links per node
    hnsw_ef_construct: int = 100  # neighbours considered while building
    attribute_tokens: bool = False  # whether points hold the tokens of their open attributes


@contextmanager
def engine_errors() -> Iterator[None]:
    """Translate what the engine raises: a bare Exception, whose kind only the message tells."""
    try:
        yield
    except BaseException as error:
        if not is_engines(error):
            raise
        raise translated(str(error)) from error


def is_engines(error: BaseException) -> bool:
    """Tell whether the engine raised this.

    A panic of Rust code, such as over a file that was cut off, is a BaseException: it would end the
    thread that asked.
    """
    return type(error) is Exception or type(error).__name__ == "PanicException"


def translated(message: str) -> LookalikeError:
    """Return the error that a message of the engine's means."""
    for part, kind, meaning in _MEANINGS:
        if part in message:
            return kind(f"{meaning} ({message})")
    return IndexUnavailable(f"the embedded index failed: {message}")


@contextmanager
def damage_named(folder: Path) -> Iterator[None]:
    """Raise IndexDamaged where a folder cannot be opened and its host is not the reason."""
    try:
        yield
    except IndexUnavailable as error:
        number = _OS_ERROR.search(error.message)
        if type(error) is not IndexUnavailable or (number and int(number[1]) not in _OF_FILES):
            raise
        raise IndexDamaged(
            f"the embedded index in {folder} is damaged; `lookalike verify --fix` deletes it and "
            f"fills a new one from the database ({error.message})"
        ) from error


def open_shard(path: Path, *, size: int, schema: Schema, tokens: bool) -> qe.EdgeShard:
    """Open the shard in a folder, made on first use, with all its payload indexes.

    The caller owns the folder. Raises IndexLocked, ConfigurationError for vectors of another size,
    IndexFull before a full disk ends the process, and IndexUnavailable for a damaged folder, which
    can be deleted: all it holds can be rebuilt.
    """
    with engine_errors():
        if not path.exists() or not any(path.iterdir()):
            _create(path, size)
        check_holes(path)
        shard = qe.EdgeShard.load(str(path), _config(size))
        with closed_on_error(shard):
            index_fields(shard, schema, tokens=tokens)
        return shard


@contextmanager
def closed_on_error(shard: qe.EdgeShard) -> Iterator[None]:
    """Close a shard that cannot be used after all.

    The exception keeps it alive, and with it the engine's lock: every later opening would find
    another owner, which is this process.
    """
    try:
        yield
    except BaseException:
        with suppress(Exception):  # the first error is the one to tell
            shard.close()
        raise


def has_graph(shard: qe.EdgeShard) -> bool:
    """Tell whether the shard was optimized: without a graph every search compares all points."""
    with engine_errors():
        return shard.info().indexed_vectors_count > 0


def engine_points(points: Iterable[Point]) -> list[qe.Point]:
    """Return checked points as the engine takes them; lists convert faster than arrays."""
    return [qe.Point(it.id, it.vector.tolist(), dict(it.payload)) for it in points]


def check_space(folder: Path) -> None:
    """Raise IndexFull before the disk is full, and IndexGone when the folder was removed."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise IndexGone(f"the embedded index has lost its folder: {error}") from error
    if free < RESERVE:
        raise IndexFull(
            f"the disk of the embedded index is full: {free >> 20} MiB are free, and the engine "
            f"writes only while {RESERVE >> 20} MiB are"
        )


def _config(size: int) -> qe.EdgeConfig:
    return qe.EdgeConfig(
        vectors=qe.EdgeVectorParams(size=size, distance=qe.Distance.Cosine),
        max_search_threads=SEARCH_THREADS,
        wal_enabled=True,  # without it there is no lock, and a killed process loses everything
    )


def _create(path: Path, size: int) -> None:
    """Create an empty shard beside the path and rename it, so that the path never has half a shard.

    The remains of an interrupted creation are removed: the engine can neither load nor overwrite
    them.
    """
    building = path.with_name(path.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    check_space(path.parent)
    shard = qe.EdgeShard.create(str(building), _config(size))
    with closed_on_error(shard):
        shard.flush()
    shard.close()
    building.rename(path)
    sync_folder(path.parent)  # or a power cut could undo it, and lose flushed points


def index_fields(shard: qe.EdgeShard, schema: Schema, *, tokens: bool) -> None:
    """Create the payload indexes that are missing: all at first, later those of new fields.

    The graph gets no links for tokens: `search_mode` does not rely on them, and they are many.
    """
    indexes = shard.info().payload_schema
    present = {key.replace('"', ""): index.data_type for key, index in indexes.items()}
    for field, kind in payload_indexes(schema, tokens=tokens).items():
        if present.get(field) != _TYPES[kind]:
            how = qe.KeywordIndexParams(enable_hnsw=False) if field == TOKENS else _TYPES[kind]
            shard.update(qe.UpdateOperation.create_field_index(json_path(field), how))
