"""A checked filter -> the filter of qdrant-edge or qdrant-client."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from backend.filters import OPEN_PREFIX, Scalar, Schema, Where
from backend.filters.check import Kind, bounds_of, kind_of
from backend.filters.spellings import FLOATS, Spellings, float_token
from backend.vectors import CLAIM, SLOT


@dataclass(frozen=True, kw_only=True)
class SdkFilters:
    """The classes of a filter in one SDK: those that differ, and the module with the others."""

    types: Any  # the module that holds Filter, FieldCondition, MatchAny, MatchValue
    range: Callable[..., Any]  # takes gte, gt, lte, lt
    has_id: Callable[[Collection[int]], Any]
    is_empty: Callable[[str], Any]  # takes a field
    has_vector: Callable[[str], Any]  # takes a vector's name; ours has the empty one
    boolean: Callable[[bool], Any] = bool  # what MatchValue takes as a boolean


FEW: Final = 8
"""Up to so many numbers, each is a condition of its own on an open attribute.

More are compared as texts and integers. That takes the texts of `FLOATS`, which a point lacks until
it is written by this version.
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
        if condition.any_of:
            must.append(_any(list(matches(field, kind, condition.any_of, sdk)), sdk))
        if bounds := _tightest(bounds_of(condition)):
            must.append(_field(field, sdk, range=sdk.range(**bounds)))
        must_not.extend(matches(field, kind, condition.none_of, sdk))
    if ids := set(exclude):
        must_not.append(sdk.has_id(ids))
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


def matches(field: str, kind: Kind, values: Collection[Scalar], sdk: SdkFilters) -> Iterator[Any]:
    """Yield conditions, at least one of which is true where the field equals one of the values.

    Their number does not grow with that of the values, except on an indexed field of floats.
    """
    it = Spellings.for_kind(kind, values)
    whole = it.integers
    if kind == "attribute" and len(it.numbers) > FEW:
        tokens = [float_token(number) for number in it.numbers]
        yield _any_of(f"{FLOATS}.{_quoted(field)}", tokens, sdk)
        whole += tuple(int(each) for each in it.numbers if _is_integer(each))
    else:
        for number in it.numbers:
            yield _field(field, sdk, range=sdk.range(gte=number, lte=number))
    for group in (it.texts, whole):
        if group:
            yield _any_of(path(field), group, sdk)
    for value in it.booleans:
        operand = sdk.boolean(value)
        yield _field(field, sdk, match=sdk.types.MatchValue(value=operand))


def _is_integer(number: float) -> bool:
    return abs(number) < 2**63 and number == int(number)


def _any_of(key: str, values: Sequence[str | int], sdk: SdkFilters) -> Any:
    return sdk.types.FieldCondition(key=key, match=sdk.types.MatchAny(any=list(values)))
