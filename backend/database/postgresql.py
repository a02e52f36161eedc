"""Connections to PostgreSQL that are closed when the server does not answer in time."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import Any, Final, TypeVar

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from backend.database.patience import PING_SECONDS, at_most, limit
from backend.errors import ConfigurationError

T = TypeVar("T")

TICK_SECONDS: Final = 0.05

SHORTEST_CONNECT: Final = 2  # seconds; libpq raises less to this

KEEPALIVE: Final[dict[str, Any]] = {
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
}
"""Parameters of libpq. A host that is gone is noticed after 20 s, also by who has no limit."""


class DatabaseSilent(psycopg.OperationalError):
    """The database did not answer in time; the connection is closed."""


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is closed when a statement takes longer than this thread's limit."""

    def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
        """Wait as the driver does, at most for the limit. Raises DatabaseSilent."""
        seconds = limit.get()
        if seconds is None:
            return super().wait(gen, *arguments, **options)
        options["interval"] = TICK_SECONDS
        try:
            return super().wait(_ended_after(gen, seconds), **options)
        except DatabaseSilent:
            self.pgconn.finish()
            raise


def _ended_after(gen: Generator[Any, Any, T], seconds: float) -> Generator[Any, Any, T]:
    """Pass on what a generator of the driver waits for. Raises DatabaseSilent after `seconds`."""
    until = time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > until:
                gen.close()
                raise DatabaseSilent(f"no answer within {seconds:g} s")
            wanted = gen.send(ready)
    except StopIteration as ended:
        value: T = ended.value
        return value


def limit_waits(engine: Engine) -> None:
    """Have the connections of a PostgreSQL engine keep to the limits."""

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, options: dict[str, Any]) -> Any:
        seconds = limit.get()
        if seconds is not None:
            given = int(options.get("connect_timeout") or seconds)
            options["connect_timeout"] = max(SHORTEST_CONNECT, min(given, math.ceil(seconds)))
        connection = PatientConnection.connect(*arguments, **options)
        _check_encoding(connection)
        return connection

    ping = engine.dialect.do_ping

    def ping_soon(connection: Any) -> bool:
        with at_most(PING_SECONDS):
            return ping(connection)

    engine.dialect.do_ping = ping_soon  # type: ignore[method-assign, assignment]


def _check_encoding(connection: psycopg.Connection[Any]) -> None:
    """Raise ConfigurationError where the database cannot hold every text."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):
        name = connection.info.dbname
        connection.close()
        raise ConfigurationError(
            f"the database {name!r} (DATABASE_URL) is in {encoding}, not in UTF8: make one by "
            f"CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'"
        )


def is_silence(error: BaseException) -> bool:
    """Tell whether an error means that nothing was answered in time."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, DatabaseSilent | psycopg.errors.ConnectionTimeout)
