"""The filters of the grid: the values of each field, how many products have each, and the chosen.

Counts are disjunctive: a field's own choice does not change its counts, so that a second colour can
be added to the first. They are kept for half a minute, since many visitors
see the same ones, and to count a large catalogue takes longer than all else on the page.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import current_app, request

from backend.api import facets
from backend.api.context import filterable
from backend.api.schemas.filters import split_words
from backend.filters import OPEN_PREFIX, Condition, Where
from backend.web.asking import escaped, same_url

HIDDEN: Final = ("currency",)
STOCK: Final = "in_stock"
PRICE: Final = "price"
MOST_VALUES: Final = 40
SHOWN_AT_ONCE: Final = 7
SECONDS: Final = 30.0
MOST_KEPT: Final = 200

KEPT: Final = "lookalike.facet_counts"
"""Where an app keeps the counts: `app.extensions[KEPT]`, by filter."""

LABELS: Final = {
    "master_category": "Department",
    "sub_category": "Category",
    "article_type": "Type",
    "base_colour": "Colour",
    "in_stock": "Availability",
    "group_id": "Variants of",
}


@dataclass(frozen=True)
class Value:
    """A value of a field, how many products have it, and whether it is chosen."""

    text: str
    parameter: str
    count: int
    is_chosen: bool


@dataclass(frozen=True)
class FieldValues:
    """A field with its values: those that are shown at once, and the others."""

    field: str
    label: str
    first: list[Value]
    others: list[Value]


@dataclass(frozen=True)
class ActiveFilter:
    """A part of the filter, and the address of the page without it."""

    text: str
    without: str


def label_of(field: str) -> str:
    """Return the name of a field for people."""
    plain = field.removeprefix(OPEN_PREFIX).replace("_", " ")
    return LABELS.get(field, plain[:1].upper() + plain[1:])


def text_of(field: str, value: Any) -> str:
    """Return a value of a field for people."""
    if field == "in_stock":
        return "In stock" if value else "Sold out"
    return ("Yes" if value else "No") if isinstance(value, bool) else str(value)


def read_facets(where: Where) -> list[FieldValues]:
    """Return the fields by which this list can be narrowed; raises NoGeneration."""
    found = [_facet(item, where.get(item["field"])) for item in _counts(_fields(), where)]
    return [it for it in found if len(it.first) > 1 or any(value.is_chosen for value in it.first)]


def read_total(where: Where) -> int | None:
    """Return how many products pass a filter; None where the kept counts do not tell."""
    condition = where.get(STOCK)
    if condition is not None and condition != Condition(any_of=condition.any_of):
        return None
    [found] = [it["values"] for it in _counts(_fields(), where) if it["field"] == STOCK]
    allowed = condition.any_of if condition else (True, False)
    return sum(int(it["count"]) for it in found if it["value"] in allowed)


def has_prices() -> bool:
    """Tell whether any product has a price; raises NoGeneration."""
    [found] = _counts([STOCK], {PRICE: Condition(gte=0)})
    return bool(found["values"])


def _fields() -> list[str]:
    return [
        field
        for field, kind in filterable().items()
        if kind in facets.COUNTED and field not in (*facets.ONLY_IF_NAMED, *HIDDEN)
    ]


def read_chosen(where: Where) -> list[ActiveFilter]:
    """Return the parts of the filter of this request."""
    found = []
    for field, condition in where.items():
        for value in condition.any_of:
            text = text_of(field, value)
            if field == "group_id":
                text = f"{label_of(field)} {text}"
            found.append(ActiveFilter(text, _without(field, value)))
        if _is_more(condition):
            names = [name for name in request.args if _belongs(name, field)]
            text = f"{label_of(field)}: {_bounds(condition)}"
            found.append(ActiveFilter(text, same_url(without=names)))
    return found


def read_kept(shown: Sequence[FieldValues], *, but: Sequence[str]) -> list[tuple[str, str]]:
    """Return the parameters of this request that no checkbox of the filters stands for.

    `but` are those that another field of the form stands for.
    """
    boxes = {
        facet.field: {value.parameter for value in (*facet.first, *facet.others)} for facet in shown
    }
    kept = []
    for name, text in request.args.items(multi=True):
        if name in boxes:
            kept += [(name, it) for it in _values([text]) if it not in boxes[name]]
        elif name not in ("cursor", *but) and text.strip():
            kept.append((name, text))
    return kept


def _values(texts: Sequence[str]) -> list[str]:
    """Return single values as parameters, of texts that may hold several between commas."""
    return [escaped(value) for text in texts for value in split_words(text) if value]


def _counts(fields: Sequence[str], where: Where) -> list[dict[str, Any]]:
    kept: dict[str, tuple[float, list[dict[str, Any]]]] = current_app.extensions[KEPT]
    key, now = repr((sorted(where.items()), fields)), time.monotonic()
    at, items = kept.get(key, (now - SECONDS, []))
    if at > now - SECONDS:
        return items
    items, _ = facets.count(fields, where, limit=MOST_VALUES, is_disjunctive=True)
    if len(kept) >= MOST_KEPT:
        kept.clear()
    kept[key] = (now, items)
    return items


def _facet(item: dict[str, Any], condition: Condition | None) -> FieldValues:
    field = item["field"]
    chosen = set(map(escaped, condition.any_of)) if condition else set()
    values = [
        Value(
            text=text_of(field, it["value"]),
            parameter=escaped(it["value"]),
            count=it["count"],
            is_chosen=escaped(it["value"]) in chosen,
        )
        for it in item["values"]
    ]
    if field == "year":
        values.sort(key=lambda it: it.text, reverse=True)
    values.sort(key=lambda it: not it.is_chosen)
    return FieldValues(field, label_of(field), values[:SHOWN_AT_ONCE], values[SHOWN_AT_ONCE:])


def _without(field: str, value: Any) -> str:
    """Return the address without one value; a filter that came as JSON is dropped as a whole."""
    given = _values(request.args.getlist(field))
    left = [it for it in given if it != escaped(value)]
    dropped = [field] if len(left) < len(given) else [field, "filter"]
    return same_url(without=dropped, also={field: ",".join(left)} if left else None)


def _is_more(condition: Condition) -> bool:
    bounds = (condition.gte, condition.gt, condition.lte, condition.lt)
    return bool(condition.none_of) or any(it is not None for it in bounds)


def _bounds(condition: Condition) -> str:
    parts = [f"not {value}" for value in condition.none_of]
    signs = ("from", "above", "to", "below")
    bounds = (condition.gte, condition.gt, condition.lte, condition.lt)
    named = zip(signs, bounds, strict=True)
    return " ".join([*parts, *(f"{sign} {it:g}" for sign, it in named if it is not None)])


def _belongs(name: str, field: str) -> bool:
    return name == "filter" or name.startswith(f"{field}_")
