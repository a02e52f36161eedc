"""A checked filter -> the filter of either SDK: qdrant-edge's and qdrant-client's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from backend.filters import OPEN_PREFIX, Scalar, Schema, Where
from backend.filters.check import Kind, bounds_of, kind_of
from backend.filters.spellings import Spellings
from backend.vectors import CLAIM


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
    name = field.removeprefix(OPEN_PREFIX)
    return field if name == field else f'{OPEN_PREFIX}"{name}"'


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
        if bounds := _tightest(bounds_of(condition)):
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


def points_with_claim(dialect: Dialect, *, ids: Collection[int] = (), **claim: float) -> Any:
    """Return the SDK's filter for points among some ids, whose claim keeps a bound such as `lt`."""
    must = [dialect.has_id(ids)] if ids else []
    if claim:
        must.append(_field(CLAIM, dialect, range=dialect.range(**claim)))
    return dialect.sdk.Filter(must=must)


def points_without_claim(dialect: Dialect) -> Any:
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
