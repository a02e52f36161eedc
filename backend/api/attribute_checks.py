"""Filters by an attribute that no product has, such as a misspelt one: refused, or said."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from flask import Flask, current_app

from backend.api.context import services
from backend.api.problems import invalid_request, pointer
from backend.api.schemas.problem import ProblemFault
from backend.catalogue.attribute_names import AttributeNames
from backend.filters import OPEN_PREFIX, Condition, Where

NAMES: Final = "lookalike.attribute_names"
"""Where an app keeps the names: `app.extensions[NAMES]`."""


def register_attribute_names(app: Flask, names: AttributeNames) -> None:
    """Let the requests of an app ask which attributes there are."""
    app.extensions[NAMES] = names


def attributes_in(where: Where) -> list[str]:
    """Return the names of the attributes that a filter looks at."""
    return [it.removeprefix(OPEN_PREFIX) for it in where if it.startswith(OPEN_PREFIX)]


def are_checked() -> bool:
    """Tell whether filters are checked unless a request says otherwise."""
    return services().settings.check_attributes


def check_filter(where: Where) -> None:
    """Raise RequestError for attributes in a body's filter that no product has, if checked."""
    if are_checked() and (faults := unknown_attributes(where)):
        raise invalid_request([_in_body(it) for it in faults])


def unknown_attributes(where: Where) -> list[ProblemFault]:
    """Return a fault for each attribute in a filter that no product has, with the nearest names."""
    names = _names()
    return [_fault(it, names.nearest(it)) for it in attributes_in(where) if not names.has(it)]


def said_of_attributes(where: Where, *, is_short: bool) -> dict[str, Any]:
    """Return what the `meta` of a list says of such attributes.

    Of a list that is full only those are looked at that the filter merely excludes values of: the
    list says by itself that something passes the others.
    """
    if not attributes_in(where):
        return {}
    asked = where if is_short else {it: each for it, each in where.items() if _excludes(each)}
    given = attributes_in(asked)
    if not given:
        return {}
    names = _names()
    unknown = [it for it in given if not names.has(it, is_urgent=False)]
    found = [
        {"attribute": OPEN_PREFIX + it, "nearest": _with_prefix(names.nearest(it))}
        for it in unknown
    ]
    return {"unknown_attributes": found} if found else {}


def with_unknown_attributes(
    page: dict[str, Any], where: Where, *, is_short: bool
) -> dict[str, Any]:
    """Return a page, with a `meta` that names such attributes if there are some."""
    said = said_of_attributes(where, is_short=is_short)
    return page | {"meta": said} if said else page


def _excludes(condition: Condition) -> bool:
    """Tell whether a condition does nothing but exclude values."""
    return condition == Condition(none_of=condition.none_of)


def _names() -> AttributeNames:
    found: AttributeNames = current_app.extensions[NAMES]
    return found


def _with_prefix(names: Iterable[str]) -> list[str]:
    return [OPEN_PREFIX + it for it in names]


def _in_body(fault: ProblemFault) -> ProblemFault:
    place = pointer("filter", fault.parameter or "")
    return ProblemFault(code=fault.code, detail=fault.detail, pointer=place)


def _fault(name: str, nearest: list[str]) -> ProblemFault:
    meant = f"; did you mean {' or '.join(_with_prefix(nearest))}?" if nearest else ""
    detail = f"no product has this attribute{meant}"
    return ProblemFault(code="unknown-attribute", detail=detail, parameter=OPEN_PREFIX + name)
