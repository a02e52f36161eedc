"""One collection on a server, connected to by the first call."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import partial
from typing import Any

from qdrant_client import QdrantClient

from backend.errors import IndexGone, IndexUnavailable
from backend.filters import Schema
from backend.vectors.server.calls import attempt
from backend.vectors.server.collection import (
    Connect,
    ServerOptions,
    drop_collection,
    ensure_collection,
)


@dataclass(frozen=True)
class _Connection:
    client: QdrantClient
    pid: int


class ServerCollection:
    """A collection, which the first call makes where it is not there.

    All payload indexes are made before any point. A collection that is dropped afterwards is never
    made again by the same object. A forked child makes its own connection.
    """

    def __init__(
        self,
        name: str,
        *,
        size: int,
        schema: Schema,
        connect: Connect,
        options: ServerOptions,
    ) -> None:
        self.name = name
        self._size = size
        self._schema = schema
        self._connect = connect
        self._options = options
        self._lock = threading.Lock()
        self._connection: _Connection | None = None
        self._is_made = False
        self._closed = False
        self._gone = False

    def call(self, method: str, **arguments: Any) -> Any:
        """Return what a method of the client returns for this collection; raises as `attempt`."""
        call = partial(getattr(self.open(), method), self.name, **arguments)
        return attempt(call, collection=self.name)

    def open(self) -> QdrantClient:
        """Return the client, connected, with the collection made."""
        connection = self._connection
        if not self._is_made or connection is None or connection.pid != os.getpid():
            connection = self._open()
        return connection.client

    def _open(self) -> _Connection:
        with self._lock:
            if self._gone:
                raise IndexGone("the index was dropped", collection=self.name)
            if self._closed:
                raise IndexUnavailable("the index is closed")
            if self._connection is None or self._connection.pid != os.getpid():
                self._connection = _Connection(self._connect(), os.getpid())
            if not self._is_made:
                ensure_collection(
                    self._connection.client,
                    self.name,
                    size=self._size,
                    schema=self._schema,
                    options=self._options,
                )
                self._is_made = True
            return self._connection

    def drop(self) -> None:
        """Delete the collection, without making it first; the object cannot be used afterwards."""
        with self._lock:
            opened = self._connection
            mine = opened is not None and opened.pid == os.getpid()
            self._is_made, self._gone = False, True
        client = opened.client if opened is not None and mine else self._connect()
        try:
            drop_collection(client, self.name)
        finally:
            self.close()
            if not mine:
                client.close()

    def close(self) -> None:
        """Close the connection if this process opened it."""
        with self._lock:
            self._closed = True
            connection = self._connection
            if connection is not None and connection.pid == os.getpid():
                self._connection = None
                connection.client.close()
