"""What was read of query strings before: a shop asks the same of one product after the other."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final, Generic, Protocol, TypeVar

from flask import Flask

from backend.api.attribute_checks import attributes_in
from backend.api.context import this_app, this_request
from backend.api.schemas.placement import is_current
from backend.api.schemas.query import QueryReader
from backend.search.query import Query

T = TypeVar("T")

REMEMBERED: Final = "lookalike.remembered"
"""Where an app keeps what it has read of query strings: what they mean depends on its facets."""

MOST: Final = 512
LONGEST: Final = 2_000
"""Bytes of a query string that is remembered: so all of them take a few megabytes at most."""


class Remembered(Generic[T]):
    """What some query strings mean, by their bytes. Threads may share it.

    Only what the bytes alone decide may be kept, and nobody may change it.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, T] = {}

    def get(self, sent: bytes) -> T | None:
        """Return what is remembered of a query string."""
        return self._known.get(sent)

    def keep(self, sent: bytes, meaning: T) -> None:
        """Remember a query string; where there are too many, forget all others."""
        if len(sent) > LONGEST:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[sent] = meaning


class Asked(Protocol):
    """What a query string asks for."""

    @property
    def query(self) -> Query:
        """The query, with the defaults of its placement."""
        ...

    @property
    def cursor(self) -> str | None:
        """Where the page begins."""
        ...


A = TypeVar("A", bound=Asked)


def register_remembered(app: Flask) -> None:
    """Let an app remember query strings."""
    app.extensions[REMEMBERED] = defaultdict[Any, Remembered[Any]](Remembered)


def recall(kind: type[A]) -> A | None:
    """Return what this request's query string was read as before, None if it has to be read.

    Whether its placement has changed is looked up.
    """
    remembered: Remembered[A] = this_app().extensions[REMEMBERED][kind]
    known = remembered.get(this_request().query_string)
    if known is None:
        return None
    placement = known.query.placement
    return known if placement is None or is_current(placement) else None


def remember(asked: Asked, reader: QueryReader, *, is_general: bool) -> None:
    """Keep what this request's query string was read as; `is_general`: whoever asks.

    Which attributes there are may change, and a page is asked for once.
    """
    is_checked = reader.checks_attributes and bool(attributes_in(asked.query.where))
    if is_general and asked.cursor is None and not is_checked:
        remembered: Remembered[Asked] = this_app().extensions[REMEMBERED][type(asked)]
        remembered.keep(this_request().query_string, asked)
