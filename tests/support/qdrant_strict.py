"""What Qdrant's strict mode refuses, for the double of a server in `qdrant_wire`.

It follows `StrictModeVerification` and `unindexed_field.rs` of Qdrant 1.16 (lib/collection/src):
which requests have a limit, an exactness or a filter, and which indexes answer a condition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qdrant_client import grpc as pb
from qdrant_client.models import StrictModeConfig

CLOUD = StrictModeConfig(
    enabled=True, unindexed_filtering_retrieve=False, unindexed_filtering_update=False
)
"""What Qdrant's cloud sets for every collection."""

KEYWORD, INTEGER, FLOAT, BOOL = (
    pb.FieldType.FieldTypeKeyword,
    pb.FieldType.FieldTypeInteger,
    pb.FieldType.FieldTypeFloat,
    pb.FieldType.FieldTypeBool,
)
_UPDATES = (pb.UpsertPoints, pb.DeletePoints, pb.SetPayloadPoints)
_MATCHES = {
    "keyword": KEYWORD,
    "keywords": KEYWORD,
    "except_keywords": KEYWORD,
    "integer": INTEGER,
    "integers": INTEGER,
    "except_integers": INTEGER,
    "boolean": BOOL,
}


def refusal(request: Any, strict: StrictModeConfig | None, indexes: Mapping[str, int]) -> str:
    """Return why a server refuses a request; empty if it does not."""
    if strict is None or not strict.enabled:
        return ""
    return next(filter(None, _refusals(request, strict, indexes)), "")


def _refusals(request: Any, strict: StrictModeConfig, indexes: Mapping[str, int]) -> Iterator[str]:
    if isinstance(request, pb.UpsertPoints):
        yield _above(len(request.points), strict.upsert_max_batchsize, "upsert limit")
    yield _above(_given(request, "limit"), strict.max_query_limit, "limit")
    yield _above(_given(request, "timeout"), strict.max_timeout, "timeout")
    updates = isinstance(request, _UPDATES)
    allowed = strict.unindexed_filtering_update if updates else strict.unindexed_filtering_retrieve
    for given in _filters(request):
        conditions = list(_conditions(given))
        if strict.filter_max_conditions is not None and (
            len(conditions) > strict.filter_max_conditions
        ):
            yield _help(
                f"Filter condition limit reached ({len(conditions)} > "
                f"{strict.filter_max_conditions})",
                "Reduce the amount of conditions of your filter.",
            )
        size = max(map(_size, conditions), default=0)
        if strict.condition_max_size is not None and size > strict.condition_max_size:
            yield _help(
                f"Condition size limit reached ({size} > {strict.condition_max_size})",
                "Reduce the size of your condition.",
            )
        for it in conditions if allowed is False else []:
            yield _unindexed(it, indexes)
    params = _given(request, "params")
    exact = _given(request, "exact") or (params is not None and params.exact)
    if strict.search_allow_exact is False and exact:
        yield _help("Exact search disabled!", "Set exact=false.")
    if params is not None and params.HasField("quantization"):
        found = params.quantization.oversampling
        yield _above(found, strict.search_max_oversampling, "oversampling")


def _given(request: Any, field: str) -> Any:
    known = field in request.DESCRIPTOR.fields_by_name
    return getattr(request, field) if known and request.HasField(field) else None


def _filters(request: Any) -> Iterator[Any]:
    for field in ("filter", "update_filter"):
        if (given := _given(request, field)) is not None:
            yield given
    for field in ("points", "points_selector"):
        selector = getattr(request, field, None)
        if isinstance(selector, pb.PointsSelector) and selector.HasField("filter"):
            yield selector.filter


def _conditions(given: Any) -> Iterator[Any]:
    for it in (*given.must, *given.should, *given.must_not):
        if it.WhichOneof("condition_one_of") == "filter":
            yield from _conditions(it.filter)
        else:
            yield it


def _size(condition: Any) -> int:
    kind = condition.WhichOneof("condition_one_of")
    if kind == "has_id":
        return len(condition.has_id.has_id)
    if kind == "field" and condition.field.HasField("match"):
        match = condition.field.match
        listed = getattr(match, match.WhichOneof("match_value"))
        return len(getattr(listed, "strings", None) or getattr(listed, "integers", [])) or 1
    return 1


def _unindexed(condition: Any, indexes: Mapping[str, int]) -> str:
    kind = condition.WhichOneof("condition_one_of")
    if kind in ("has_id", "has_vector"):
        return ""
    given = getattr(condition, kind)
    needed = _needed(given) if kind == "field" else [KEYWORD, INTEGER, FLOAT, BOOL]
    if indexes.get(given.key) in needed:
        return ""
    names = sorted(pb.FieldType.Name(it).removeprefix("FieldType").lower() for it in needed)
    return _help(
        f'Index required but not found for "{given.key}" of one of the following types: '
        f"[{', '.join(names)}]",
        "Create an index for this key or use a different filter.",
    )


def _needed(field: Any) -> list[int]:
    if field.HasField("match"):
        return [_MATCHES[field.match.WhichOneof("match_value")]]
    return [FLOAT, INTEGER] if field.HasField("range") else []


def _above(value: float | None, limit: float | None, name: str) -> str:
    if value is None or limit is None or value <= limit:
        return ""
    return _help(
        f'Limit exceeded {value} > {limit} for "{name}"',
        f'Reduce the "{name}" parameter to or below {limit}.',
    )


def _help(problem: str, advice: str) -> str:
    return f"{problem}. Help: {advice}"
