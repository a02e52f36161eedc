"""Redis behind TLS, on a port of its own: a real server where it has TLS, else a wrapped one."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from support.servers import free_port, redis_server, wait_for


@contextmanager
def wrapped_redis(folder: Path, certificate: Path, key: Path) -> Iterator[int]:
    """A Redis server without TLS behind a outer that has it: the outer's port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with (
        redis_server(folder / "redis") as server,
        socket.create_server(("127.0.0.1", 0)) as outer,
    ):
        accept = threading.Thread(target=_accept, args=(outer, context, server.port), daemon=True)
        accept.start()
        yield outer.getsockname()[1]
        with suppress(OSError):
            outer.shutdown(socket.SHUT_RDWR)


@contextmanager
def installed_redis(folder: Path, certificate: Path, key: Path) -> Iterator[int]:
    """The `redis-server` of this host, which listens with TLS alone: its port."""
    program, port = _installed(), free_port()
    assert program
    folder.mkdir(parents=True, exist_ok=True)
    proof = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    files = [*proof, "--tls-auth-clients", "no"]
    ports = ["--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen(
        [program, *ports, *files, "--dir", str(folder)], stdout=subprocess.DEVNULL
    )

    def answers() -> bool:
        with suppress(redis.ConnectionError):
            return bool(redis.Redis(port=port, ssl=True, ssl_cert_reqs="none").ping())
        return False

    try:
        wait_for(answers)
        yield port
    finally:
        process.terminate()
        process.wait()


def has_tls() -> bool:
    """Tell whether this host has a `redis-server` that was built with TLS."""
    program = _installed()
    if not program:
        return False
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return "libssl" in linked


def _installed() -> str | None:
    """The host's own program, not the one that a package of Python brings, which has no TLS."""
    return shutil.which("redis-server", path="/usr/local/bin:/usr/bin")


def _accept(outer: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            plain, _ = outer.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(plain, context, port), daemon=True).start()


def _serve(plain: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Shake hands, then pass bytes on in both directions until one side ends."""
    try:
        client = context.wrap_socket(plain, server_side=True)
    except OSError:  # a client that does not trust us
        plain.close()
        return
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
