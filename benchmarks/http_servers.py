"""Which HTTP server holds: throughput, large uploads, TLS, and a hundred clients that send halves.

    python benchmarks/http_servers.py compare --servers ours,granian,waitress,gunicorn

The others have to be installed beside Lookalike (`pip install granian waitress gunicorn`), and
`wrk` makes the load. All run the same WSGI app, which makes some JSON for each answer, in
four threads. granian and ours read bodies by `backend.serving.gateway`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import typer

from backend.serving import listening
from backend.serving.gateway import Gateway
from backend.serving.limits import HttpLimits
from backend.serving.master import Master
from backend.serving.server import Server
from backend.serving.special_paths import SpecialPaths

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

THREADS = 4
HALVES = 100
LIMITS = HttpLimits()
ITEMS = [{"sku": str(n), "score": n / 7, "name": "a product with a name"} for n in range(60)]
HALF_HEADER = b"GET /work HTTP/1.1\r\nHost: localhost\r\nX-A"
HALF_BODY = (
    b"POST /work HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + b"a" * 50_000
)
UPLOAD = b"a" * 20_000_000
MALFORMED = {
    "short body": (b"POST /work HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", True),
    "bad chunk": (
        b"POST /work HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        False,
    ),
    "coding": (b"POST /work HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: rot13\r\n\r\nabc", False),
    "long URL": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", False),
    "large header": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n", False),
}

app = typer.Typer()


def work(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with JSON, after the body is read."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = json.dumps(ITEMS).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


PATHS = SpecialPaths(direct={"/livez": b"{}"})
gateway = Gateway(work, threads=THREADS, limits=LIMITS, paths=PATHS)
"""What granian runs."""


@app.command()
def serve(port: int, processes: int, certificate: str = "", key: str = "") -> None:
    """Run our own server."""
    listener = listening.listen("127.0.0.1", port)

    def run(master: socket.socket) -> int:
        made = Gateway(work, threads=THREADS, limits=LIMITS, paths=PATHS)
        server = Server(made, limits=LIMITS, master=master, max_requests=0, on_stop=lambda: None)
        server.config.ssl_certfile, server.config.ssl_keyfile = certificate or None, key or None
        server.run(sockets=[listener])
        return 0

    sys.exit(Master(run, count=processes, listener=listener).run())


def command(name: str, port: int, processes: int, tls: tuple[str, str] | None) -> list[str] | None:
    """Return how a server is started; None if it cannot do that."""
    python, here = [sys.executable], str(Path(__file__))
    if name == "ours":
        pair = ["--certificate", tls[0], "--key", tls[1]] if tls else []
        return [*python, here, "serve", str(port), str(processes), *pair]
    if name == "granian":
        pair = ["--ssl-certificate", tls[0], "--ssl-keyfile", tls[1]] if tls else []
        options = ["--interface", "asgi", "--port", str(port), "--workers", str(processes)]
        header = ["--http1-header-read-timeout", "10000", "--no-ws", "--log-level", "critical"]
        return [*python, "-m", "granian", *options, *header, *pair, "http_servers:gateway"]
    if name == "waitress":
        limits = ["--connection-limit=4000", "--channel-timeout=15", "--cleanup-interval=5"]
        options = [f"--listen=127.0.0.1:{port}", f"--threads={THREADS}", "--asyncore-use-poll"]
        one = [*python, "-m", "waitress", *options, *limits, "http_servers:work"]
        return None if tls or processes > 1 else one
    pair = [f"--certfile={tls[0]}", f"--keyfile={tls[1]}"] if tls else []
    options = ["-b", f"127.0.0.1:{port}", "-k", "gthread", "--threads", str(THREADS)]
    return [*python, "-m", "gunicorn", *options, "-w", str(processes), *pair, "http_servers:work"]


@contextmanager
def running(name: str, processes: int, tls: tuple[str, str] | None = None) -> Iterator[int | None]:
    """Run a server; yield its port, or None if it cannot do that."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    arguments = command(name, port, processes, tls)
    if arguments is None:
        yield None
        return
    folder = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": f"{folder}:{folder.parent}"}
    process = subprocess.Popen(
        arguments, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            time.sleep(0.1)
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
        time.sleep(1)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def load(port: int, connections: int, *, scheme: str = "http") -> str:
    """Return requests/s, and the processor time of one, which other work here changes less."""
    url = f"{scheme}://127.0.0.1:{port}/work"
    arguments = ["wrk", "-t1", f"-c{connections}", "-d4s", url]
    before = processor_seconds()
    said = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    spent = processor_seconds() - before
    count = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if not rate or not count or count[1] == "0":
        return "none"
    return f"{float(rate[1]):,.0f} ({1e6 * spent / int(count[1]):,.0f} us)"


def processor_seconds() -> float:
    """Return the processor time of the server's processes."""
    times = [each.cpu_times() for each in psutil.Process().children(recursive=True)]
    return sum(each.user + each.system for each in times)


def upload(port: int, *, tls: bool) -> str:
    """Return MB/s of four uploads at once."""
    context = ssl._create_unverified_context()
    answers = []

    def one() -> None:
        with ExitStack() as stack:
            plain = socket.create_connection(("127.0.0.1", port), timeout=60)
            to = stack.enter_context(context.wrap_socket(plain) if tls else plain)
            head = b"POST /work HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            to.sendall(head + b"Content-Length: %d\r\n\r\n" % len(UPLOAD) + UPLOAD)
            answers.append(to.recv(100).split()[1])

    began = time.monotonic()
    threads = [threading.Thread(target=one) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    rate = 4 * len(UPLOAD) / 1e6 / (time.monotonic() - began)
    return f"{rate:,.0f}" if answers == [b"200"] * 4 else f"failed: {answers}"


def probe(port: int) -> str:
    """Return how long one request takes on a new connection."""
    began = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            one.settimeout(5)
            one.sendall(b"GET /work HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            one.recv(100)
    except OSError:
        return "silent"
    return f"{1000 * (time.monotonic() - began):.1f} ms"


def halves(port: int, sent: bytes) -> str:
    """Return how others fare beside a hundred halves, and how these end."""
    with ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(HALVES)
        ]
        began = time.monotonic()
        for each in slow:
            each.sendall(sent)
        time.sleep(0.5)
        others = probe(port)
        last = slow[-1]
        last.settimeout(40)
        try:
            said = last.recv(100)
        except TimeoutError:
            return f"{others}; open after 40 s"
        except OSError:
            said = b""
        how = said.split()[1].decode() if said else "closed"
        return f"{others}; {how} after {time.monotonic() - began:.0f} s"


def refuse(port: int, sent: bytes, *, ends: bool) -> str:
    """Return status and media type of an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        said = b""
        with suppress(OSError):
            one.sendall(sent)
            if ends:
                one.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while part := one.recv(65536):
                said += part
    kind = re.search(rb"(?i)content-type: *([\w/+.-]+)", said)
    status = said.split()[1].decode() if said else "closed"
    return f"{status} {kind[1].decode() if kind else ''}".strip()


@app.command()
def compare(servers: str = "ours,granian,waitress,gunicorn", rounds: int = 1) -> None:
    """Print one line for each server and measurement."""
    assert shutil.which("wrk"), "wrk makes the load"
    with tempfile.TemporaryDirectory() as folder:
        pair = (f"{folder}/certificate.pem", f"{folder}/key.pem")
        subject = ["-subj", "/CN=localhost", "-days", "2", "-nodes"]
        make = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-keyout",
            pair[1],
            "-out",
            pair[0],
        ]
        subprocess.run([*make, *subject], check=True, capture_output=True)
        names = servers.split(",")
        for _ in range(rounds):
            for name in names:
                measure_speed(name, pair)
        for name in names:
            measure_safety(name)


def measure_speed(name: str, pair: tuple[str, str]) -> None:
    for processes, tls in ((1, None), (2, None), (1, pair)):
        with running(name, processes, tls) as port:
            what = f"{name}, {processes} process(es){', TLS' if tls else ''}"
            if port is None:
                print(f"{what}: cannot")
                continue
            scheme = "https" if tls else "http"
            found = [load(port, count, scheme=scheme) for count in (1, 8, 32)]
            print(
                f"{what}: {' | '.join(found)} | upload {upload(port, tls=bool(tls))} MB/s",
                flush=True,
            )


def measure_safety(name: str) -> None:
    with running(name, 1) as port:
        assert port
        for what, sent in (("half headers", HALF_HEADER), ("half bodies", HALF_BODY)):
            print(f"{name}, {what}: {halves(port, sent)}", flush=True)
    with running(name, 1) as port:
        assert port
        for what, (sent, ends) in MALFORMED.items():
            print(f"{name}, {what}: {refuse(port, sent, ends=ends)}", flush=True)


if __name__ == "__main__":
    app()
