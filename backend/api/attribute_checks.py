"""Filters by an attribute that no product has, where the request asks to be told of them."""

from __future__ import annotations

from typing import Final

from flask import Flask, current_app

from backend.api.schemas.problem import ProblemFault
from backend.catalogue.attribute_names import AttributeNames
from backend.filters import OPEN_PREFIX, Where

NAMES: Final = "lookalike.attribute_names"
"""Where an app keeps the names: `app.extensions[NAMES]`."""


def register_attribute_names(app: Flask, names: AttributeNames) -> None:
    """Let the requests of an app ask which attributes there are."""
    app.extensions[NAMES] = names


def unknown_attributes(where: Where) -> list[ProblemFault]:
    """Return a fault for each attribute in a filter that no product has, with the nearest names."""
    names: AttributeNames = current_app.extensions[NAMES]
    given = [it.removeprefix(OPEN_PREFIX) for it in where if it.startswith(OPEN_PREFIX)]
    return [_fault(name, names.nearest(name)) for name in given if not names.has(name)]


def _fault(name: str, nearest: list[str]) -> ProblemFault:
    meant = f"; did you mean {' or '.join(OPEN_PREFIX + it for it in nearest)}?" if nearest else ""
    detail = f"no product has this attribute{meant}"
    return ProblemFault(code="unknown-attribute", detail=detail, parameter=OPEN_PREFIX + name)
