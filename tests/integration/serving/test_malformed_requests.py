"""What is no proper request is a problem document with its own status, never 200 and never 500."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
import structlog
from flask import Flask, Response, request
from support.http_server import HOST, HttpServer, Reply, http_server
from support.shop import PROBLEM

CHUNKED = b"Transfer-Encoding: chunked\r\n"
GET = b"GET /livez HTTP/1.1\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HOST

MALFORMED = {
    "no request": (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
    "an unknown version": (b"GET /livez HTTP/4.2\r\n" + HOST + b"\r\n", 400),
    "no version": (b"GET /livez\r\n\r\n", 400),
    "no host": (GET + b"\r\n", 400),
    "two hosts": (GET + HOST + HOST + b"\r\n", 400),
    "raw bytes in the path": (b"GET /gr\xc3\xb6\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a space in the path": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a raw zero in the path": (b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a zero in a header": (GET + HOST + b"X: a\x00b\r\n\r\n", 400),
    "a folded header": (GET + HOST + b"X: a\r\n b\r\n\r\n", 400),
    "bare line feeds": (b"GET /livez HTTP/1.1\nHost: x\n\n", 400),
    "an unknown coding": (POST + b"Transfer-Encoding: rot13\r\n\r\nabc", 400),
    "an unknown coding first": (POST + b"Transfer-Encoding: rot13, chunked\r\n\r\n0\r\n\r\n", 400),
    "an unknown coding beside": (
        POST + b"Transfer-Encoding: rot13\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
        400,
    ),
    "a coding in HTTP/1.0": (b"POST /echo HTTP/1.0\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400),
    "a size that is none": (POST + CHUNKED + b"\r\nzz\r\nabc\r\n0\r\n\r\n", 400),
    "a chunk longer than its size": (POST + CHUNKED + b"\r\n2\r\nabc\r\n0\r\n\r\n", 400),
    "two framings": (POST + CHUNKED + b"Content-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    "a negative length": (POST + b"Content-Length: -3\r\n\r\nabc", 400),
    "a length in words": (POST + b"Content-Length: three\r\n\r\nabc", 400),
    "a long address": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "an endless address": (b"GET /" + b"a" * 2_000_000, 414),
    "a large header": (GET + HOST + b"X: " + b"a" * 40_000 + b"\r\n\r\n", 431),
    "an endless header": (GET + HOST + b"X: " + b"a" * 2_000_000, 431),
    "many fields": (GET + HOST + b"X: a\r\n" * 101 + b"\r\n", 431),
    "an unknown expectation": (
        POST + b"Expect: 200-ok\r\nContent-Length: 3\r\n\r\nabc",
        417,
    ),
}

CUT = {
    "a header": b"GET /livez HTT",
    "a body": POST + b"Content-Length: 20\r\n\r\nabc",
    "a body that was not begun": POST + b"Content-Length: 20\r\n\r\n",
    "a chunk": POST + CHUNKED + b"\r\n8\r\nabc",
    "the last chunk": POST + CHUNKED + b"\r\n3\r\nabc\r\n",
}


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    """An app that says what it was sent."""
    app = Flask(__name__)

    @app.route("/echo", methods=["GET", "POST"])
    def echo() -> dict[str, object]:
        names = ("CONTENT_LENGTH", "REQUEST_URI", "HTTP_X_NAME", "HTTP_COOKIE", "PATH_INFO")
        names += ("HTTP_HOST",)
        found = {name: request.environ.get(name) for name in names}
        return found | {"body": request.get_data(as_text=True)}

    @app.route("/dated")
    def dated() -> Response:
        return Response("", headers={"Date": "Thu, 01 Jan 2026 00:00:00 GMT"})

    with http_server(app, body=1000) as found:
        yield found


def assert_problem(reply: Reply, status: int) -> None:
    assert (reply.status, reply.headers["content-type"]) == (status, PROBLEM)
    assert reply.headers["connection"] == "close"
    problem = reply.json
    assert problem["status"] == status
    assert problem["type"] == f"urn:lookalike:problem:{problem['code']}"
    assert problem["detail"]
    assert problem["request_id"] == reply.headers["x-request-id"]


@pytest.mark.parametrize(("sent", "status"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_a_problem_document(
    server: HttpServer, sent: bytes, status: int
) -> None:
    with closing(server.connect()) as client:
        try:
            client.send(sent)
        except ConnectionError:
            assert len(sent) > 1_000_000
        assert_problem(client.reply(), status)


@pytest.mark.parametrize("sent", CUT.values(), ids=CUT)
def test_a_request_that_ends_too_early_is_400(server: HttpServer, sent: bytes) -> None:
    with closing(server.connect(sent)) as client:
        client.end()
        assert_problem(client.reply(), 400)


def test_a_refusal_keeps_the_id_of_its_request_and_is_logged(server: HttpServer) -> None:
    with structlog.testing.capture_logs() as logs:
        refused = server.ask(
            b"POST /echo HTTP/1.1\r\n" + HOST + b"X-Request-Id: cart-7\r\nExpect: tea\r\n\r\n"
        )
    assert refused.json["request_id"] == "cart-7"
    (line,) = (each for each in logs if each["event"] == "request")
    assert (line["request_id"], line["status"], line["path"]) == ("cart-7", 417, "/echo")
    assert line["client"] == "127.0.0.1"


def test_a_malformed_second_request_does_not_take_the_answer_of_the_first(
    server: HttpServer,
) -> None:
    with closing(server.connect(POST + b"Content-Length: 3\r\n\r\nabcGARBAGE\r\n\r\n")) as client:
        answered = client.reply()
        assert (answered.status, answered.json["body"]) == (200, "abc")
        assert answered.headers["connection"] == "close"


# --- what is proper ------------------------------------------------------------------------------


def test_a_client_that_has_sent_everything_may_end_its_half(server: HttpServer) -> None:
    with closing(server.connect(POST + b"Content-Length: 3\r\n\r\nabc")) as client:
        client.end()
        assert client.reply().json["body"] == "abc"


def test_a_chunked_body_arrives_with_its_length(server: HttpServer) -> None:
    answered = server.ask(POST + CHUNKED + b"\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").json
    assert (answered["body"], answered["CONTENT_LENGTH"]) == ("abcde", "5")


def test_a_body_is_asked_for_where_its_client_waits(server: HttpServer) -> None:
    sent = POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    with closing(server.connect(sent)) as client:
        assert client.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"abc")
        assert client.reply().json["body"] == "abc"


def test_a_body_is_read_also_where_its_client_wishes_for_another_protocol(
    server: HttpServer,
) -> None:
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    for framed in (b"Content-Length: 3\r\n\r\nabc", CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n"):
        assert server.ask(POST + wish + framed).json["body"] == "abc"
    with closing(server.connect(POST + wish + b"Content-Length: 6\r\n\r\nabc")) as client:
        client.send(b"def")
        assert client.reply().json["body"] == "abcdef"


def test_a_connection_serves_many_requests(server: HttpServer) -> None:
    with closing(server.connect()) as client:
        for number in range(3):
            client.send(POST + b"Content-Length: 1\r\n\r\n%d" % number)
            assert client.reply().json["body"] == str(number)
        client.send(GET + HOST + b"\r\n" + GET + HOST + b"\r\n")
        assert client.reply().status == 200


def test_the_environment_is_what_was_sent(server: HttpServer) -> None:
    answered = server.get("/%65cho?a=%2F", "X-Name: a", "X_Name: b", "Cookie: c=d").json
    assert answered["REQUEST_URI"] == "/%65cho?a=%2F"
    assert answered["PATH_INFO"] == "/echo"
    assert answered["HTTP_X_NAME"] == "a", "a name with an underscore could pass a proxy"
    assert answered["HTTP_COOKIE"] == "c=d"


@pytest.mark.parametrize("framed", ["length", "chunks", "length, asked for first"])
def test_a_body_beyond_the_limit_is_for_the_app_to_refuse(server: HttpServer, framed: str) -> None:
    """Its length tells the app; the bytes are not kept."""
    body = {
        "length": b"Content-Length: 2000\r\n\r\n" + b"a" * 2000,
        "chunks": CHUNKED + b"\r\n" + b"3e8\r\n" + b"a" * 1000 + b"\r\n1\r\na\r\n0\r\n\r\n",
        "length, asked for first": b"Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n",
    }
    answered = server.ask(POST + body[framed])
    assert int(answered.json["CONTENT_LENGTH"]) > 1000
    assert len(answered.json["body"]) <= 1000


def test_an_answer_has_one_date(server: HttpServer) -> None:
    with closing(server.connect(b"GET /dated HTTP/1.1\r\n" + HOST + b"\r\n")) as client:
        received = client.socket.recv(10_000).lower()
    assert received.count(b"\r\ndate: ") == 1
    assert b"01 jan 2026" not in received


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (b"http://shop.example:8000/echo?a=1", "shop.example:8000"),
        (b"http://shop.example/echo?a=1", "shop.example"),
        (b"http://[::1]:8000/echo?a=1", "[::1]:8000"),
        (b"/echo?a=1", "127.0.0.1"),
    ],
)
def test_the_host_of_an_absolute_address_counts_more_than_its_header(
    server: HttpServer, address: bytes, host: str
) -> None:
    answered = server.ask(b"GET " + address + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").json
    assert (answered["HTTP_HOST"], answered["PATH_INFO"]) == (host, "/echo")


def test_a_client_of_http_1_0_gets_no_interim_answer(server: HttpServer) -> None:
    sent = b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    with closing(server.connect(sent)) as client:
        client.send(b"abc")
        received = client.socket.recv(10_000)
    assert received.startswith(b"HTTP/1.1 200 ")
