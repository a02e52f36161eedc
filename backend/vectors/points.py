"""Checks of what goes into an engine, and conversion of what comes out.

The engines store NaN and zero vectors without an error, apply part of a batch before they refuse a
bad point, and never find a payload value of another type than its index.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from operator import attrgetter
from typing import Any, Final, TypeVar

import numpy as np

from backend.errors import InvalidProduct, InvalidVector, LookalikeError
from backend.filters import Scalar, Schema
from backend.filters.check import EXPECTED, accepts, is_text
from backend.filters.tokens import TOKENS, tokens_of
from backend.vectors import CLAIM, NO_PAYLOAD, Hit, Point, StoredPoint, Vector

BATCH = 256
"""Points per call. Larger batches are no faster, and the embedded engine holds the GIL longer."""

T = TypeVar("T")


# --- in ---------------------------------------------------------------


def unit_vector(vector: Vector, size: int) -> Vector:
    """Return a vector scaled to length 1, (size,) float32.

    Raises InvalidVector when it does not have `size` dimensions, is not finite or all zeros.
    """
    wide = np.asarray(vector, dtype=np.float64)  # squares of float32 overflow and vanish
    if wide.shape != (size,):
        raise InvalidVector(f"the vector has shape {wide.shape} instead of ({size},)")
    length = math.sqrt(wide.dot(wide))  # as `np.linalg.norm`, which takes longer
    if not math.isfinite(length) and not np.isfinite(wide).all():
        raise InvalidVector("the vector is not finite")
    if length == 0:
        raise InvalidVector("the vector is all zeros")
    return (wide / length).astype(np.float32)


def check_points(
    points: Sequence[Point], *, size: int, schema: Schema, tokens: bool = False
) -> list[Point]:
    """Return points ready to be stored: vectors of length 1, the claim in the payload, no id twice.

    With `tokens` the payload also gets those of its open attributes. Of points with the same id the
    newest claim stays, and the first among equals. Raises InvalidVector, then InvalidProduct, with
    `context["ids"]`, before anything is stored.
    """
    vectors = _each(points, lambda point: unit_vector(point.vector, size), InvalidVector)
    _each(points, lambda point: check_payload(point.payload, schema), InvalidProduct)
    newest: dict[int, Point] = {}
    for point, vector in zip(points, vectors, strict=True):
        if point.id not in newest or newest[point.id].claim < point.claim:
            payload = {**with_tokens(point.payload, tokens=tokens), CLAIM: point.claim}
            newest[point.id] = replace(point, vector=vector, payload=payload)
    return list(newest.values())


def with_tokens(payload: Mapping[str, Any], *, tokens: bool) -> Mapping[str, Any]:
    """Return a payload, or fields to be merged into one, with the tokens of its attributes.

    Without `tokens`, or without attributes, nothing is added.
    """
    if not tokens or "attributes" not in payload:
        return payload
    return {**payload, TOKENS: tokens_of(payload["attributes"] or {})}


def check_patch(payload: Mapping[str, Any], schema: Schema) -> None:
    """Raise InvalidProduct unless the fields can be merged into a payload; the claim cannot."""
    if CLAIM in payload:
        raise InvalidProduct("a claim is only written with its vector")
    check_payload(payload, schema)


def check_payload(payload: Mapping[str, Any], schema: Schema) -> None:
    """Raise InvalidProduct for what an engine would refuse, change or never find."""
    errors = [{"field": field, "reason": reason} for field, reason in _problems(payload, schema)]
    if errors:
        message = "; ".join(f"{error['field']} {error['reason']}" for error in errors)
        raise InvalidProduct(message, errors=errors)


def check_examples(
    positives: Sequence[Vector], negatives: Sequence[Vector], size: int
) -> tuple[list[Any], list[Any]]:
    """Return both kinds of examples as lists of floats; InvalidVector without a positive one."""
    if not len(positives):
        raise InvalidVector("a recommendation needs a positive example")
    return (
        [unit_vector(vector, size).tolist() for vector in positives],
        [unit_vector(vector, size).tolist() for vector in negatives],
    )


def batches_by_claim(
    items: Iterable[T], claim: Callable[[T], int], *, most: int = BATCH
) -> Iterator[tuple[int, list[T]]]:
    """Yield (claim, items) in batches, lowest claim first: a write's condition names one claim."""
    groups: defaultdict[int, list[T]] = defaultdict(list)
    for item in items:
        groups[claim(item)].append(item)
    for number, group in sorted(groups.items()):
        for start in range(0, len(group), most):
            yield number, group[start : start + most]


