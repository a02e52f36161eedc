"""The nodes of a Qdrant server or cluster: which one is asked, and when one is skipped."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Final, TypeAlias

from qdrant_client import QdrantClient

from backend.errors import IndexUnavailable, LookalikeError
from backend.outages import Outages
from backend.own_threads import start_thread
from backend.vectors.server import addresses, channel
from backend.vectors.server.addresses import Address
from backend.vectors.server.calls import (
    AGAIN,
    ERRORS,
    UNANSWERED,
    Meaning,
    read_error,
    translate_error,
)
from backend.vectors.server.concurrency import ConcurrencyLimit

PAUSES: Final = (0.1, 0.4)
"""Seconds before each retry, plus or minus a half. Few, because a shopper may be waiting; the queue
retries failed writes later."""

TOLERATED: Final = 2
"""Calls in a row that the only node may leave unanswered. With several nodes, none: another one is
asked at once."""

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 1.0
"""Between two tries of a node that does not answer. A thread makes them, so no shopper waits."""

PROBE_SECONDS: Final = 1
"""Time limit of one try."""

FIND_SECONDS: Final = 1.0
"""A name is resolved again when a node does not answer, but not more often than this."""

WRITES: Final = frozenset(
    {
        "upsert",
        "delete",
        "set_payload",
        "create_collection",
        "create_payload_index",
        "delete_collection",
        "update_collection_aliases",
    }
)
"""Methods of the client that wait for the optimizer, and are not tried at another node after they
began."""

Connect: TypeAlias = Callable[[], QdrantClient]


class Node:
    """One node. A forked child makes its own connections."""

    def __init__(self, name: str, *, reading: Connect, writing: Connect | None = None) -> None:
        self.name = name
        self._connect = {False: reading, True: writing or reading}
        self._is_one = writing is None
        self._clients: dict[tuple[int, bool], QdrantClient] = {}
        self._lock = threading.Lock()

    def client(self, *, writes: bool = False) -> QdrantClient:
        """Return this process' client for reads or for writes."""
        key = (os.getpid(), writes and not self._is_one)
        found = self._clients.get(key)
        if found is None:
            with self._lock:
                found = self._clients.get(key)
                if found is None:
                    found = self._clients[key] = self._connect[writes]()
        return found

    def close(self) -> None:
        """Close the connections that this process opened."""
        with self._lock:
            mine = [key for key in self._clients if key[0] == os.getpid()]
            for key in mine:
                self._clients.pop(key).close()


