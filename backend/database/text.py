"""Expressions of text that the two databases spell differently."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction


class before(GenericFunction[str]):  # noqa: N801  (it is used as a function of SQL)
    """`before(text, mark)`: the text up to the first mark; the whole text without one."""

    type = String()
    inherit_cache = True


@compiles(before, "postgresql")
def _split_part(element: ColumnElement[str], compiler: Any, **options: Any) -> str:
    text, mark = (compiler.process(part, **options) for part in element.clauses)
    return f"split_part({text}, {mark}, 1)"


@compiles(before, "sqlite")
def _substr(element: ColumnElement[str], compiler: Any, **options: Any) -> str:
    text, mark = (compiler.process(part, **options) for part in element.clauses)
    return f"substr({text}, 1, instr({text} || {mark}, {mark}) - 1)"
