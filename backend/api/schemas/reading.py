"""What a request may say, read name by name; what nobody asked for is refused.

Readers collect everything wrong and raise it at once in `finish`; until then a wrong value reads
as its default.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, Final, Never

from flask import request
from werkzeug.datastructures import MultiDict

from backend.api.problems import Fault, Problem, invalid, pointer
from backend.api.schemas import filters, pages
from backend.api.schemas.filters import FilterReader
from backend.catalogue.products import SKU
from backend.filters import Schema, Where

MOST_WORDS: Final = 1000


class Reader(ABC):
    """The parameters of one request."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._left = dict(given)
        self._allowed: list[str] = []
        self.faults: list[Fault] = []

    @abstractmethod
    def place(self, name: str) -> dict[str, str]:
        """Say where a name stands, as a Fault does."""

    def refuse(self, name: str, detail: str, *, code: str = "invalid-value") -> None:
        """Note that something is wrong with a parameter."""
        self.faults.append(Fault(code=code, detail=detail, **self.place(name)))

    def take(self, name: str) -> Any:
        """Return what was given under a name that is allowed, or None."""
        self._allowed.append(name)
        return self._left.pop(name, None)

    def finish(self) -> None:
        """Raise a Problem if anything was wrong, or given without being asked for."""
        for name in self._left:
            detail = f"there is no such parameter; allowed: {', '.join(self._allowed) or 'none'}"
            self.refuse(name, detail, code="unknown-parameter")
        if self.faults:
            raise invalid(self.faults)

    @abstractmethod
    def number(self, name: str, *, least: float, most: float) -> float | None:
        """Return a finite number in a range."""

    @abstractmethod
    def integer(self, name: str, *, default: int, least: int, most: int) -> int:
        """Return a whole number in a range."""

    @abstractmethod
    def words(self, name: str) -> list[str]:
        """Return a list of strings, empty if absent."""

    @abstractmethod
    def where(self, schema: Schema) -> Where:
        """Return the filter. To be called last: it takes every name that filters."""

    def words_among(self, name: str, allowed: Collection[str]) -> list[str]:
        """Return a list of strings of which each is allowed."""
        found = self.words(name)
        if unknown := [word for word in found if word not in allowed]:
            self.refuse(name, f"{', '.join(unknown)[:200]}: allowed are {', '.join(allowed)}")
        return found

    def skus(self, name: str) -> list[str]:
        """Return a list of skus."""
        found = self.words(name)
        if not all(map(SKU.fullmatch, found)):
            self.refuse(name, "holds what is no sku: 1 to 128 of A-Z a-z 0-9 . _ : -")
        return found

    def _in_range(self, name: str, value: float, least: float, most: float) -> bool:
        inside = least <= value <= most
        if not inside:
            self.refuse(name, f"must lie between {least:g} and {most:g}")
        return inside


class QueryReader(Reader):
    """A query string, or the text fields of a form."""

    def __init__(self, given: MultiDict[str, str]) -> None:
        # A part of a form may come without a name, which is then None.
        super().__init__({name or "": given.getlist(name) for name in given})
        for name, texts in list(self._left.items()):
            if "\0" in name or any("\0" in text for text in texts):
                self.refuse(name, "holds a NUL character")
                del self._left[name]

    @classmethod
    def of_request(cls) -> QueryReader:
        """Return the reader of this request's query string."""
        return cls(request.args)

    def place(self, name: str) -> dict[str, str]:
        """Name the parameter."""
        return {"parameter": name}

    def text(self, name: str) -> str | None:
        """Return a text that may be given once."""
        texts = self.take(name)
        if texts and len(texts) > 1:
            self.refuse(name, "may be given once")
        return texts[0] if texts else None

    def number(self, name: str, *, least: float, most: float) -> float | None:
        """Return a finite number in a range."""
        text = self.text(name)
        try:
            value = None if text is None else filters.number(text)
        except ValueError as error:
            self.refuse(name, str(error))
            return None
        return value if value is not None and self._in_range(name, value, least, most) else None

    def integer(self, name: str, *, default: int, least: int, most: int) -> int:
        """Return a whole number in a range."""
        text = self.text(name)
        try:
            value = default if text is None else filters.integer(text)
        except ValueError as error:
            self.refuse(name, str(error))
            return default
        return value if self._in_range(name, value, least, most) else default

    def words(self, name: str) -> list[str]:
        """Return what stands between commas, in one parameter or several."""
        found = [word for text in self.take(name) or () for word in filters.split(text)]
        if "" in found or len(found) > MOST_WORDS:
            self.refuse(name, f"takes 1 to {MOST_WORDS} words between commas, none of them empty")
            return []
        return found

    def cursor(self, collection: str) -> int:
        """Return the id that the list goes on behind."""
        text = self.text("cursor")
        try:
            return pages.position(text, collection) if text is not None else 0
        except ValueError as error:
            self.refuse("cursor", str(error), code="invalid-cursor")
            return 0

    def where(self, schema: Schema) -> Where:
        """Return the filter: parameters, and JSON under the name `filter`."""
        reader = FilterReader(schema)
        if (text := self.text("filter")) is not None:
            reader.read_json(self._json("filter", text), parameter="filter")
        self._allowed += filters.names(schema)
        for name in [name for name in self._left if filters.target(name, schema)]:
            reader.read_parameter(name, self._left.pop(name))
        self.faults += reader.faults
        return reader.where

    def _json(self, name: str, text: str) -> Any:
        try:
            return parse_json(text)
        except ValueError as error:
            self.refuse(name, f"is not JSON: {error}")
            return {}


