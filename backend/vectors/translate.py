"""A checked filter -> the filter of qdrant-edge or qdrant-client."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

from backend.filters import OPEN_PREFIX, Scalar, Schema, Where
from backend.filters.check import Kind, bounds_of, kind_of
from backend.filters.spellings import FLOATS, Spellings, float_token
from backend.filters.tokens import TOKENS, range_tokens, value_tokens
from backend.vectors import CLAIM, SLOT

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SdkFilters:
    """The classes of a filter in one SDK: those that differ, and the module with the others."""

    types: Any  # the module that holds Filter, FieldCondition, MatchAny, MatchValue
    range: Callable[..., Any]  # takes gte, gt, lte, lt
    has_id: Callable[[Collection[int]], Any]
    is_empty: Callable[[str], Any]  # takes a field
    has_vector: Callable[[str], Any]  # takes a vector's name; ours has the empty one
    boolean: Callable[[bool], Any] = bool  # what MatchValue takes as a boolean
    tokens: bool = False  # whether points hold the tokens of their open attributes
    most_values: int | None = None  # of one condition


FEW: Final = 8
"""Up to so many numbers, each is a condition of its own on an open attribute.

More are compared as texts and integers, for which a payload repeats its floats as texts (`FLOATS`).
Where points hold tokens, neither is needed.
"""


def path(field: str) -> str:
    """Return the JSON path of a field. An attribute's name is quoted: it may contain a dot."""
    return OPEN_PREFIX + _quoted(field) if field.startswith(OPEN_PREFIX) else field


def _quoted(field: str) -> str:
    return f'"{field.removeprefix(OPEN_PREFIX)}"'


def translate(
    where: Where | None,
    schema: Schema,
    sdk: SdkFilters,
    *,
    exclude: Iterable[int] = (),
    first_only: bool = False,
) -> Any:
    """Return the SDK's filter for a checked `where` without some ids; None if all points pass.

    With `first_only` a product's further points do not pass.
    """
    must: list[Any] = []
    must_not: list[Any] = []
    for field, condition in (where or {}).items():
        kind = kind_of(field, schema)
        equal = partial(matches, field, kind, sdk=sdk, indexed=field in schema)
        if condition.any_of:
            must.append(_any(list(equal(values=condition.any_of)), sdk))
        if bounds := _tightest(bounds_of(condition)):
            must.append(_range(field, kind, bounds, sdk))
        if condition.none_of:
            must_not.extend(equal(values=condition.none_of))
    must_not.extend(sdk.has_id(ids) for ids in _parts(list(dict.fromkeys(exclude)), sdk))
    if first_only:
        must_not.append(_field(SLOT, sdk, range=sdk.range(gte=1)))
    if not must and not must_not:
        return None
    return sdk.types.Filter(must=must, must_not=must_not)


def _tightest(bounds: dict[str, float]) -> dict[str, float]:
    """Keep one bound on each side: of two, the engine's float index ignores one."""
    kept = dict(bounds)
    if "gt" in kept and "gte" in kept:
        kept.pop("gte" if kept["gt"] >= kept["gte"] else "gt")
    if "lt" in kept and "lte" in kept:
        kept.pop("lte" if kept["lt"] <= kept["lte"] else "lt")
    return kept


def points_with_claim(sdk: SdkFilters, *, ids: Collection[int] = (), **claim: float) -> Any:
    """Return the SDK's filter for points with these ids (all by default) and a claim within bounds.

    The bounds are those of a range: `lt`, `lte`, `gt`, `gte`.
    """
    must = [sdk.has_id(ids)] if ids else []
    if claim:
        must.append(_field(CLAIM, sdk, range=sdk.range(**claim)))
    return sdk.types.Filter(must=must)


def points_without_claim(sdk: SdkFilters) -> Any:
    """Return the SDK's filter for points that we did not write: without a claim or a vector."""
    vectorless = sdk.types.Filter(must_not=[sdk.has_vector("")])
    return sdk.types.Filter(should=[sdk.is_empty(CLAIM), vectorless])


def _any(alternatives: list[Any], sdk: SdkFilters) -> Any:
    # The planner estimates a plain condition better than one wrapped in a filter of its own.
    return alternatives[0] if len(alternatives) == 1 else sdk.types.Filter(should=alternatives)


def _field(field: str, sdk: SdkFilters, **condition: Any) -> Any:
    return sdk.types.FieldCondition(key=path(field), **condition)


def matches(
    field: str, kind: Kind, values: Collection[Scalar], sdk: SdkFilters, *, indexed: bool = False
) -> Iterator[Any]:
    """Yield conditions, at least one of which is true where the field equals one of the values.

    Their number does not grow with that of the values, except on an indexed field of floats.
    `indexed` tells whether the field has an index of its own.
    """
    it = Spellings.for_kind(kind, values)
    if kind == "attribute" and sdk.tokens:
        if indexed:  # its index has the texts
            yield from _any_of(path(field), it.texts, sdk)
            it = replace(it, texts=())
        yield from _any_of(TOKENS, value_tokens(field, it), sdk)
        return
    whole = it.integers
    if kind == "attribute" and len(it.numbers) > FEW:
        tokens = [float_token(number) for number in it.numbers]
        yield from _any_of(f"{FLOATS}.{_quoted(field)}", tokens, sdk)
        whole += tuple(int(each) for each in it.numbers if _is_integer(each))
    else:
        for number in it.numbers:
            yield _field(field, sdk, range=sdk.range(gte=number, lte=number))
    for group in (it.texts, whole):
        yield from _any_of(path(field), group, sdk)
    for value in it.booleans:
        operand = sdk.boolean(value)
        yield _field(field, sdk, match=sdk.types.MatchValue(value=operand))


def _is_integer(number: float) -> bool:
    return abs(number) < 2**63 and number == int(number)


def _range(field: str, kind: Kind, bounds: dict[str, float], sdk: SdkFilters) -> Any:
    if kind == "attribute" and sdk.tokens:
        return _any(list(_any_of(TOKENS, range_tokens(field, bounds), sdk)), sdk)
    return _field(field, sdk, range=sdk.range(**bounds))


def _any_of(key: str, values: Sequence[str | int], sdk: SdkFilters) -> Iterator[Any]:
    for some in _parts(values, sdk):
        yield sdk.types.FieldCondition(key=key, match=sdk.types.MatchAny(any=some))


def _parts(values: Sequence[T], sdk: SdkFilters) -> Iterator[list[T]]:
    """Yield the values in as many lists as one condition's limit takes; none of no values."""
    if not values:
        return
    most = sdk.most_values or len(values)
    for start in range(0, len(values), most):
        yield list(values[start : start + most])
