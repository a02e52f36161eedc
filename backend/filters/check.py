"""Check a filter against a schema, before any engine or database receives it.

For an unknown field, or a value of a wrong type, the vector engines find nothing and raise nothing.
"""

from __future__ import annotations

import math
from typing import Final, Literal, TypeAlias

from backend.errors import InvalidFilter
from backend.filters import OPEN_PREFIX, Condition, FieldType, Schema, Where

Kind: TypeAlias = FieldType | Literal["attribute"]

EXPECTED: dict[Kind, str] = {
    "keyword": "a string",
    "integer": "an integer of 64 bits",
    "float": "a finite number",
    "bool": "true or false",
    "attribute": "a string, a finite number, true or false",
}

EXACT_IN_FLOAT: Final = 2**53
"""Above this, ranges confuse neighbouring integers, because they compare floats."""


def check(where: Where | None, schema: Schema) -> None:
    """Raise InvalidFilter unless every field is known and every value has its type.

    The context holds `field`, and `expected` (for a wrong value) or `allowed` (for an unknown
    field). A condition with no part set is refused too: an empty any-of could mean everything or
    nothing.
    """
    for field, condition in (where or {}).items():
        _check_condition(field, kind_of(field, schema), condition)


def kind_of(field: str, schema: Schema) -> Kind:
    """Return the kind of a field; raise InvalidFilter, with the allowed ones, if it is unknown."""
    if field.startswith(OPEN_PREFIX) and field != OPEN_PREFIX:
        if '"' in field or "\\" in field or not is_text(field):  # not possible in a JSON path
            raise InvalidFilter(f"the attribute {field!r} cannot be filtered by", field=field)
        return "attribute"
    if field in schema:
        return schema[field]
    allowed = [*sorted(schema), OPEN_PREFIX + "<name>"]
    raise InvalidFilter(
        f"unknown field {field!r}; allowed: {', '.join(allowed)}", field=field, allowed=allowed
    )


def check_facet(field: str, schema: Schema) -> None:
    """Raise InvalidFilter unless the values of a field can be counted."""
    allowed = sorted(name for name, kind in schema.items() if kind != "float")
    if field not in allowed:
        message = f"{field!r} is not counted by value; allowed: {', '.join(allowed)}"
        raise InvalidFilter(message, field=field, allowed=allowed)


def accepts(kind: Kind, value: object) -> bool:
    """Tell whether a value has the type of a field; a boolean is never a number."""
    if kind == "attribute":
        return any(accepts(each, value) for each in ("keyword", "float", "bool"))
    if isinstance(value, bool):
        return kind == "bool"
    if isinstance(value, int):  # beyond 64 bits the engines turn it into a float, without an error
        return kind in ("integer", "float") and -(2**63) <= value < 2**63
    if isinstance(value, float):
        return kind == "float" and math.isfinite(value)
    return kind == "keyword" and isinstance(value, str) and is_text(value)


def is_text(value: str) -> bool:
    """Tell whether a string is Unicode text; half of a surrogate pair, as in JSON, is not."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_condition(field: str, kind: Kind, condition: Condition) -> None:
    bounds = bounds_of(condition)
    if not (condition.any_of or condition.none_of or bounds):
        raise _invalid(field, "a value, a negated value or a bound", got="none")
    if bounds and kind in ("keyword", "bool"):
        raise _invalid(field, f"{EXPECTED[kind]}, and no range", got="a range")
    for value in (*condition.any_of, *condition.none_of):
        if not accepts(kind, value):
            raise _invalid(field, _expected(kind, value), got=repr(value))
    for bound in bounds.values():
        if not accepts("float", bound):
            raise _invalid(field, EXPECTED["float"], got=repr(bound))
        if kind == "integer" and abs(bound) > EXACT_IN_FLOAT:
            raise _invalid(field, "a bound between -2**53 and 2**53", got=repr(bound))


def _expected(kind: Kind, value: object) -> str:
    if isinstance(value, str) and not is_text(value):
        return "text without halves of surrogate pairs, which are no characters"
    return EXPECTED[kind]


def bounds_of(condition: Condition) -> dict[str, float]:
    """Return the bounds that a condition sets, by name: gte, gt, lte, lt."""
    bounds = (
        ("gte", condition.gte),
        ("gt", condition.gt),
        ("lte", condition.lte),
        ("lt", condition.lt),
    )
    return {name: bound for name, bound in bounds if bound is not None}


def _invalid(field: str, expected: str, *, got: str) -> InvalidFilter:
    message = f"{field} takes {expected}; got {got[:80]}"
    return InvalidFilter(message, field=field, expected=expected)
