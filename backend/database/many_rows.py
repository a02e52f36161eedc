"""Statements for very many rows: the driver gets tuples, in the order of its own placeholders.

What SQLAlchemy does for each row of an `executemany` takes longer than the database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, TypeAlias, cast

from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    ColumnElement,
    Dialect,
    String,
    Table,
    any_,
    bindparam,
    column,
    func,
    literal,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy import cast as cast_as
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.dml import Insert, ReturningInsert, Update
from sqlalchemy.sql.selectable import TableValuedAlias

from backend.database.dialect import is_postgresql

Row: TypeAlias = Mapping[str, Any]
Take: TypeAlias = Callable[[Row], tuple[Any, ...]]

FEWEST_ROWS: Final = 50  # of one insert, whose empty columns are left out
_ID: Final = "b_id"
_ROWS: Final = "b_rows"
_LAST_ID: Final = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
"""The last id that a table on SQLite has given; NULL if it never had a row."""


@dataclass(frozen=True)
class _Prepared:
    """A statement as the driver takes it."""

    text: str
    take: Take  # a row's values in the order of the placeholders
    converters: Sequence[tuple[int, Callable[[Any], Any]]]  # of the values that need one

    def values_of(self, rows: Sequence[Row]) -> Sequence[tuple[Any, ...]]:
        """Return the values of all rows; an object that many rows share is converted once."""
        found = list(map(self.take, rows))
        if not self.converters:
            return found
        columns: list[Sequence[Any]] = list(zip(*found, strict=True))
        for at, convert in self.converters:
            columns[at] = _converted(columns[at], convert)
        return list(zip(*columns, strict=True))


def _converted(column: Sequence[Any], convert: Callable[[Any], Any]) -> Sequence[Any]:
    if len(set(map(id, column))) == 1:
        return [convert(column[0])] * len(column)
    objects = {id(value): value for value in column}
    converted = {key: convert(value) for key, value in objects.items()}
    return [converted[id(value)] for value in column]


def is_among(
    session: Session, column: InstrumentedAttribute[Any] | Column[Any], values: Sequence[str | int]
) -> ColumnElement[bool]:
    """Return the condition that a column has one of very many values, which are one parameter."""
    if is_postgresql(session):
        return column == any_(bindparam(None, list(values), type_=ARRAY(column.type)))
    listed = func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(select(listed.c.value))


def row_version(session: Session, table: Table) -> ColumnElement[str | None]:
    """Return a value that differs after each change of a row of PostgreSQL; NULL on SQLite.

    There, `Database.version` tells whether anything was committed.
    """
    if not is_postgresql(session):
        return literal(None, String())
    return cast_as(literal_column(f"{table.name}.xmin"), String())


def execute_each(
    session: Session,
    statement: Insert | Update,
    rows: Sequence[Row],
    names: Sequence[str] | None = None,
) -> None:
    """Run a statement once for each row; all rows have the same keys, two or more.

    `names` are the columns that are written; all of the row's if absent. The statement is compiled
    once for each object, so keep it.
    """
    if rows:
        connection = session.connection()
        prepared = _prepare(statement, tuple(names or rows[0]), connection.dialect)
        connection.exec_driver_sql(prepared.text, prepared.values_of(rows))


def insert_new(
    session: Session, table: Table, key: str, rows: Sequence[dict[str, Any]]
) -> dict[Any, int]:
    """Insert rows whose unique `key` is new; return the ids of those that were inserted, by key.

    On SQLite, whose file the writer has locked before it looked for the keys, all are inserted, and
    the ids are given here and written into the rows: the table keeps the last one (AUTOINCREMENT),
    so none is used twice.
    """
    if not rows:
        return {}
    if is_postgresql(session):
        insert = _postgresql_insert(table, key, tuple(rows[0]))
        return {row[0]: row[1] for row in session.execute(insert, _as_json(rows))}
    last = session.scalar(_LAST_ID, {"name": table.name}) or 0
    ids = {row[key]: number for number, row in enumerate(rows, last + 1)}
    for row in rows:
        row["id"] = ids[row[key]]
    execute_each(session, _sqlite_insert(table), rows, _set_names(table, rows))
    return ids


def _set_names(table: Table, rows: Sequence[Row]) -> list[str]:
    """Return the columns that any row sets; the others become NULL by themselves.

    Python's driver takes 0.4 µs for a None, more than for any other value. A few rows gain less
    than another statement costs to compile.
    """
    if len(rows) < FEWEST_ROWS:
        return list(rows[0])
    return [
        name
        for name, value in rows[0].items()
        if value is not None
        or [row[name] for row in rows].count(None) < len(rows)
        or _has_default(table.c[name])
    ]


def _has_default(column: Column[Any]) -> bool:
    return column.default is not None or column.server_default is not None


def update_by_id(session: Session, table: Table, rows: Sequence[Row]) -> None:
    """Write rows over those whose ids are their `b_id`; all have the same keys, two or more."""
    if not rows:
        return
    if is_postgresql(session):
        changed = _postgresql_update(table, tuple(rows[0]))
        session.connection().execute(changed, _as_json(rows))
    else:
        execute_each(session, _sqlite_update(table), rows)


def _as_json(rows: Sequence[Row]) -> dict[str, str]:
    return {_ROWS: json.dumps(rows, default=_time_as_text, ensure_ascii=False)}


def _time_as_text(value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    raise TypeError(f"{value!r} cannot be sent in JSON")


def _record_set(table: Table, names: Sequence[str]) -> TableValuedAlias:
    """Return rows that are one parameter, JSON, as a table; `b_id` is an id.

    The driver takes as long for each single parameter of a statement as for a row of it.
    """
    kinds = {name: table.c[name.removeprefix("b_")].type for name in names}
    columns: list[Any] = [column(name, kind) for name, kind in kinds.items()]
    listed = func.json_to_recordset(bindparam(_ROWS, type_=String()).cast(JSON))
    return listed.table_valued(*columns, name="given").render_derived(with_types=True)


@lru_cache(maxsize=8)
def _postgresql_insert(table: Table, key: str, names: tuple[str, ...]) -> ReturningInsert[Any]:
    given = _record_set(table, names)
    insert = postgresql.insert(table).from_select(names, select(*given.c), include_defaults=False)
    found = insert.on_conflict_do_nothing(index_elements=[key])
    return found.returning(table.c[key], table.c.id)


@lru_cache(maxsize=256)  # updates differ in the columns that they name
def _postgresql_update(table: Table, names: tuple[str, ...]) -> Update:
    given = _record_set(table, names)
    values = {name: given.c[name] for name in names if name != _ID}
    return update(table).where(table.c.id == given.c[_ID]).values(values)


@lru_cache(maxsize=8)
def _sqlite_update(table: Table) -> Update:
    return update(table).where(table.c.id == bindparam(_ID))


@lru_cache(maxsize=8)
def _sqlite_insert(table: Table) -> Insert:
    return sqlite.insert(table)


@lru_cache(maxsize=256)  # updates differ in the columns that they name
def _prepare(statement: Insert | Update, names: tuple[str, ...], dialect: Dialect) -> _Prepared:
    style = "qmark" if dialect.name == "sqlite" else "format"
    positional = cast("DefaultDialect", type(dialect)(paramstyle=style))  # type: ignore[call-arg]
    compiled = statement.compile(dialect=positional, column_keys=list(names))
    order = compiled.positiontup or []
    if sorted(order) != sorted(names):
        raise AssertionError(f"the statement takes {order}, not {names}")
    types = [compiled.binds[name].type.dialect_impl(dialect) for name in order]
    processors = [kind.bind_processor(dialect) for kind in types]
    return _Prepared(
        text=str(compiled),
        take=itemgetter(*order),
        converters=[(at, it) for at, it in enumerate(processors) if it is not None],
    )
