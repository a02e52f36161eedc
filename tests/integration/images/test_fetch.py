"""Remote images: only from allowed hosts, over public addresses, within bytes and time."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.certificates import make_certificate

from backend.errors import (
    ForbiddenImage,
    ImageTooLarge,
    ImageUnavailable,
    LookalikeError,
    NoImage,
)
from backend.images.fetch import fetch
from backend.images.limits import ImageLimits

LIMITS = ImageLimits(max_bytes=100_000)
IMAGE = b"an image" * 1000


class ImageHost(BaseHTTPRequestHandler):
    """An image host with every bad habit."""

    asked: list[str] = []
    over = threading.Event()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(f"{self.headers['Host']}{self.path}")
        name = self.path.strip("/").split("?")[0]
        getattr(self, f"give_{name}", self.give_status)(name)

    def give(self, data: bytes, *, length: int | None = None, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def give_image(self, _name: str) -> None:
        self.give(IMAGE)

    def give_status(self, name: str) -> None:
        self.give(b"no", status=int(name) if name.isdecimal() else 200)

    def give_claims(self, _name: str) -> None:
        self.give(b"x", length=10**9)

    def give_endless(self, _name: str) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x" * 10_000)
        except OSError:
            pass

    def give_short(self, _name: str) -> None:
        self.give(IMAGE, length=len(IMAGE) + 1)

    def give_dripping(self, _name: str) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    def give_silence(self, _name: str) -> None:
        self.over.wait(600)

    def give_elsewhere(self, _name: str) -> None:
        self.send_response(302)
        self.send_header("Location", "http://169.254.169.254/latest/meta-data")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


def serve(server: ThreadingHTTPServer) -> Iterator[int]:
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    ImageHost.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    yield from serve(ThreadingHTTPServer(("127.0.0.1", 0), ImageHost))


@pytest.fixture
def get(port: int) -> Callable[..., bytes]:
    """Fetch a path from the shop; it is on loopback, which these tests alone may connect to."""

    def get(path: str, *, seconds: float = 5) -> bytes:
        return fetch(
            f"http://localhost:{port}/{path}",
            hosts=[f"localhost:{port}"],
            limits=LIMITS,
            seconds=seconds,
            may_connect=lambda address: address.is_loopback,
        )

    return get


def refuse(uri: str, hosts: list[str]) -> LookalikeError:
    with pytest.raises(LookalikeError) as refused:
        fetch(uri, hosts=hosts, limits=LIMITS, seconds=2)
    return refused.value


# --- whom we ask ---------------------------------------------------------------------------


def test_an_image_of_an_allowed_host_is_fetched(get: Callable[..., bytes], port: int) -> None:
    assert get("image") == IMAGE
    assert get("image?size=große Größe&v=%20") == IMAGE
    assert ImageHost.asked[-1] == f"localhost:{port}/image?size=gro%C3%9Fe%20Gr%C3%B6%C3%9Fe&v=%20"


@pytest.mark.parametrize(
    "uri",
    [
        "https://elsewhere.example/1.jpg",
        "https://cdn.example:8443/1.jpg",
        "https://cdn.example.evil.example/1.jpg",
        "https://evil.example/cdn.example/1.jpg",
        "https://cdn.example@evil.example/1.jpg",
        "https://user:secret@cdn.example/1.jpg",
        "https:///1.jpg",
        "https://cdn.example:port/1.jpg",
        "https://[::1/1.jpg",
        "ftp://cdn.example/1.jpg",
        "gs://cdn.example/1.jpg",
        "file:///etc/passwd",
        "s3://another-bucket/1.jpg",
    ],
)
def test_an_address_on_another_host_or_of_another_kind_is_refused(uri: str) -> None:
    assert isinstance(refuse(uri, ["cdn.example", "bucket"]), ForbiddenImage)


def test_without_allowed_hosts_nothing_is_fetched(port: int) -> None:
    asked = len(ImageHost.asked)
    error = refuse(f"http://localhost:{port}/image", [])

    assert isinstance(error, ForbiddenImage)
    assert "not among the hosts" in error.message
    assert len(ImageHost.asked) == asked


def test_an_allowed_name_may_not_lead_to_a_private_address(port: int) -> None:
    asked = len(ImageHost.asked)
    for host in ("localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"):
        name = host.strip("[]")
        error = refuse(f"http://{host}:{port}/image", [f"{name}:{port}"])
        assert isinstance(error, ForbiddenImage), host
        assert "not public" in error.message
    assert len(ImageHost.asked) == asked


def test_the_connection_goes_to_the_address_that_was_checked(
    get: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, answers = socket.getaddrinfo, []

    def first_time_only(host: str, *args: object, **options: object) -> object:
        answers.append(host)
        if host == "localhost" and answers.count("localhost") > 1:
            raise AssertionError("the name was resolved a second time")
        return resolve("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", first_time_only)
    assert get("image") == IMAGE
    assert answers.count("localhost") == 1


def test_a_proxy_is_not_used(get: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert get("image") == IMAGE


# --- what they answer ----------------------------------------------------------------------


def test_a_redirect_is_not_followed(get: Callable[..., bytes]) -> None:
    with pytest.raises(ForbiddenImage, match="redirects"):
        get("elsewhere")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NoImage), (410, NoImage), (401, ForbiddenImage), (403, ForbiddenImage)]
    + [(status, ImageUnavailable) for status in (408, 429, 500, 502, 503)],
)
def test_a_status_tells_whether_trying_again_may_help(
    get: Callable[..., bytes], status: int, kind: type[LookalikeError]
) -> None:
    with pytest.raises(kind, match=str(status)):
        get(str(status))


@pytest.mark.parametrize("path", ["claims", "endless"])
def test_too_many_bytes_are_refused_while_they_come(get: Callable[..., bytes], path: str) -> None:
    with pytest.raises(ImageTooLarge, match="bytes"):
        get(path)


@pytest.mark.parametrize("path", ["silence", "dripping"])
def test_a_slow_host_is_given_up(get: Callable[..., bytes], path: str) -> None:
    """Nothing else ends these answers."""
    with pytest.raises(ImageUnavailable):
        get(path, seconds=0.5)


def test_half_an_image_is_none(get: Callable[..., bytes]) -> None:
    with pytest.raises(ImageUnavailable, match="ended before"):
        get("short")


def test_a_host_that_is_not_there_may_come_back() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"localhost:{unused.getsockname()[1]}"
        for address, hosts in ((host, [host]), ("nowhere.invalid", ["nowhere.invalid"])):
            with pytest.raises(ImageUnavailable):
                fetch(
                    f"http://{address}/1.jpg",
                    hosts=hosts,
                    limits=LIMITS,
                    seconds=2,
                    may_connect=lambda address: address.is_loopback,
                )


# --- https ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def get_tls(certificate: tuple[Path, Path]) -> Iterator[Callable[[str], bytes]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), ImageHost)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a refused handshake

    for port in serve(server):

        def get(host: str, port: int = port) -> bytes:
            return fetch(
                f"https://{host}:{port}/image",
                hosts=[f"{host}:{port}"],
                limits=LIMITS,
                seconds=5,
                may_connect=lambda address: address.is_loopback,
            )

        yield get


def test_a_certificate_nobody_vouches_for_is_refused(get_tls: Callable[[str], bytes]) -> None:
    with pytest.raises(ForbiddenImage, match="certificate"):
        get_tls("localhost")


def test_the_certificate_has_to_be_for_the_name_and_not_the_address(
    get_tls: Callable[[str], bytes],
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    assert get_tls("localhost") == IMAGE
    with pytest.raises(ForbiddenImage, match="certificate"):
        get_tls("127.0.0.1")


# --- s3 ------------------------------------------------------------------------------------


class Bucket(BaseHTTPRequestHandler):
    """As much of S3 as reading one object takes."""

    objects = {"/bucket/a/1.jpg": IMAGE, "/bucket/large.jpg": b"x" * 200_000}
    listing = (
        b'<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><KeyCount>0</KeyCount>'
        b"<IsTruncated>false</IsTruncated></ListBucketResult>"
    )

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        data = self.objects.get(path, self.listing if path.strip("/") == "bucket" else None)
        if "/secret" in path:
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first, _, last = self.headers.get("Range", "bytes=-")[6:].partition("-")
        whole = data or b""
        part = whole[int(first or 0) : int(last or len(whole)) + 1]
        self.send_response(404 if data is None else 206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.send_header("ETag", '"1"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(part)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], bytes]]:
    s3fs = pytest.importorskip("s3fs")
    s3fs.S3FileSystem.clear_instance_cache()  # it remembers the last test's address
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for port in serve(ThreadingHTTPServer(("127.0.0.1", 0), Bucket)):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        yield lambda uri: fetch(uri, hosts=["bucket"], limits=LIMITS, seconds=2)


def test_an_object_of_an_allowed_bucket_is_fetched(bucket: Callable[[str], bytes]) -> None:
    assert bucket("s3://bucket/a/1.jpg") == IMAGE


def test_what_s3_refuses_is_refused_for_the_same_reason(bucket: Callable[[str], bytes]) -> None:
    with pytest.raises(NoImage):
        bucket("s3://bucket/absent.jpg")
    with pytest.raises(ForbiddenImage):
        bucket("s3://bucket/secret.jpg")
    with pytest.raises(ImageTooLarge):
        bucket("s3://bucket/large.jpg")


def test_s3_out_of_reach_may_come_back(
    monkeypatch: pytest.MonkeyPatch, bucket: Callable[[str], bytes]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    with pytest.raises(ImageUnavailable):
        bucket("s3://bucket/a/1.jpg")
