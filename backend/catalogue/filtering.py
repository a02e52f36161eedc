"""One neutral filter -> SQL, for listing the catalogue itself.

It selects what the same filter selects in the index: a field that is empty satisfies none-of and
never any-of or a range, and a list attribute satisfies any-of by one of its elements.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, Float, case, cast, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.sql.expression import TableValuedAlias

from backend.catalogue.drafts import CATEGORICAL, UNSTORABLE
from backend.catalogue.models import Product
from backend.errors import InvalidFilter
from backend.vectors import Condition, Scalar, Where

OPEN: Final = "attributes."
TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "sku": str,
    "display_name": str,
    **dict.fromkeys(CATEGORICAL, str),
    "year": int,
    "price": (int, float),
    "in_stock": bool,
}
"""The columns that can be filtered by, and the Python type that they compare with."""

Test = Callable[[Any], Any]


def conditions(where: Where, *, dialect: str) -> list[ColumnElement[bool]]:
    """Translate a filter for SQLAlchemy's dialect `postgresql` or `sqlite`.

    Raises InvalidFilter for an unknown field, or a value of a type that it does not compare with.
    """
    return [part for name, it in where.items() for part in _translate(name, it, dialect)]


def _translate(name: str, it: Condition, dialect: str) -> Iterator[ColumnElement[bool]]:
    for value in (*it.any_of, *it.none_of):
        _check_value(name, value)
    if name.startswith(OPEN):
        attribute = _in_postgresql if dialect == "postgresql" else _in_sqlite
        return _attribute(name.removeprefix(OPEN), it, attribute)
    if name not in TYPES:
        allowed = [*TYPES, OPEN + "…"]
        raise InvalidFilter(f"there is no field {name!r} to filter by", field=name, allowed=allowed)
    _check_types(name, it)
    return _column(getattr(Product, name), it)


def _check_value(name: str, value: Scalar) -> None:
    """Refuse what a database cannot even take as a parameter."""
    too_large = isinstance(value, int) and not -(2**31) <= value < 2**31
    if too_large or (isinstance(value, str) and UNSTORABLE.search(value)):
        raise InvalidFilter(f"{name} cannot hold {value!r}", field=name)


def _check_types(name: str, it: Condition) -> None:
    """Refuse values that a column cannot be compared with: PostgreSQL would raise its own error."""
    kind = TYPES[name]
    for value in (*it.any_of, *it.none_of):
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InvalidFilter(f"{name} cannot be compared with {value!r}", field=name)
    if _bounds(it) and name not in {"year", "price"}:
        raise InvalidFilter(f"{name} has no order; it can only be one of some values", field=name)


def _column(column: Any, it: Condition) -> Iterator[ColumnElement[bool]]:
    if it.any_of:
        yield column.in_(it.any_of)
    if it.none_of:
        yield or_(column.not_in(it.none_of), column.is_(None))
    for operator, bound in _bounds(it).items():
        yield column.op(operator, return_type=Boolean())(literal(float(bound), Float()))


def _attribute(
    key: str, it: Condition, has: Callable[..., ColumnElement[bool]]
) -> Iterator[ColumnElement[bool]]:
    if it.any_of:
        yield has(key, "==", it.any_of)
    if it.none_of:
        yield ~has(key, "==", it.none_of)
    for operator, bound in _bounds(it).items():
        yield has(key, operator, (bound,))


def _bounds(it: Condition) -> dict[str, float]:
    pairs = {">=": it.gte, ">": it.gt, "<=": it.lte, "<": it.lt}
    return {operator: bound for operator, bound in pairs.items() if bound is not None}


def _in_postgresql(key: str, operator: str, values: tuple[Scalar, ...]) -> ColumnElement[bool]:
    """Test an attribute, or one element of it, against any of the values."""
    names = {f"v{position}": value for position, value in enumerate(values)}
    tests = " || ".join(f"@ {operator} ${name}" for name in names)
    return func.jsonb_path_exists(
        cast(Product.attributes, JSONB),
        cast(literal(f"$.{json.dumps(key)}[*] ? ({tests})"), JSONPATH),
        cast(literal(json.dumps(names)), JSONB),
        type_=Boolean(),
    )


def _in_sqlite(key: str, operator: str, values: tuple[Scalar, ...]) -> ColumnElement[bool]:
    """Test an attribute, or one element of it, against any of the values.

    The key is compared, not put into a JSON path: SQLite cannot escape a quote there.
    """
    entry = _json_each(Product.attributes, "entry")
    elements = case((entry.c.type == "array", entry.c.value), else_="[]")
    element = _json_each(elements, "element")
    in_list = exists(select(1).select_from(element).where(_is_any(element, operator, values)))
    is_it = _is_any(entry, operator, values)
    return exists(select(1).select_from(entry).where(entry.c.key == key, is_it | in_list))


def _json_each(value: Any, name: str) -> TableValuedAlias:
    return func.json_each(value).table_valued("key", "value", "type", name=name)


def _is_any(
    node: TableValuedAlias, operator: str, values: tuple[Scalar, ...]
) -> ColumnElement[bool]:
    return or_(*(_is(node, operator, value) for value in values))


def _is(node: TableValuedAlias, operator: str, value: Scalar) -> ColumnElement[bool]:
    """Compare one JSON value by type and value: in SQLite true is the number 1."""
    if isinstance(value, bool):
        return node.c.type == ("true" if value else "false")
    kinds = ("text",) if isinstance(value, str) else ("integer", "real")
    compared = node.c.value.op(operator, return_type=Boolean())(value)
    return node.c.type.in_(kinds) & compared
