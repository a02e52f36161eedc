"""A neutral filter -> SQL, for listing the catalogue itself.

It selects what the same filter selects in the index (see `backend.filters`): an empty field
satisfies none-of, and never any-of or a range; an attribute matches whatever type it is stored in;
a list of values satisfies any-of if one of them does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Float,
    Select,
    and_,
    case,
    cast,
    column,
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
from backend.catalogue.texts import is_storable
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
    "group_id": "keyword",
    "brand": "keyword",
    "link": "keyword",
    "year": "integer",
    "price": "float",
    "currency": "keyword",
    "in_stock": "bool",
}
"""The columns that can be filtered by, beside the open attributes."""

Has: TypeAlias = Callable[[str, Spellings | None, Mapping[str, float]], ColumnElement[bool]]


def conditions(session: Session, where: Where) -> list[ColumnElement[bool]]:
    """Translate a filter into SQL for the session's database.

    Raises InvalidFilter for an unknown field, or a value of a type that it does not compare with.
    """
    check(where, COLUMNS)
    has = _in_postgresql if is_postgresql(session) else _in_sqlite
    return [part for name, it in where.items() for part in _translate(name, it, has)]


def _translate(name: str, it: Condition, has: Has) -> Iterator[ColumnElement[bool]]:
    for value in (name, *it.any_of, *it.none_of):
        if isinstance(value, str) and not is_storable(value):
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
        yield has(key, Spellings.of(it.any_of), {})
    if it.none_of:
        yield ~has(key, Spellings.of(it.none_of), {})
    if bounds := _bounds(it):
        yield has(key, None, bounds)


def _bounds(it: Condition) -> dict[str, float]:
    pairs = {">=": it.gte, ">": it.gt, "<=": it.lte, "<": it.lt}
    return {operator: bound for operator, bound in pairs.items() if bound is not None}


# --- one attribute, or one element of it: all values, or all bounds, are one parameter -------


def _in_postgresql(
    key: str, values: Spellings | None, bounds: Mapping[str, float]
) -> ColumnElement[bool]:
    if values is None:
        tests = " && ".join(f'@ {operator} $"{operator}"' for operator in bounds)
        return func.jsonb_path_exists(
            cast(Product.attributes, JSONB),
            cast(literal(f'$."{key}"[*] ? ({tests})'), JSONPATH),
            cast(literal(json.dumps(bounds)), JSONB),
            type_=Boolean(),
        )
    path = cast(literal(f'$."{key}"[*]'), JSONPATH)
    query = func.jsonb_path_query(cast(Product.attributes, JSONB), path)
    stored = query.table_valued(column("value", JSONB), name="stored").render_derived()
    wanted = func.jsonb_array_elements(cast(literal(_as_json(values)), JSONB))
    return exists(select(1).select_from(stored).where(stored.c.value.in_(select(wanted))))


def _as_json(values: Spellings) -> str:
    return json.dumps([*values.texts, *values.integers, *values.numbers, *values.booleans])


def _in_sqlite(
    key: str, values: Spellings | None, bounds: Mapping[str, float]
) -> ColumnElement[bool]:
    """Test the entry of this key: in a JSON path SQLite does not find keys with escapes."""

    def passes(node: TableValuedAlias) -> ColumnElement[bool]:
        return _is_within(node, bounds) if values is None else _is_any(node, values)

    entry = _json_each(Product.attributes, "entry")
    element = _json_each(case((entry.c.type == "array", entry.c.value), else_="[]"), "element")
    in_list = exists(select(1).select_from(element).where(passes(element)))
    return exists(select(1).select_from(entry).where(entry.c.key == key, passes(entry) | in_list))


def _json_each(value: Any, name: str) -> TableValuedAlias:
    return func.json_each(value).table_valued("key", "value", "type", name=name)


_NUMBERS: Final = ("integer", "real")
"""The types of numbers in SQLite's JSON."""


def _is_any(node: TableValuedAlias, values: Spellings) -> ColumnElement[bool]:
    """Compare one JSON value by type and value: in SQLite true is the number 1."""
    numbers = [*values.integers, *values.numbers]
    return or_(
        and_(node.c.type == "text", node.c.value.in_(_listed(values.texts))),
        and_(node.c.type.in_(_NUMBERS), node.c.value.in_(_listed(numbers))),
        node.c.type.in_(["true" if value else "false" for value in values.booleans]),
    )


def _listed(values: Sequence[Scalar]) -> Select[Any]:
    return select(func.json_each(json.dumps(values)).table_valued("value").c.value)


def _is_within(node: TableValuedAlias, bounds: Mapping[str, float]) -> ColumnElement[bool]:
    tests = [
        node.c.value.op(operator, return_type=Boolean())(bound)
        for operator, bound in bounds.items()
    ]
    return and_(node.c.type.in_(_NUMBERS), *tests)
