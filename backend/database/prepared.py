"""SELECTs as a driver takes them: compiled once, with values converted as SQLAlchemy does.

A list of values is filled up to one of a few sizes, so that a statement has few texts.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

import orjson
from sqlalchemy import Dialect, Select, func, select
from sqlalchemy.sql.compiler import SQLCompiler

SIZES: Final = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
"""A list of values is filled up to one of these sizes by its last value, beyond the last one to a
multiple of it. So there are few texts of a statement, which a server can keep prepared."""

MOST_PREPARED: Final = 512

_SIZE_OF: Final = tuple(next(size for size in SIZES if size >= it) for it in range(1 + SIZES[-1]))

Convert: TypeAlias = Callable[[Any], Any]


class Prepared:
    """A statement for one dialect: its texts, by the sizes of its lists, and how rows are read."""

    def __init__(self, statement: Select[Any], dialect: Dialect, *, at_once: bool) -> None:
        self._dialect = dialect
        self._at_once = at_once
        sent = statement
        if at_once:
            rows = statement.subquery()
            sent = select(func.json_group_array(func.json_array(*rows.c)))
        self._compiled = sent.compile(dialect=dialect)
        self._columns = list(statement.selected_columns)
        row = namedtuple("Row", statement.selected_columns.keys())  # type: ignore[misc]
        self._name = partial(tuple.__new__, row)
        binds = self._compiled.binds.items()
        self._lists = [name for name, bind in binds if bind.expanding and bind.required]
        self._texts: dict[tuple[int, ...], _StatementText] = {}
        self._converts: list[tuple[int, Convert]] | None = None

    def bind(self, given: Mapping[str, Any]) -> tuple[str, Any]:
        """Return the text and its parameters, in the form that the driver takes."""
        sizes: tuple[int, ...] = ()
        if self._lists:
            given = dict(given)
            for name in self._lists:
                given[name] = filled = _filled(given[name])
                sizes = (*sizes, len(filled))
        text = self._texts.get(sizes)
        if text is None:
            text = self._texts[sizes] = _StatementText(self._compiled, given)
        return text.text, text.values(given)

    def named(self, rows: Sequence[Any], description: Sequence[Any]) -> list[Any]:
        """Return the driver's rows with names and converted values."""
        converts = self._converts
        if converts is None:
            converts = self._converts = self._find_converts(description)
        if self._at_once:
            rows = orjson.loads(rows[0][0])
        if not converts:
            return list(map(self._name, rows))
        read = []
        for row in rows:
            values = list(row)
            for place, convert in converts:
                values[place] = convert(values[place])
            read.append(self._name(values))
        return read

    def _find_converts(self, description: Sequence[Any]) -> list[tuple[int, Convert]]:
        """Return what has to be converted: positions, and functions."""
        found: list[tuple[int, Convert]] = []
        for place, column in enumerate(self._columns):
            kind = column.type.dialect_impl(self._dialect)
            code = None if self._at_once else description[place][1]
            convert = kind.result_processor(self._dialect, code)
            if convert is not None:
                found.append((place, convert))
        return found


class _StatementText:
    """The text of a statement whose lists have some sizes."""

    def __init__(self, compiled: SQLCompiler, given: Mapping[str, Any]) -> None:
        state = compiled.construct_expanded_state(dict(given))
        self.text = state.statement
        self._fixed = {k: v for k, v in state.parameters.items() if k not in given}
        self._members = {k: v for k, v in state.parameter_expansion.items() if k in given}
        self._processors = dict(state.processors)
        self._order = state.positiontup

    def values(self, given: Mapping[str, Any]) -> Any:
        """Return the parameters: in order, or by name, as the dialect has them."""
        values = {**self._fixed, **given}
        for name, members in self._members.items():
            values.update(zip(members, values.pop(name), strict=True))
        for name, process in self._processors.items():
            values[name] = process(values[name])
        return values if self._order is None else [values[name] for name in self._order]


def _filled(values: Collection[Any]) -> Sequence[Any]:
    """Return values with repetitions of the last one; an empty list becomes one that nothing is."""
    found = list(values) or [None]
    count, most = len(found), SIZES[-1]
    size = _SIZE_OF[count] if count <= most else -(-count // most) * most
    return found + found[-1:] * (size - count)


@lru_cache(maxsize=MOST_PREPARED)
def prepare(statement: Select[Any], dialect: Dialect, *, at_once: bool) -> Prepared:
    """Return a statement for a dialect, the same one each time while there are few of them.

    With `at_once`, SQLite writes all rows as one text of JSON.
    """
    return Prepared(statement, dialect, at_once=at_once)
