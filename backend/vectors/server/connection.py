"""One collection on a server, made by the first call where it is not there."""

from __future__ import annotations

import threading
from typing import Any

from qdrant_client import QdrantClient

from backend.errors import IndexGone, IndexLimited, IndexUnavailable
from backend.filters import Schema
from backend.vectors.server.channel import READ_SECONDS
from backend.vectors.server.collection import (
    ServerOptions,
    check_collection,
    drop_collection,
    ensure_collection,
    read_limits,
)
from backend.vectors.server.nodes import Nodes
from backend.vectors.server.strict_mode import Limits


class ServerCollection:
    """A collection, which the first call makes where it is not there.

    All payload indexes are made before any point. A collection that is dropped afterwards is never
    made again by the same object.
    """

    def __init__(
        self, name: str, *, size: int, schema: Schema, nodes: Nodes, options: ServerOptions
    ) -> None:
        self.name = name
        self.nodes = nodes
        self._size = size
        self._schema = schema
        self._options = options
        self._lock = threading.Lock()
        self._is_made = False
        self._closed = False
        self._gone = False
        self._limits: Limits | None = None  # None: to be read again

    @property
    def limits(self) -> Limits:
        """The limits of its strict mode."""
        self._make()
        if self._limits is None:
            self._limits = read_limits(self.nodes, self.name)
        return self._limits

    def call(self, method: str, **arguments: Any) -> Any:
        """Return what a method of the client returns for this collection; raises as its nodes.

        After IndexLimited the limits are read again, since an operator may have changed them.
        """
        self._make()
        try:
            return self.nodes.call(method, self.name, collection=self.name, **arguments)
        except IndexLimited:
            self._limits = None
            raise

    def open(self) -> QdrantClient:
        """Return the client of one node, with the collection made."""
        self._make()
        return self.nodes.all()[0].client()

    def check(self) -> None:
        """Ask for the collection and make nothing; raises as `check_collection`."""
        check_collection(self.nodes, self.name, size=self._size)

    def drop(self) -> None:
        """Delete the collection, without making it first; the object cannot be used afterwards."""
        self._is_made, self._gone = False, True
        drop_collection(self.nodes, self.name)

    def close(self) -> None:
        """Refuse all further calls."""
        self._closed = True

    def _make(self) -> None:
        if self._gone:
            raise IndexGone("the index was dropped", collection=self.name)
        if self._closed:
            raise IndexUnavailable("the index is closed")
        if self._is_made:
            return
        if not self._lock.acquire(timeout=READ_SECONDS):
            raise IndexUnavailable(f"the collection {self.name!r} is still being made")
        try:
            if not self._is_made:
                self._limits = ensure_collection(
                    self.nodes,
                    self.name,
                    size=self._size,
                    schema=self._schema,
                    options=self._options,
                )
                self._is_made = True
        finally:
            self._lock.release()
