"""Listen to what a program says to its database, and say it again to another one."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.types.json import Json

Statement = dict[str, Any]


@contextmanager
def listening(engine: sa.Engine) -> Iterator[list[Statement]]:
    """Collect the statements that succeed; those that change nothing, once each."""
    found: list[Statement] = []
    heard: set[str] = set()

    def note(_connection: Any, cursor: Any, sql: str, given: Any, *_context: Any) -> None:
        word = sql.split(maxsplit=1)[0].upper()
        idle = word == "SELECT" or (word == "DELETE" and cursor.rowcount == 0)
        if word not in ("BEGIN", "PRAGMA") and not (idle and sql in heard):
            found.append({"sql": sql, "given": given, "rows": cursor.rowcount})
        heard.add(sql)

    sa.event.listen(engine, "after_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(engine, "after_cursor_execute", note)


def replay(engine: sa.Engine, statements: Iterable[Statement]) -> list[str]:
    """Run statements in one transaction; return those that fail or find another number of rows."""
    wrong = []
    with engine.execution_options(lookalike_write=True).begin() as connection:
        cursor: Any = connection.connection.cursor()
        for one in statements:
            try:
                run = cursor.executemany if _are_many(one["given"]) else cursor.execute
                run(one["sql"], one["given"])
            except engine.dialect.loaded_dbapi.Error as error:
                return [*wrong, f"{one['sql']}: {error}"]  # a transaction that failed is over
            if cursor.rowcount != one["rows"]:
                wrong.append(f"{one['sql']}: {cursor.rowcount} rows, once {one['rows']}")
            if cursor.description:
                cursor.fetchall()
    return wrong


def _are_many(given: Any) -> bool:
    """Tell several rows from the values of one."""
    return isinstance(given, list) and bool(given) and isinstance(given[0], (list, tuple, dict))


def save(path: Path, statements: Iterable[Statement]) -> None:
    """Write statements, one a line."""
    lines = [json.dumps(one, default=_pack) for one in statements]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def load(path: Path) -> list[Statement]:
    """Read what `save` wrote."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line, object_hook=_unpack) for line in lines]


def _pack(value: Any) -> dict[str, Any]:
    match value:
        case bytes() | memoryview():
            return {"$bytes": base64.b64encode(value).decode()}
        case psycopg.Binary():
            return _pack(value.obj)
        case datetime():
            return {"$moment": value.isoformat()}
        case Json():
            return {"$json": value.obj}
    raise TypeError(f"no JSON for {value!r}")


def _unpack(value: dict[str, Any]) -> Any:
    match value:
        case {"$bytes": text}:
            return base64.b64decode(text)
        case {"$moment": text}:
            return datetime.fromisoformat(text)
        case {"$json": obj}:
            return Json(obj)
    return value
