"""One neutral filter, checked once, translated once for both SDKs.

A field is either in the schema (typed, with a payload index) or an open attribute,
`attributes.<name>`, which needs no index: it is then found by reading payloads, so slower. The
whole rest of the name is one key, dots and all.

An attribute's value comes from a shop's feed as text or from JSON as a number, so it matches in
whatever type it was stored: "42" also finds 42, 42 also finds "42", "true" also finds True, and
the same under negation. Ranges on attributes compare numbers only.

A product that lacks the field matches no `any_of` and no range, and does match `none_of`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from backend.errors import InvalidFilter
from backend.vectors import CLAIM, Condition, FieldType, Scalar, Schema, Where

Kind: TypeAlias = FieldType | Literal["attribute"]
T = TypeVar("T")

EXPECTED: dict[Kind, str] = {
    "keyword": "a string",
    "integer": "an integer of 64 bits",
    "float": "a finite number",
    "bool": "true or false",
    "attribute": "a string, a finite number, true or false",
}

_ATTRIBUTE = "attributes."
_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_EXACT_IN_FLOAT = 2**53  # from here on ranges, which compare floats, confuse neighbours


# --- checking ---------------------------------------------------------


def check(where: Where | None, schema: Schema) -> None:
    """Raise InvalidFilter unless every field is known and every value has its type.

    The context holds `field`, and `expected` (of a wrong value) or `allowed` (of an unknown
    field). The engines answer such filters with nothing and no error. A condition with no part
    set is refused too: an empty any-of could mean everything as well as nothing.
    """
    for field, condition in (where or {}).items():
        _check_condition(field, kind_of(field, schema), condition)


def kind_of(field: str, schema: Schema) -> Kind:
    """Return what a field holds; raise InvalidFilter, naming the allowed ones, if it is unknown."""
    if field.startswith(_ATTRIBUTE) and field != _ATTRIBUTE:
        if '"' in field or "\\" in field or not is_text(field):  # no JSON path can spell these
            raise InvalidFilter(f"the attribute {field!r} cannot be filtered by", field=field)
        return "attribute"
    if field in schema:
        return schema[field]
    allowed = [*sorted(schema), _ATTRIBUTE + "<name>"]
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
    if isinstance(value, int):  # beyond 64 bits the engines silently make it a float
        return kind in ("integer", "float") and -(2**63) <= value < 2**63
    if isinstance(value, float):
        return kind == "float" and math.isfinite(value)
    return kind == "keyword" and isinstance(value, str) and is_text(value)


def is_text(value: str) -> bool:
    """Tell whether a string is Unicode text; a lone surrogate, possible in JSON, is not."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_condition(field: str, kind: Kind, condition: Condition) -> None:
    bounds = _bounds(condition)
    if not (condition.any_of or condition.none_of or bounds):
        raise _invalid(field, "a value, a negated value or a bound", got="none")
    if bounds and kind in ("keyword", "bool"):
        raise _invalid(field, f"{EXPECTED[kind]}, and no range", got="a range")
    for value in (*condition.any_of, *condition.none_of):
        if not accepts(kind, value):
            raise _invalid(field, EXPECTED[kind], got=repr(value))
    for bound in bounds.values():
        if not accepts("float", bound):
            raise _invalid(field, EXPECTED["float"], got=repr(bound))
        if kind == "integer" and abs(bound) > _EXACT_IN_FLOAT:
            raise _invalid(field, "a bound between -2**53 and 2**53", got=repr(bound))


def _bounds(condition: Condition) -> dict[str, float]:
    bounds = {name: getattr(condition, name) for name in ("gte", "gt", "lte", "lt")}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _invalid(field: str, expected: str, *, got: str) -> InvalidFilter:
    message = f"{field} takes {expected}; got {got[:80]}"
    return InvalidFilter(message, field=field, expected=expected)


# --- translating ------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What the two SDKs spell differently; all other class names are the same in both."""

    sdk: Any  # the namespace that holds Filter, FieldCondition, MatchAny, MatchValue
    range: Callable[..., Any]  # takes gte, gt, lte, lt
    has_id: Callable[[Collection[int]], Any]
    is_empty: Callable[[str], Any]  # takes a field
    has_vector: Callable[[str], Any]  # takes a vector's name; ours has the empty one
    boolean: Callable[[bool], Any] = bool  # what MatchValue takes as a boolean


def path(field: str) -> str:
    """Return the JSON path of a field: an attribute's name is quoted, so that it is one key."""
    name = field.removeprefix(_ATTRIBUTE)
    return field if name == field else f'{_ATTRIBUTE}"{name}"'