def _each(
    points: Sequence[Point], check: Callable[[Point], T], refusal: type[LookalikeError]
) -> list[T]:
    """Return the check's results; if it refuses points, raise one error that names them all."""
    results: list[T] = []
    refused: dict[int, LookalikeError] = {}
    for point in points:
        try:
            results.append(check(point))
        except refusal as error:
            refused[point.id] = error
    if refused:
        number, first = next(iter(refused.items()))
        others = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        message = f"point {number}: {first.message}{others}"
        raise refusal(message, **{**first.context, "ids": list(refused)})
    return results


def _problems(payload: Mapping[str, Any], schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield (field, reason) of what an engine would refuse, change or never find."""
    for field, value in payload.items():
        kind = schema.get(field)
        if kind and (value is None or accepts(kind, value)):
            continue
        if not _is_json(value):
            yield field, "is not JSON with 64-bit integers, finite numbers and Unicode text"
        elif kind:
            yield field, f"is not {EXPECTED[kind]}"


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_text(key) for key in value) and all(
            map(_is_json, value.values())
        )
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    if isinstance(value, str):
        return is_text(value)
    return value is None or isinstance(value, bool) or accepts("float", value)


# --- out --------------------------------------------------------------


def without_claim(payload: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a stored payload as it was written, without the claim and the tokens."""
    return {field: value for field, value in (payload or {}).items() if field not in _OURS}


def as_hits(found: Iterable[Any], *, payloads: bool = True) -> list[Hit]:
    """Convert what an engine found; payloads only where they were asked for."""
    made = tuple.__new__  # a named tuple's own takes a call of Python for each
    if not payloads:
        them = list(found)
        scores = map(attrgetter("score"), them)
        parts = zip(map(int, map(attrgetter("id"), them)), scores, repeat(NO_PAYLOAD))
        return list(map(made, repeat(Hit), parts))
    return [
        made(Hit, (int(it.id), it.score, without_claim(it.payload) if it.payload else NO_PAYLOAD))
        for it in found
    ]


def stored_points(found: Iterable[Any], *, tokens: bool = False) -> list[StoredPoint]:
    """Convert what an engine retrieved, except points without a claim, which we did not write.

    With `tokens`, a payload whose tokens are not those of its attributes keeps them, so that a
    comparison with the product finds the difference: a process of an older release wrote it.
    """
    return [
        StoredPoint(
            id=int(it.id),
            claim=it.payload[CLAIM],
            payload=_as_written(it.payload, tokens=tokens),
            vector=np.asarray(it.vector, dtype=np.float32) if it.vector else None,
        )
        for it in found
        if isinstance((it.payload or {}).get(CLAIM), int)
    ]


def _as_written(payload: Mapping[str, Any], *, tokens: bool) -> dict[str, Any]:
    written = without_claim(payload)
    stored = payload.get(TOKENS)
    if stored != with_tokens(written, tokens=tokens).get(TOKENS):
        written[TOKENS] = stored
    return written


_OURS: Final = (CLAIM, TOKENS)
"""Fields that an adapter adds to a payload."""


def sort_counts(counts: Iterable[tuple[Scalar, int]]) -> list[tuple[Scalar, int]]:
    """Return counts, largest first, equal ones by value, without those of 0 that engines list."""
    present = [(value, count) for value, count in counts if count]
    return sorted(present, key=lambda pair: (-pair[1], str(pair[0])))


def float32_threshold(min_score: float | None) -> float | None:
    """Return the engine's bound for "at least `min_score`": it wants more than its bound.

    Scores are float32, so that is the next smaller one.
    """
    if min_score is None:
        return None
    nearest = np.float32(min_score)
    below = float(nearest) < min_score
    return float(nearest if below else np.nextafter(nearest, np.float32(-math.inf)))


def cosine_of_best_score(score: float) -> float:
    """Return the cosine to the closest positive example behind a best-score in (0, 1).

    Qdrant maps the cosine x to s = (1 + x / (1 + |x|)) / 2, and a point that is closer to a
    negative example to less than 0 (lib/segment, `reco_query.rs`).
    """
    y = 2 * score - 1
    return y / (1 - abs(y))
