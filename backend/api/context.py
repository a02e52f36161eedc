"""The services of the app that answers a request."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, TypeVar

from flask import Flask, Request, request
from flask.globals import _cv_app, _cv_request
from sqlalchemy.orm import Session

from backend.bootstrap import Services
from backend.filters import Schema
from backend.indexing import schema

T = TypeVar("T")

SERVICES: Final = "lookalike"
"""Where an app keeps its services: `app.extensions[SERVICES]`."""

IN_LOOP: Final = "lookalike.in_loop"
"""A member of a request's environment: all connections wait for it, since no thread answers it."""


def services() -> Services:
    """Return the services of the app that answers this request."""
    found: Services = _cv_app.get().app.extensions[SERVICES]
    return found


def this_request() -> Request:
    """Return this request itself: each look at an attribute of Flask's proxy takes three calls."""
    return _cv_request.get().request


def request_notes() -> Any:
    """Return what is noted of this request, Flask's `g`, in the same way."""
    return _cv_app.get().g


def this_app() -> Flask:
    """Return the app that answers this request, Flask's `current_app`, in the same way."""
    return _cv_app.get().app


def below_root(path: str) -> str:
    """Return a path as clients reach it: behind a proxy there may be a prefix before it."""
    return f"{request.root_path}{path}"


def write_and_notify(work: Callable[[Session], T]) -> T:
    """Run `work(session)` in one transaction; then notify the workers, since work may be due."""
    result = services().db.write(work)
    services().notify()
    return result


def filterable() -> Schema:
    """Return the fields that a shopper can filter by."""
    return _schema(services().settings.facets)


@lru_cache(maxsize=8)
def _schema(facets: tuple[str, ...]) -> Schema:
    return MappingProxyType(schema(facets))
