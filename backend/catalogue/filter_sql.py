"""A neutral filter -> SQL, for listing the catalogue itself.

It selects what the same filter selects in the index (see `backend.filters`): an empty field
satisfies none-of, and never any-of or a range; an attribute matches whatever type it is stored in;
a list of values satisfies any-of if one of them does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Float,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import TableValuedAlias

from backend.catalogue.drafts import CATEGORICAL
from backend.catalogue.texts import UNSTORABLE
from backend.database.dialect import is_postgresql
from backend.database.models import Product
from backend.errors import InvalidFilter
from backend.filters import Condition, Scalar, Schema, Where
from backend.filters.check import check
from backend.filters.spellings import Spellings

OPEN: Final = "attributes."
COLUMNS: Final[Schema] = {
    "sku": "keyword",
    "display_name": "keyword",
    **dict.fromkeys(CATEGORICAL, "keyword"),
    "year": "integer",
    "price": "float",
    "currency": "keyword",
    "in_stock": "bool",
}
"""The columns that can be filtered by, beside the open attributes."""

Has: TypeAlias = Callable[[str, str, Sequence[Scalar]], ColumnElement[bool]]


def conditions(session: Session, where: Where) -> list[ColumnElement[bool]]:
    """Translate a filter into SQL for the session's database.

    Raises InvalidFilter for an unknown field, or a value of a type that it does not compare with.
    """
    check(where, COLUMNS)
    has = _in_postgresql if is_postgresql(session) else _in_sqlite
    return [part for name, it in where.items() for part in _translate(name, it, has)]


def _translate(name: str, it: Condition, has: Has) -> Iterator[ColumnElement[bool]]:
    for value in (name, *it.any_of, *it.none_of):
        if isinstance(value, str) and UNSTORABLE.search(value):
            raise InvalidFilter(f"{name!r}: {value!r} cannot be in the catalogue", field=name)
    if name.startswith(OPEN):
        return _attribute(name.removeprefix(OPEN), it, has)
    return _column(getattr(Product, name), it)


def _column(column: Any, it: Condition) -> Iterator[ColumnElement[bool]]:
    if COLUMNS[column.key] == "integer":  # so that a value of 64 bits is accepted, and not found
        column = type_coerce(column, BigInteger())
    if it.any_of:
        yield column.in_(it.any_of)
    if it.none_of:
        yield or_(column.not_in(it.none_of), column.is_(None))
    for operator, bound in _bounds(it).items():
        yield column.op(operator, return_type=Boolean())(literal(float(bound), Float()))


def _attribute(key: str, it: Condition, has: Has) -> Iterator[ColumnElement[bool]]:
    if it.any_of:
        yield has(key, "==", _spelled(it.any_of))
    if it.none_of:
        yield ~has(key, "==", _spelled(it.none_of))
    for operator, bound in _bounds(it).items():
        yield has(key, operator, [bound])


def _spelled(values: Sequence[Scalar]) -> Sequence[Scalar]:
    """Return all JSON values that count as equal to one of these."""
    it = Spellings.of(values)
    return [*it.texts, *it.integers, *it.numbers, *it.booleans]


def _bounds(it: Condition) -> dict[str, float]:
    pairs = {">=": it.gte, ">": it.gt, "<=": it.lte, "<": it.lt}
    return {operator: bound for operator, bound in pairs.items() if bound is not None}


def _in_postgresql(key: str, operator: str, values: Sequence[Scalar]) -> ColumnElement[bool]:
    """Test an attribute, or one element of it, against any of the values."""
    names = {f"v{position}": value for position, value in enumerate(values)}
    tests = " || ".join(f"@ {operator} ${name}" for name in names)
    return func.jsonb_path_exists(
        cast(Product.attributes, JSONB),
        cast(literal(f'$."{key}"[*] ? ({tests})'), JSONPATH),
        cast(literal(json.dumps(names)), JSONB),
        type_=Boolean(),
    )


def _in_sqlite(key: str, operator: str, values: Sequence[Scalar]) -> ColumnElement[bool]:
    """Test an attribute, or one element of it, against any of the values.

    The key is compared, because in a JSON path SQLite does not find keys with escapes.
    """
    entry = _json_each(Product.attributes, "entry")
    element = _json_each(case((entry.c.type == "array", entry.c.value), else_="[]"), "element")
    in_list = exists(select(1).select_from(element).where(_is_any(element, operator, values)))
    is_it = _is_any(entry, operator, values)
    return exists(select(1).select_from(entry).where(entry.c.key == key, is_it | in_list))


def _json_each(value: Any, name: str) -> TableValuedAlias:
    return func.json_each(value).table_valued("key", "value", "type", name=name)


def _is_any(node: TableValuedAlias, operator: str, values: Sequence[Scalar]) -> ColumnElement[bool]:
    return or_(*(_is(node, operator, value) for value in values))


def _is(node: TableValuedAlias, operator: str, value: Scalar) -> ColumnElement[bool]:
    """Compare one JSON value by type and value: in SQLite true is the number 1."""
    if isinstance(value, bool):
        return node.c.type == ("true" if value else "false")
    kinds = ("text",) if isinstance(value, str) else ("integer", "real")
    compared = node.c.value.op(operator, return_type=Boolean())(value)
    return node.c.type.in_(kinds) & compared