class Nodes:
    """Calls one of the nodes, another one where it does not answer. Safe to share between threads.

    A node that does not answer is skipped: calls go to the others, and fail at once if there are
    none. A thread tries it until it answers again, so a node that is back is used even if no client
    has asked meanwhile.
    """

    def __init__(
        self,
        find: Callable[[Mapping[str, Node]], Sequence[Node]],
        *,
        most_calls: int | None = None,
        outages: Outages | None = None,
    ) -> None:
        self._find = find
        self._limit = ConcurrencyLimit(most_calls)
        self._outages = outages or Outages(
            first_seconds=FIRST_SECONDS, longest_seconds=LONGEST_SECONDS
        )
        self._nodes: Sequence[Node] = ()
        self._found_at = 0.0
        self._lock = threading.Lock()
        self._turn = 0
        self._watched: set[str] = set()
        self._closed = threading.Event()

    @classmethod
    def single(cls, connect: Connect) -> Nodes:
        """Return the only node of a server, by what connects to it."""
        return cls.of([Node("the Qdrant server", reading=connect)])

    @classmethod
    def of(cls, nodes: Sequence[Node]) -> Nodes:
        """Return these nodes, which stay the same."""
        return cls(lambda _: nodes)

    def all(self) -> Sequence[Node]:
        """Return the nodes that are known now."""
        if not self._nodes:
            self._look()
        return self._nodes

    def states(self) -> dict[str, str | None]:
        """Return {node: why it is skipped}, None for one that is not."""
        return {node.name: self._outages.reason(node.name) for node in self._nodes}

    def problem(self) -> str | None:
        """Return why no node is asked, None where one is."""
        reasons = list(self.states().values())
        return "; ".join(filter(None, reasons)) if reasons and all(reasons) else None

    def call(self, method: str, *names: str, collection: str, **arguments: Any) -> Any:
        """Return what a method of the client returns; `names` are its first arguments.

        Only for calls that may run twice. All of ours may, because writes are conditional on their
        claim. Raises IndexUnavailable, IndexGone, IndexRefused, InvalidFilter or
        ConfigurationError.
        """

        def run(client: QdrantClient) -> Any:
            return getattr(client, method)(*names, **arguments)

        writes = method in WRITES
        with nullcontext() if writes else self._limit.one_call():
            return self._call(run, collection, writes=writes)

    def close(self) -> None:
        """Close the connections that this process opened."""
        self._closed.set()
        for node in self._nodes:
            node.close()

    # --- one call ---

    def _call(self, run: Callable[[QdrantClient], Any], collection: str, *, writes: bool) -> Any:
        pauses = iter(PAUSES)
        tried: set[str] = set()
        while True:
            node = self._next(tried, collection)
            tried.add(node.name)
            try:
                result = run(node.client(writes=writes))
            except ERRORS as error:
                meaning, details = read_error(error)
                if self._goes_on_elsewhere(node, meaning, tried, writes=writes):
                    self._note(node, meaning, details, collection)
                    continue
                pause = next(pauses, None) if meaning in AGAIN else None
                if pause is None:
                    self._note(node, meaning, details, collection)
                    raise self._error(node, meaning, details, collection) from error
                tried.clear()
            else:
                self._outages.work(node.name)
                return result
            time.sleep(pause * random.uniform(0.5, 1.5))

    def _next(self, tried: Iterable[str], collection: str) -> Node:
        """Return the node to ask: those that answer, in turns."""
        self._watch_silent(collection)
        nodes = [
            node
            for node in self.all()
            if node.name not in tried and self._outages.reason(node.name) is None
        ]
        if not nodes:
            raise IndexUnavailable(f"{self.problem() or 'no node answers'} (tried each second)")
        self._turn += 1
        return nodes[self._turn % len(nodes)]

    def _goes_on_elsewhere(
        self, node: Node, meaning: Meaning, tried: set[str], *, writes: bool
    ) -> bool:
        """Tell whether another node can be asked instead of one that does not answer."""
        if meaning not in UNANSWERED or (writes and meaning is Meaning.SILENT):
            return False
        self._look()
        others = [other.name for other in self._nodes if other.name not in tried]
        return any(self._outages.reason(name) is None for name in others)

    def _note(self, node: Node, meaning: Meaning, details: str, collection: str) -> None:
        """Note how a call to a node failed; if it is skipped now, start a thread that tries it."""
        if meaning not in UNANSWERED:
            self._outages.work(node.name)
            return
        tolerated = TOLERATED if len(self._nodes) == 1 else 0
        reason = f"{node.name} does not answer: {details}"
        if self._outages.fail(node.name, reason, tolerated=tolerated):
            self._start_watching(node, collection)

    def _watch_silent(self, collection: str) -> None:
        """Watch nodes that are skipped and not watched: the host had refused their thread."""
        for node in self._nodes:
            if node.name not in self._watched and self._outages.reason(node.name) is not None:
                self._start_watching(node, collection)

    def _start_watching(self, node: Node, collection: str) -> None:
        with self._lock:
            if node.name in self._watched:
                return
            self._watched.add(node.name)
        if start_thread(self._watch, node, collection, name=f"watch {node.name}") is None:
            with self._lock:
                self._watched.discard(node.name)

    def _watch(self, node: Node, collection: str) -> None:
        """Try a node until it answers, and look for others that have taken its place."""
        while not self._closed.wait(self._outages.seconds_left(node.name)):
            self._look()
            if node not in self._nodes or self._is_back(node, collection):
                break
        with self._lock:
            self._watched.discard(node.name)
        self._outages.work(node.name)

    def _is_back(self, node: Node, collection: str) -> bool:
        self._outages.may_try(node.name)
        try:
            node.client().count(collection, exact=False, timeout=PROBE_SECONDS)
        except Exception as error:  # noqa: BLE001  (its client may be closed now)
            if isinstance(error, ERRORS) and read_error(error)[0] not in UNANSWERED:
                return True
            self._outages.fail(node.name, self._outages.reason(node.name) or str(error))
            return False
        return True

    def _error(self, node: Node, meaning: Meaning, details: str, collection: str) -> LookalikeError:
        return translate_error(meaning, details, server=node.name, collection=collection)

    def _look(self) -> None:
        """Find the nodes, unless that was just done; close those that are no longer there."""
        with self._lock:
            if self._nodes and time.monotonic() < self._found_at + FIND_SECONDS:
                return
            known = {node.name: node for node in self._nodes}
            self._nodes = self._find(known)
            self._found_at = time.monotonic()
            names = {node.name for node in self._nodes}
        for name, node in known.items():
            if name not in names:
                self._outages.work(name)
                node.close()


def of_urls(
    urls: str, *, api_key: str | None, grpc_port: int, most_calls: int | None = None
) -> Nodes:
    """Return the nodes behind QDRANT_URL; nothing is resolved or opened before the first call."""

    def find(known: Mapping[str, Node]) -> list[Node]:
        found = addresses.find(urls, grpc_port=grpc_port)
        return [known.get(_name(one)) or _node(one, api_key) for one in found]

    return Nodes(find, most_calls=most_calls)


def _name(address: Address) -> str:
    return f"the Qdrant server at {address}"


def _node(address: Address, api_key: str | None) -> Node:
    make = partial(channel.connect, address, api_key=api_key)
    return Node(
        _name(address),
        reading=partial(make, seconds=channel.READ_SECONDS),
        writing=partial(make, seconds=channel.WRITE_SECONDS),
    )
