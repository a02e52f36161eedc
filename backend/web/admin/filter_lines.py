r"""Filters as people write them in a form: the parameters of an address, one a line.

`gender=Women,Men` and `price_lte=50` are two lines. The address of a filtered gallery is taken as
well, and JSON, which has to be used for attributes whose names end like a word of the grammar.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from backend.api.problems import RequestError, invalid_request
from backend.api.schemas.body import parse_json
from backend.api.schemas.filters import LISTS, WORDS, FilterReader, target_of
from backend.api.schemas.problem import ProblemFault
from backend.filters import Condition, Schema, Where
from backend.web.asking import SHOPPER, escaped

_OF_THE_PAGE: Final = (SHOPPER, "q", "by", "cursor")
"""Parameters of the gallery that filter nothing."""

_EITHER: Final = "name values, or what they must not be and a range, not both"

_NAMES: Final = {part: word for word, part in WORDS.items()}


def read_filter(text: str, schema: Schema, *, named: str) -> dict[str, Any]:
    """Return the filter in a form as JSON; `named` is the field of the form, for its faults.

    Raises RequestError, which says what is wrong.
    """
    text = text.strip()
    if text.startswith("{"):
        return _read_json(text, named)
    reader = FilterReader(schema)
    for name, texts in _grouped(_pairs(text, named)).items():
        if target_of(name, schema) is None:
            detail = f"there is no field {name!r}; there are: {', '.join(schema)}"
            reader.faults.append(_fault(named, detail))
        else:
            reader.read_parameter(name, texts)
    faults = [_fault(named, _said(it)) for it in reader.faults]
    faults += [_fault(named, f"{it}: {_EITHER}") for it in _mixed(reader.where)]
    if faults:
        raise invalid_request(faults)
    return {field: _as_json(it) for field, it in reader.where.items()}


def write_filter(given: Any, schema: Schema) -> str:
    """Return a stored filter as lines, or as JSON where lines would not say the same."""
    if not given:
        return ""
    plain = json.dumps(given, ensure_ascii=False)
    if not isinstance(given, Mapping):
        return plain
    reader = FilterReader(schema)
    reader.read_json(dict(given))
    lines = [it for field, condition in reader.where.items() for it in _lines(field, condition)]
    shown = "\n".join(lines)
    return plain if reader.faults or _where_of(shown, schema) != reader.where else shown


def _where_of(text: str, schema: Schema) -> Where | None:
    """Return what lines say; None if they cannot be read."""
    again = FilterReader(schema)
    try:
        again.read_json(read_filter(text, schema, named="filter"))
    except RequestError:
        return None
    return None if again.faults else again.where


def _lines(field: str, condition: Condition) -> Iterable[str]:
    for part in (*LISTS, "gte", "gt", "lte", "lt"):
        value = getattr(condition, part)
        name = field if part == "any_of" else f"{field}_{_NAMES[part]}"
        if part in LISTS and value:
            yield f"{name}={','.join(map(escaped, value))}"
        elif part not in LISTS and value is not None:
            yield f"{name}={value:.15g}"


def _read_json(text: str, named: str) -> dict[str, Any]:
    try:
        found = parse_json(text)
    except ValueError as error:
        raise invalid_request([_fault(named, f"this is not JSON: {error}")]) from None
    return dict(found)  # it begins with a brace


def _pairs(text: str, named: str) -> list[tuple[str, str]]:
    """Return names and values of an address or of lines."""
    if text.startswith(("/", "?")) or "://" in text.partition("=")[0]:
        query = parse_qsl(urlsplit(text).query, keep_blank_values=False)
        return [(name, value) for name, value in query if name not in _OF_THE_PAGE]
    pairs = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, sign, value = line.partition("=")
        if not sign:
            raise invalid_request([_fault(named, f"write field=value in each line; got {line!r}")])
        pairs.append((name.strip(), value.strip()))
    return pairs


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _mixed(where: Where) -> list[str]:
    """Return the fields with values and with words, which the JSON of the API cannot say."""
    return [field for field, it in where.items() if it.any_of and it != Condition(any_of=it.any_of)]


def _as_json(condition: Condition) -> Any:
    """Return a condition as the JSON of the API has it."""
    words: dict[str, Any] = {
        word: list(value) if part in LISTS else value
        for part, word in _NAMES.items()
        if (value := getattr(condition, part)) not in (None, ())
    }
    if not words:
        return list(condition.any_of)
    return words


def _fault(named: str, detail: str) -> ProblemFault:
    return ProblemFault(code="invalid-filter", detail=detail, parameter=named)


def _said(fault: ProblemFault) -> str:
    return f"{fault.parameter}: {fault.detail}" if fault.parameter else fault.detail
