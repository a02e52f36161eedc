"""Describe the tables of a database, and find what an older program can no longer do with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import sqlalchemy as sa

Table = dict[str, Any]
Schema = dict[str, Table]

WIDER: Final = {("INTEGER", "BIGINT"), ("VARCHAR", "TEXT"), ("REAL", "DOUBLE PRECISION")}


def describe(engine: sa.Engine) -> Schema:
    """Return the tables as JSON: columns, keys, unique sets of columns, references, checks."""
    inspector = sa.inspect(engine)
    return {
        name: {
            "columns": {
                column["name"]: {
                    "type": column["type"].compile(engine.dialect),
                    "nullable": column["nullable"],
                    "default": column["default"] is not None,
                }
                for column in inspector.get_columns(name)
            },
            "primary": inspector.get_pk_constraint(name)["constrained_columns"],
            "unique": _unique(inspector, name),
            "references": sorted(
                [key["constrained_columns"], key["referred_table"], key["options"].get("ondelete")]
                for key in inspector.get_foreign_keys(name)
            ),
            "checks": sorted(check["sqltext"] for check in inspector.get_check_constraints(name)),
        }
        for name in sorted(inspector.get_table_names())
        if name != "alembic_version"
    }


def _unique(inspector: sa.Inspector, table: str) -> list[list[str]]:
    constraints = [found["column_names"] for found in inspector.get_unique_constraints(table)]
    indexes = [found["column_names"] for found in inspector.get_indexes(table) if found["unique"]]
    return sorted({tuple(map(str, names)): list(names) for names in constraints + indexes}.values())


def stricter(before: Schema, now: Schema) -> list[str]:
    """List what a program that knows only `before` can no longer read or write in `now`."""
    return [
        f"{name}{found}"
        for name, table in before.items()
        for found in (_in_table(table, now[name]) if name in now else [" is gone"])
    ] + [
        f"{name} refers to {target} and keeps its rows from being deleted"
        for name in now.keys() - before.keys()
        for _, target, on_delete in now[name]["references"]
        if target in before and on_delete not in ("CASCADE", "SET NULL")
    ]


def _in_table(before: Table, now: Table) -> Iterator[str]:
    for name, column in now["columns"].items():
        if name not in before["columns"] and not (column["nullable"] or column["default"]):
            yield f".{name} is new and has to be given"
    for name, column in before["columns"].items():
        if name not in now["columns"]:
            yield f".{name} is gone"
        else:
            yield from (f".{name} {what}" for what in _in_column(column, now["columns"][name]))
    if before["primary"] != now["primary"]:
        yield " has another primary key"
    for kind, concerns in _CONSTRAINTS.items():
        known = before["columns"].keys()
        new = [one for one in now[kind] if one not in before[kind] and concerns(one, known)]
        yield from (f" has new {kind}: {one}" for one in new)
    gone = [columns for columns in before["unique"] if columns not in now["unique"]]
    yield from (f" has no unique {columns} for an upsert" for columns in gone)


_CONSTRAINTS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "unique": lambda columns, known: not known.isdisjoint(columns),
    "references": lambda key, known: not known.isdisjoint(key[0]),
    "checks": lambda text, known: not known.isdisjoint(re.findall(r"\w+", text)),
}


def _in_column(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    if before["nullable"] and not now["nullable"]:
        yield "may no longer be empty"
    if before["default"] and not now["default"]:
        yield "lost its default"
    if not _holds(now["type"], before["type"]):
        yield f"was {before['type']} and is {now['type']}"


def _holds(now: str, before: str) -> bool:
    """Tell whether a type takes every value of another."""
    (kind, size), (old_kind, old_size) = _parts(now), _parts(before)
    if kind == "VARCHAR" == old_kind:
        return not size or (bool(old_size) and int(size) >= int(old_size))
    return now == before or (old_kind, kind) in WIDER


def _parts(spelling: str) -> tuple[str, str]:
    kind, _, size = spelling.partition("(")
    return kind, size.rstrip(")")
