r"""The filter grammar: `gender=Women,Men&base_colour_not=Red&year_gte=2012`, or the same as JSON.

In a query string commas and repetition mean any-of; a backslash escapes a comma, or a backslash.
`_not _gte _gt _lte _lt` after a field's name ask for none-of and for ranges. In JSON a field holds
a value, a list of values, or an object with the same five words.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

from pydantic import ConfigDict, Field, PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from backend.api.problems import pointer
from backend.api.schemas.document import BodyLimits, Document
from backend.api.schemas.problem import ProblemFault
from backend.catalogue.request_schema import without_defaults
from backend.errors import FilterTooLarge, InvalidFilter
from backend.filters import OPEN_PREFIX, Condition, Scalar, Schema, Where
from backend.filters.budget import Budget
from backend.filters.check import EXPECTED, Kind, check, kind_of

WORDS: Final[Mapping[str, str]] = {"not": "none_of"} | {w: w for w in ("gte", "gt", "lte", "lt")}
"""The words of a condition, and the part of `Condition` that each one sets."""

LISTS: Final = ("any_of", "none_of")
INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def split_words(text: str) -> list[str]:
    r"""Split at commas: `a\,b,c` is `a,b` and `c`."""
    words = [""]
    for piece in re.findall(r"\\[\\,]|.", text, re.DOTALL):
        if piece == ",":
            words.append("")
        else:
            words[-1] += piece[-1]  # the second character of an escape
    return words


def parameter_names(schema: Schema) -> list[str]:
    """List the parameters that filter, for a sentence about what is allowed."""
    found = [name for field in schema for name in (field, *_suffixed(field, schema[field]))]
    return [*found, OPEN_PREFIX + "<name>"]


def _suffixed(field: str, kind: Kind) -> list[str]:
    words = WORDS if kind in ("integer", "float", "attribute") else ("not",)
    return [f"{field}_{word}" for word in words]


def target_of(name: str, schema: Schema) -> tuple[str, str] | None:
    """Return the field that a parameter filters by and the part of the condition that it sets.

    `attributes.fit_not` negates `attributes.fit`, unless a facet has the whole name. An attribute
    whose name ends like that can be used in JSON.
    """
    if name in schema:
        return name, "any_of"
    field, _, word = name.rpartition("_")
    if word in WORDS and (field in schema or _is_open(field)):
        return field, WORDS[word]
    return (name, "any_of") if _is_open(name) else None


def _is_open(name: str) -> bool:
    return name.startswith(OPEN_PREFIX) and name != OPEN_PREFIX


class FilterReader:
    """Collects conditions from parameters and from JSON, and what is wrong with them.

    Beyond the budget nothing more is read: that is one fault, which names the limit.
    """

    def __init__(self, schema: Schema) -> None:
        self.faults: list[ProblemFault] = []
        self._schema = schema
        self._budget = Budget()
        self._is_too_large = False
        self._parts: dict[str, dict[str, Any]] = {}

    @property
    def where(self) -> Where:
        """The valid conditions."""
        return {field: Condition(**parts) for field, parts in self._parts.items()}

    def read_parameter(self, name: str, texts: Sequence[str]) -> None:
        """Read one parameter of a query string; `target_of` must know it."""
        if not self._may_spend([name, *texts], parameter=name):
            return
        field, part = target_of(name, self._schema) or (name, "any_of")
        try:
            kind = kind_of(field, self._schema)
            words = [word for text in texts for word in split_words(text)]
            value = _values(words, kind) if part in LISTS else _bound(words)
        except (InvalidFilter, ValueError) as error:
            self._refuse(str(error), parameter=name)
        else:
            self._add(field, part, value, parameter=name)

    def read_json(self, given: Any, *, at: str = "", parameter: str | None = None) -> None:
        """Read a filter in JSON; `at` is the pointer to it, in a body or in a parameter."""
        place = {"parameter": parameter} if parameter else {}
        if not self._may_spend([json.dumps(given, ensure_ascii=False)], pointer=at, **place):
            return
        if not isinstance(given, dict):
            self._refuse("must be an object of fields", pointer=at, **place)
            return
        for field, value in given.items():
            here = {"pointer": at + pointer(field), **place}
            for part, wanted in self._parts_of(value, here):
                self._add(field, part, wanted, **here)

    def _parts_of(self, value: Any, here: Mapping[str, str]) -> Iterable[tuple[str, Any]]:
        if not isinstance(value, dict):
            return [("any_of", _listed(value))]
        value = {word: it for word, it in value.items() if it is not None or word not in WORDS}
        if not value or not value.keys() <= WORDS.keys():
            self._refuse(f"takes a value, a list, or an object of {', '.join(WORDS)}", **here)
        return [
            (part, _listed(value[word]) if part in LISTS else value[word])
            for word, part in WORDS.items()
            if word in value
        ]

    def _add(self, field: str, part: str, value: Any, **place: str) -> None:
        if part in self._parts.get(field, {}):
            self._refuse("the same condition is given twice", **place)
            return
        if self._is_too_large:
            return
        try:
            self._budget.spend_clause(len(value) if part in LISTS else 0)
            check({field: Condition(**{part: value})}, self._schema)
        except FilterTooLarge as error:
            self._refuse_size(error, **place)
        except (InvalidFilter, ValueError) as error:
            self._refuse(str(error), **place)
        else:
            self._parts.setdefault(field, {})[part] = value

    def _may_spend(self, texts: Iterable[str], **place: str) -> bool:
        """Count the bytes of some texts; return whether they are within the budget."""
        if self._is_too_large:
            return False
        try:
            self._budget.spend_bytes(sum(len(it.encode(errors="surrogatepass")) for it in texts))
        except FilterTooLarge as error:
            self._refuse_size(error, **place)
        return not self._is_too_large

    def _refuse_size(self, error: FilterTooLarge, **place: str) -> None:
        self._is_too_large = True
        self.faults.append(ProblemFault(code=error.code, detail=error.message, **place))

    def _refuse(self, detail: str, **place: str) -> None:
        self.faults.append(ProblemFault(code="invalid-filter", detail=detail, **place))


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


# --- the filter in a JSON body ---------------------------------------------------------------


class Bound(Document):
    """A negation or a range. A member of null counts as absent."""

    model_config = ConfigDict(json_schema_extra=without_defaults)

    none_of: Scalar | list[Scalar] | None = Field(None, alias="not")
    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None


def _read_filter(given: Any, info: ValidationInfo[BodyLimits]) -> Where:
    """Check a filter of a JSON body, with the same rules and errors as one in a query string."""
    reader = FilterReader(info.context.filterable)
    reader.read_json(given, at=pointer(info.field_name or ""))
    if reader.faults:
        raise PydanticCustomError("filter", "wrong filter", {"faults": reader.faults})
    return reader.where


Filter: TypeAlias = Annotated[
    Where,
    PlainValidator(_read_filter, json_schema_input_type=dict[str, Scalar | list[Scalar] | Bound]),
]


# --- words of a query string -----------------------------------------------------------------


def _values(words: Sequence[str], kind: Kind) -> tuple[Scalar, ...]:
    return tuple(_READ[kind](word) for word in words)


def _bound(words: Sequence[str]) -> float:
    if len(words) != 1:
        raise ValueError("takes one number")
    return read_number(words[0])


def _text(word: str) -> str:
    if not word:
        raise ValueError("takes a value; it is empty")
    return word


def read_integer(word: str) -> int:
    """Read a whole number; raises ValueError for anything but digits, such as "1_0"."""
    if not INTEGER.fullmatch(word):
        raise ValueError(f"takes {EXPECTED['integer']}; got {word[:80]!r}")
    return int(word)


def read_number(word: str) -> float:
    """Read a finite number in the notation of JSON; raises ValueError."""
    if not NUMBER.fullmatch(word) or not math.isfinite(float(word)):
        raise ValueError(f"takes {EXPECTED['float']}; got {word[:80]!r}")
    return float(word)


def _flag(word: str) -> bool:
    if word not in ("true", "false"):
        raise ValueError(f"takes {EXPECTED['bool']}; got {word[:80]!r}")
    return word == "true"


_READ: Final[Mapping[Kind, Callable[[str], Scalar]]] = {
    "keyword": _text,
    "integer": read_integer,
    "float": read_number,
    "bool": _flag,
    "attribute": _text,
}
