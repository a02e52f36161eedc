"""Clients that send half of a request, take no answer, or are many: others are served."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from support.http_server import HOST, http_server
from support.servers import wait_for
from support.shop import PROBLEM, Shop

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

GET = b"GET /app HTTP/1.1\r\n" + HOST + b"\r\n"
WHOLE = GET + b"\r\n"
HALF_HEADER = b"GET /app HTTP/1.1\r\nHo"
HALF_BODY = b"PUT /app HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n" + b"a" * 50_000
HALF_CHUNK = b"PUT /app HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n8\r\nabc"
HALVES = {"header": HALF_HEADER, "body": HALF_BODY, "chunk": HALF_CHUNK}
MANY = 100


class App:
    """Answers when it is allowed to."""

    def __init__(self, body: bytes = b"answered") -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.begun = 0
        self.body = body

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.begun += 1
        self.may_answer.wait(60)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [self.body]


@pytest.fixture
def app() -> Iterator[App]:
    made = App()
    yield made
    made.may_answer.set()


def test_a_readiness_probe_never_waits_behind_requests() -> None:
    may_answer, begun = threading.Event(), threading.Semaphore(0)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/readyz":
            begun.release()
            may_answer.wait(60)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"answered"]

    with http_server(app, threads=2, seconds=60) as server, ExitStack() as stack:
        clients = [stack.enter_context(closing(server.connect(WHOLE))) for _ in range(50)]
        for _ in range(2):
            begun.acquire()
        for path in ("/readyz", "/livez", "/readyz"):
            assert server.get(path).status == 200
        may_answer.set()
        assert {client.reply().status for client in clients} == {200}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_a_hundred_halves_hold_up_nobody_and_end_with_408(app: App, half: bytes) -> None:
    with http_server(app, threads=2, seconds=1) as server, ExitStack() as stack:
        halves = [stack.enter_context(closing(server.connect(half))) for _ in range(MANY)]
        for path in ("/livez", "/app"):
            assert server.get(path).status == 200
        assert app.begun == 1, "no thread is taken for a half"
        for client in halves:
            late = client.reply()
            assert (late.status, late.headers["content-type"]) == (408, PROBLEM)
            assert late.json["code"] == "request-timeout"
            client.close()
        wait_for(lambda: not server.server.server_state.tasks)
        wait_for(lambda: not server.server.server_state.connections)


def test_probes_and_reads_of_the_shop_go_on_beside_a_hundred_halves(shop: Shop) -> None:
    shop.put("1")
    with http_server(shop.app, threads=2) as server, ExitStack() as stack:
        for number in range(MANY):
            half = (HALF_HEADER, HALF_BODY, HALF_CHUNK)[number % 3]
            stack.enter_context(closing(server.connect(half)))
        for path in ("/livez", "/readyz", "/v1/products/1", "/v1/products"):
            assert server.get(path).status == 200


def test_a_connection_on_which_nothing_is_asked_is_closed(app: App) -> None:
    with http_server(app, seconds=0.2, keep_alive=1) as server:
        for sent in (b"", b"\r\n"):
            with closing(server.connect(sent)) as client:
                assert client.is_closed()
        with closing(server.connect(GET)) as client:
            assert client.reply().status == 200
            assert client.is_closed()


def test_a_client_that_drips_is_late_too(app: App) -> None:
    drip = [b"G", b"E", b"T", b" /app HTTP/1.1\r\n", *[b"X: y\r\n"] * 50]
    with http_server(app, seconds=0.5) as server, closing(server.connect()) as client:
        status = None
        for part in drip:
            client.socket.settimeout(0.1)
            try:
                client.send(part)
                status = client.reply().status
            except TimeoutError:
                continue
            break
        assert status == 408


def test_a_body_has_to_arrive_at_a_rate(app: App) -> None:
    with http_server(app, seconds=0.3, bytes_per_second=1000) as server:
        head = b"PUT /app HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n"
        with closing(server.connect(head)) as client:
            client.send(b"a" * 900)  # these give 0.9 s more
            client.socket.settimeout(0.6)
            with pytest.raises(TimeoutError):
                client.socket.recv(1)
            client.socket.settimeout(60)
            assert client.reply().status == 408


def test_a_client_that_takes_no_answer_is_cut_off() -> None:
    large = App(body=b"a" * 20_000_000)
    with (
        http_server(large, seconds=0.2, bytes_per_second=10**9) as server,
        closing(server.connect(GET)),
    ):
        wait_for(lambda: large.begun)
        wait_for(lambda: not server.server.server_state.connections)


def test_large_bodies_have_a_budget_together(app: App) -> None:
    half = b"PUT /app HTTP/1.1\r\n" + HOST + b"Content-Length: 400000\r\n\r\n" + b"a" * 300_000
    with http_server(app, body=400_000, buffered=400_000) as server, ExitStack() as stack:
        clients = [stack.enter_context(closing(server.connect(half))) for _ in range(2)]
        for client in clients:
            client.socket.settimeout(1)
        replies = []
        for client in clients:
            try:
                replies.append(client.reply())
            except TimeoutError:
                client.socket.settimeout(60)
                client.send(b"a" * 100_000)
                assert client.reply().status == 200, "the one that was there first goes on"
        (refused,) = replies
        assert (refused.status, refused.json["code"]) == (503, "server-busy")
        assert refused.headers["retry-after"]
        assert server.gateway.buffered == 0
        whole = b"PUT /app HTTP/1.1\r\n" + HOST + b"Content-Length: 400000\r\n\r\n" + b"a" * 400_000
        assert server.ask(whole).status == 200


def test_beyond_the_limit_of_connections_a_waiting_one_makes_room(app: App) -> None:
    with http_server(app, connections=20) as server, ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(closing(server.connect(HALF_HEADER)))
        assert server.get("/app").status == 200
        assert len(server.server.server_state.connections) <= 21


def test_a_bounded_number_of_requests_waits_for_a_thread(app: App) -> None:
    app.may_answer.clear()
    with http_server(app, threads=2, waiting=3) as server, ExitStack() as stack:
        clients = [stack.enter_context(closing(server.connect(GET))) for _ in range(5)]
        wait_for(lambda: server.gateway.begun == 5)
        refused = server.get("/app")
        assert (refused.status, refused.headers["content-type"]) == (503, PROBLEM)
        assert (refused.json["code"], refused.headers["retry-after"]) == ("server-busy", "1")
        assert server.get("/livez").status == 200, "this needs no thread"
        app.may_answer.set()
        assert [client.reply().status for client in clients] == [200] * 5
        assert server.get("/app").status == 200


# --- stopping ------------------------------------------------------------------------------------


def test_a_stopping_server_answers_what_was_asked_and_waits_for_nobody_else(app: App) -> None:
    app.may_answer.clear()
    with http_server(app, threads=2) as server, ExitStack() as stack:
        asked = stack.enter_context(closing(server.connect(GET)))
        wait_for(lambda: app.begun == 1)
        idle = stack.enter_context(closing(server.connect(GET.replace(b"/app", b"/livez"))))
        assert idle.reply().status == 200
        bodies = [stack.enter_context(closing(server.connect(HALF_BODY))) for _ in range(5)]
        for _ in range(5):
            stack.enter_context(closing(server.connect(HALF_HEADER)))
        new = stack.enter_context(closing(server.connect()))
        wait_for(lambda: len(server.server.server_state.connections) == 13)
        server.server.should_exit = True
        assert idle.is_closed()
        new.send(GET.replace(b"/app", b"/livez"))
        assert new.reply().status == 200, "it was accepted, so it may ask once"
        app.may_answer.set()
        answered = asked.reply()
        assert (answered.body, answered.headers["connection"]) == (b"answered", "close")
        assert [client.reply().status for client in bodies] == [503] * 5
        server.thread.join(60)
        assert not server.thread.is_alive()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))


def test_a_server_whose_master_is_gone_stops(app: App) -> None:
    with http_server(app) as server:
        server.master.close()
        server.thread.join(60)
        assert not server.thread.is_alive()
