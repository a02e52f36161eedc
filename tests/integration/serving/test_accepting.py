"""Processes that share a listening socket leave connections for each other."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from backend.serving import accepting
from backend.serving.accepting import Acceptor

PATIENCE = 60.0


class Greeting(asyncio.Protocol):
    """Says hello to whoever connects, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one


@pytest.fixture
def clients(listener: socket.socket) -> Iterator[list[socket.socket]]:
    """Three connections that wait to be accepted."""
    with ExitStack() as stack:
        address = listener.getsockname()
        yield [stack.enter_context(socket.create_connection(address)) for _ in range(3)]


async def greeted(client: socket.socket) -> bytes:
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    return await asyncio.wait_for(loop.sock_recv(client, 10), PATIENCE)


def test_after_a_connection_the_next_one_is_left_to_other_processes(
    listener: socket.socket, clients: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "REST_SECONDS", 2 * PATIENCE)

    async def run() -> None:
        acceptor = Acceptor(listener, Greeting)
        assert await greeted(clients[0]) == b"hello"
        for client in clients[1:]:  # as another process would
            other, address = listener.accept()
            assert address == client.getsockname()
            other.close()
        acceptor.close()
        await acceptor.wait_closed()

    asyncio.run(run())


def test_what_nobody_else_accepts_is_accepted_after_a_rest(
    listener: socket.socket, clients: list[socket.socket]
) -> None:
    async def run() -> None:
        acceptor = Acceptor(listener, Greeting)
        for client in clients:
            assert await greeted(client) == b"hello"
        acceptor.close()
        await acceptor.wait_closed()

    asyncio.run(run())


def test_after_its_end_nothing_is_accepted(
    listener: socket.socket, clients: list[socket.socket]
) -> None:
    async def run() -> None:
        Acceptor(listener, Greeting).close()
        await asyncio.sleep(0.05)
        for _ in clients:
            listener.accept()[0].close()

    asyncio.run(run())