def translate(
    where: Where | None, schema: Schema, dialect: Dialect, *, exclude: Iterable[int] = ()
) -> Any:
    """Return the SDK's filter for a checked `where` without some ids; None if all points pass."""
    must: list[Any] = []
    must_not: list[Any] = []
    for field, condition in (where or {}).items():
        kind = kind_of(field, schema)
        if condition.any_of:
            must.append(_any(list(_matches(field, kind, condition.any_of, dialect)), dialect))
        if bounds := _tightest(_bounds(condition)):
            must.append(_field(field, dialect, range=dialect.range(**bounds)))
        must_not.extend(_matches(field, kind, condition.none_of, dialect))
    if ids := set(exclude):
        must_not.append(dialect.has_id(ids))
    if not must and not must_not:
        return None
    return dialect.sdk.Filter(must=must, must_not=must_not)


def _tightest(bounds: dict[str, float]) -> dict[str, float]:
    """Keep one bound a side: given both, the engine's float index ignores one of them."""
    kept = dict(bounds)
    if "gt" in kept and "gte" in kept:
        kept.pop("gte" if kept["gt"] >= kept["gte"] else "gt")
    if "lt" in kept and "lte" in kept:
        kept.pop("lte" if kept["lt"] <= kept["lte"] else "lt")
    return kept


def stored(dialect: Dialect, *, ids: Collection[int] = (), **claim: float) -> Any:
    """Return the SDK's filter for points among some ids, whose claim keeps a bound such as `lt`."""
    must = [dialect.has_id(ids)] if ids else []
    if claim:
        must.append(_field(CLAIM, dialect, range=dialect.range(**claim)))
    return dialect.sdk.Filter(must=must)


def foreign(dialect: Dialect) -> Any:
    """Return the SDK's filter for points that cannot be ours: without a claim or a vector."""
    vectorless = dialect.sdk.Filter(must_not=[dialect.has_vector("")])
    return dialect.sdk.Filter(should=[dialect.is_empty(CLAIM), vectorless])


def _any(alternatives: list[Any], dialect: Dialect) -> Any:
    # The planner estimates a plain condition better than one wrapped in a filter of its own.
    return alternatives[0] if len(alternatives) == 1 else dialect.sdk.Filter(should=alternatives)


def _field(field: str, dialect: Dialect, **condition: Any) -> Any:
    return dialect.sdk.FieldCondition(key=path(field), **condition)


def _matches(field: str, kind: Kind, values: Collection[Scalar], dialect: Dialect) -> Iterator[Any]:
    """Yield the conditions of which one is true where the field equals one of the values."""
    spellings = Spellings.of(values) if kind == "attribute" else Spellings.typed(kind, values)
    for group in (spellings.texts, spellings.integers):
        if group:
            yield _field(field, dialect, match=dialect.sdk.MatchAny(any=list(group)))
    for number in spellings.numbers:
        yield _field(field, dialect, range=dialect.range(gte=number, lte=number))
    for value in spellings.booleans:
        operand = dialect.boolean(value)
        yield _field(field, dialect, match=dialect.sdk.MatchValue(value=operand))


@dataclass(frozen=True)
class Spellings:
    """The JSON values that count as equal to one of the values asked for, by JSON type.

    `numbers` are compared as floats, so that 42 also equals 42.0; `integers` exactly.
    """

    texts: tuple[str, ...] = ()
    integers: tuple[int, ...] = ()
    numbers: tuple[float, ...] = ()
    booleans: tuple[bool, ...] = ()

    @classmethod
    def typed(cls, kind: Kind, values: Collection[Any]) -> Spellings:
        """Return values of a typed field: they are stored in that type only."""
        group = _distinct(values)
        if kind == "keyword":
            return cls(texts=group)
        if kind == "integer":
            return cls(integers=group)
        return cls(numbers=group) if kind == "float" else cls(booleans=group)

    @classmethod
    def of(cls, values: Iterable[Scalar]) -> Spellings:
        """Return all spellings of an attribute's values."""
        given = list(values)
        meant = [_meaning(value) for value in given]
        numbers = [it for it in meant if not isinstance(it, bool | str)]
        large = [it for it in numbers if isinstance(it, int) and abs(it) >= _EXACT_IN_FLOAT]
        return cls(
            texts=_distinct(map(_text, given)),
            integers=_distinct(large),
            numbers=_distinct(it for it in numbers if it not in large),
            booleans=_distinct(it for it in meant if isinstance(it, bool)),
        )


def _distinct(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _meaning(value: Scalar) -> Scalar:
    """Return the boolean or number that a text spells in JSON, or the value itself."""
    if not isinstance(value, str):
        return value
    if value in ("true", "false"):
        return value == "true"
    if not _JSON_NUMBER.fullmatch(value):
        return value
    number = float(value) if set(value) & set(".eE") else int(value)
    return number if accepts("float", number) else value  # too large to be stored as a number
