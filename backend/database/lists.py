"""Many values of a column in one row: SQLite makes JSON of them, PostgreSQL an array."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType


class as_list(FunctionElement[Any]):  # noqa: N801  (a function of SQL)
    """The values of a column, in the order of the rows; `read_list` reads them.

    SQLite writes 15 digits of a float.
    """

    inherit_cache = True
    type = NullType()

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)


@compiles(as_list, "postgresql")
def _of_postgresql(element: as_list, compiler: SQLCompiler, **options: Any) -> str:
    return f"array_agg({compiler.process(element.clauses, **options)})"


@compiles(as_list, "sqlite")
def _of_sqlite(element: as_list, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_group_array({compiler.process(element.clauses, **options)})"


def read_list(value: Any) -> list[Any]:
    """Return the values that a database gives for `as_list`."""
    found: list[Any] = orjson.loads(value) if isinstance(value, str) else value
    return found
