"""What a request works with: the services of its app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from flask import current_app
from sqlalchemy.orm import Session

from backend.bootstrap import Services
from backend.filters import Schema
from backend.indexing import schema

T = TypeVar("T")

KEY: Final = "lookalike"
"""Where an app keeps its services: `app.extensions[KEY]`."""


def services() -> Services:
    """Return the services of the app that answers this request."""
    found: Services = current_app.extensions[KEY]
    return found


def write(work: Callable[[Session], T]) -> T:
    """Run `work(session)` in one transaction; then ring, since it may have made work due."""
    result = services().db.write(work)
    services().notify()
    return result


def filterable() -> Schema:
    """Return the fields that a shopper can filter by."""
    return schema(services().settings.facets)