class BodyReader(Reader):
    """The members of a JSON body, with JSON's types."""

    def place(self, name: str) -> dict[str, str]:
        """Point at the member."""
        return {"pointer": pointer(name)}

    def sku(self, name: str) -> str:
        """Return one sku, which must be given."""
        value = self.take(name)
        if not isinstance(value, str) or not SKU.fullmatch(value):
            self.refuse(name, "must be a string of 1 to 128 of A-Z a-z 0-9 . _ : -")
        return str(value)

    def text(self, name: str) -> str | None:
        """Return a string, or None if absent."""
        value = self.take(name)
        if value is not None and (not isinstance(value, str) or "\0" in value):
            self.refuse(name, "must be a string")
            return None
        return value

    def flag(self, name: str) -> bool:
        """Return true or false, which is what absent means."""
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            self.refuse(name, "must be true or false")
        return value is True

    def integers(self, name: str) -> dict[str, int]:
        """Return an object of whole numbers, empty if absent; those that are null are left out."""
        value = self.take(name)
        given = value.items() if isinstance(value, dict) else ()
        found = {key: number for key, number in given if number is not None}
        is_right = all(type(number) is int for number in found.values())
        if value is not None and not (isinstance(value, dict) and is_right):
            self.refuse(name, "must be an object of whole numbers")
            return {}
        return found

    def items(self, name: str) -> list[Any]:
        """Return a list, which must be given."""
        value = self.take(name)
        if not isinstance(value, list):
            self.refuse(name, "must be given, as a list")
            return []
        return value

    def number(self, name: str, *, least: float, most: float) -> float | None:
        """Return a number in a range."""
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(name, "must be a number")
            return None
        return value if self._in_range(name, value, least, most) else None

    def integer(self, name: str, *, default: int, least: int, most: int) -> int:
        """Return a whole number in a range."""
        value = self.take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(name, "must be a whole number")
            return default
        return value if self._in_range(name, value, least, most) else default

    def words(self, name: str) -> list[str]:
        """Return a list of strings."""
        value = self.take(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            self.refuse(name, "must be a list of strings")
            return []
        return value

    def where(self, schema: Schema) -> Where:
        """Return the filter under the name `filter`."""
        reader = FilterReader(schema)
        if (given := self.take("filter")) is not None:
            reader.read_json(given, at=pointer("filter"))
        self.faults += reader.faults
        return reader.where


def json_body() -> dict[str, Any]:
    """Return this request's body, a JSON object.

    Ends the request with 415 without a JSON content type, 400 for what is not JSON, and 422 for
    JSON that is no object.
    """
    if not request.is_json:
        got = request.mimetype or "nothing"
        detail = f"the content type must be application/json; got {got}"
        raise Problem(415, "unsupported-media-type", detail)
    try:
        body = parse_json(request.get_data(cache=False))
    except ValueError as error:
        raise Problem(400, "malformed-json", f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise invalid([Fault(code="invalid-value", detail="must be a JSON object", pointer="")])
    return body


def parse_json(text: str | bytes) -> Any:
    """Parse JSON as RFC 8259 has it, without Python's NaN; raises ValueError."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is no JSON value")
