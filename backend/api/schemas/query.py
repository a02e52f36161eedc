"""Read the parameters of query strings and forms, name by name; other names are refused.

The reader collects all faults; `finish` raises them together. A wrong value is read as its default.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import unquote_plus, unquote_to_bytes

from flask import request
from werkzeug.datastructures import MultiDict

from backend.api.attribute_checks import are_checked, unknown_attributes
from backend.api.problems import invalid_request
from backend.api.schemas import filters, pages
from backend.api.schemas.body import parse_json
from backend.api.schemas.filters import FilterReader
from backend.api.schemas.problem import ProblemFault
from backend.catalogue import skus
from backend.filters import Schema, Where

Choice = TypeVar("Choice", bound=str)

MOST_WORDS: Final = 1000
ID: Final = re.compile("[0-9]{1,18}")


def read_id(text: str) -> int | None:
    """Return the id that a path ends with, None unless every database can hold it."""
    return int(text) if ID.fullmatch(text) else None


def _not_utf8(query: bytes) -> Iterator[str]:
    """Yield the names of the parameters whose values are no UTF-8."""
    for part in query.split(b"&") if b"%" in query else ():
        name, _, value = part.partition(b"=")
        try:
            unquote_to_bytes(value).decode()
        except UnicodeDecodeError:
            yield unquote_plus(name.decode("latin1"))


class QueryReader:
    """The parameters of one request, from its query string or the text fields of its form."""

    def __init__(self, given: MultiDict[str, str]) -> None:
        # A part of a form may come without a name, which is then None.
        self._left = {name or "": given.getlist(name) for name in given}
        self._allowed: list[str] = []
        self.faults: list[ProblemFault] = []
        self.checks_attributes = False
        for name, texts in list(self._left.items()):
            if "\0" in name or any("\0" in text for text in texts):
                self.refuse(name, "holds a NUL character")
                del self._left[name]

    @classmethod
    def of_request(cls) -> QueryReader:
        """Return the reader of this request's query string.

        What is not UTF-8 is refused: in another encoding it would be compared as another text.
        """
        reader = cls(request.args)
        for name in _not_utf8(request.query_string):
            reader.refuse(name, "is not UTF-8")
            reader._left.pop(name, None)
        return reader

    @property
    def names(self) -> set[str]:
        """The parameters that were given, and have not been read yet."""
        return set(self._left)

    def refuse(self, name: str, detail: str, *, code: str = "invalid-value") -> None:
        """Note that something is wrong with a parameter."""
        self.faults.append(ProblemFault(code=code, detail=detail, parameter=name))

    def take(self, name: str) -> list[str] | None:
        """Return what was given under a name that is allowed, or None."""
        self._allowed.append(name)
        return self._left.pop(name, None)

    def finish(self) -> None:
        """Raise RequestError if anything was wrong, or a parameter was not read."""
        for name in self._left:
            detail = f"there is no such parameter; allowed: {', '.join(self._allowed) or 'none'}"
            self.refuse(name, detail, code="unknown-parameter")
        if self.faults:
            raise invalid_request(self.faults)

    def text(self, name: str) -> str | None:
        """Return a text that may be given once."""
        texts = self.take(name)
        if texts and len(texts) > 1:
            self.refuse(name, "may be given once")
        return texts[0] if texts else None

    def number(self, name: str, *, least: float, most: float, advice: str = "") -> float | None:
        """Return a finite number in a range; what is no number is refused with the advice."""
        text = self.text(name)
        try:
            value = None if text is None else filters.read_number(text)
        except ValueError as error:
            self.refuse(name, f"{error}{advice}")
            return None
        return value if value is not None and self._in_range(name, value, least, most) else None

    def integer(self, name: str, *, default: int, least: int, most: int) -> int:
        """Return a whole number in a range."""
        found = self.integer_or_none(name, least=least, most=most)
        return default if found is None else found

    def integer_or_none(self, name: str, *, least: int, most: int) -> int | None:
        """Return a whole number in a range, None if it is absent."""
        text = self.text(name)
        try:
            value = None if text is None else filters.read_integer(text)
        except ValueError as error:
            self.refuse(name, str(error))
            return None
        return value if value is not None and self._in_range(name, value, least, most) else None

    def choice(self, name: str, allowed: Sequence[Choice], *, default: Choice) -> Choice:
        """Return one of the allowed words."""
        found = self.choice_or_none(name, allowed)
        return default if found is None else found

    def choice_or_none(self, name: str, allowed: Sequence[Choice]) -> Choice | None:
        """Return one of the allowed words, None if it is absent."""
        text = self.text(name)
        if text is None:
            return None
        if text not in allowed:
            self.refuse(name, f"{text[:200]}: allowed are {', '.join(allowed)}")
            return None
        return allowed[[str(it) for it in allowed].index(text)]

    def flag(self, name: str) -> bool:
        """Return whether `true` is given; absent counts as `false`."""
        text = self.text(name)
        if text not in (None, "true", "false"):
            self.refuse(name, "must be true or false")
        return text == "true"

    def words(self, name: str) -> list[str]:
        """Return what stands between commas, in one parameter or several."""
        found = [word for text in self.take(name) or () for word in filters.split_words(text)]
        if "" in found or len(found) > MOST_WORDS:
            self.refuse(name, f"takes 1 to {MOST_WORDS} words between commas, none of them empty")
            return []
        return found

    def words_among(self, name: str, allowed: Collection[str]) -> list[str]:
        """Return a list of strings of which each is allowed."""
        found = self.words(name)
        if unknown := [word for word in found if word not in allowed]:
            self.refuse(name, f"{', '.join(unknown)[:200]}: allowed are {', '.join(allowed)}")
        return found

    def skus(self, name: str) -> list[str]:
        """Return a list of skus."""
        found = list(map(skus.normalise, self.words(name)))
        if not all(map(skus.is_sku, found)):
            self.refuse(name, f"takes skus; each {skus.RULE}")
        return found

    def cursor(self, collection: str) -> int:
        """Return the id after which the page starts, 0 for the first page."""
        text = self.text("cursor")
        try:
            return pages.read_cursor(text, collection) if text is not None else 0
        except ValueError as error:
            self.refuse("cursor", str(error), code="invalid-cursor")
            return 0

    def name_cursor(self, collection: str) -> str:
        """Return the same as `cursor` of a list whose ids are texts, empty for the first page."""
        text = self.text("cursor")
        try:
            return pages.read_name_cursor(text, collection) if text is not None else ""
        except ValueError as error:
            self.refuse("cursor", str(error), code="invalid-cursor")
            return ""

    def where(self, schema: Schema) -> Where:
        """Return the filter: parameters, and JSON under the name `filter`.

        Call it last: it reads every parameter whose name is that of a filter.
        """
        asked = self.choice_or_none("check_attributes", ("true", "false"))
        checks = are_checked() if asked is None else asked == "true"
        reader = FilterReader(schema)
        if (text := self.text("filter")) is not None:
            reader.read_json(self._json("filter", text), parameter="filter")
        self._allowed += filters.parameter_names(schema)
        for name in [name for name in self._left if filters.target_of(name, schema)]:
            reader.read_parameter(name, self._left.pop(name))
        self.faults += reader.faults
        if checks:
            self.check_attributes(reader.where)
        self.checks_attributes = checks
        return reader.where

    def check_attributes(self, where: Where) -> None:
        """Note each attribute in a filter that no product has."""
        self.faults += unknown_attributes(where)

    def _json(self, name: str, text: str) -> Any:
        try:
            return parse_json(text)
        except ValueError as error:
            self.refuse(name, f"is not JSON: {error}")
            return {}

    def _in_range(self, name: str, value: float, least: float, most: float) -> bool:
        inside = least <= value <= most
        if not inside:
            self.refuse(name, f"must lie between {least:g} and {most:g}")
        return inside
