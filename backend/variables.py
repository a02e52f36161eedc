"""The environment variables of settings: their names, what is wrong with one, which are unknown."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from typing import Final

import structlog
from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, DotEnvSettingsSource

from backend.validation import reason_of

log = structlog.get_logger(__name__)

PREFIX: Final = "LOOKALIKE_"
NOT_SETTINGS: Final = {"LOOKALIKE_SHARED_DATA"}
"""Variables with our prefix that others read: the tests' folder of real catalogues."""

BOUNDS: Final = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def names(model: type[BaseSettings], field: str) -> list[str]:
    """Return the variables that a setting is read from: the present name first."""
    alias = model.model_fields[field].validation_alias
    if isinstance(alias, AliasChoices):
        return [str(name) for name in alias.choices]
    return [str(alias) if alias else f"{PREFIX}{field.upper()}"]


def describe(model: type[BaseSettings], error: ErrorDetails) -> str:
    """Return `VARIABLE=value must be …`; a value is shown only where it cannot be a secret."""
    if not error["loc"]:  # a combination of several, which the message names
        return reason_of(error)
    place, value = str(error["loc"][0]), error["input"]
    field = next((f for f in model.model_fields if place in (f, *names(model, f))), None)
    if field is None:
        return f"{place} {reason_of(error)}"
    info = model.model_fields[field]
    shown = f"={value!r}" if info.repr and isinstance(value, str | int | float) else ""
    return f"{names(model, field)[0]}{shown} {_allowed(info, error)}"


def _allowed(info: FieldInfo, error: ErrorDetails) -> str:
    """Say what a setting may be; for a number, all of its bounds."""
    bounds = list(_bounds(info))
    if not bounds or error["type"] == "value_error":
        return reason_of(error)
    kind = "a whole number" if info.annotation is int else "a number"
    return f"must be {kind}, {' and '.join(bounds)}"


def _bounds(info: FieldInfo) -> Iterator[str]:
    for constraint in info.metadata:
        for name, words in BOUNDS.items():
            if (bound := getattr(constraint, name, None)) is not None:
                yield f"{words} {bound:g}"


def unknown(
    model: type[BaseSettings], environment: Iterable[str] | None = None
) -> dict[str, str | None]:
    """Return the variables with our prefix that are no settings, each with the nearest setting.

    Looks at the environment and at the `.env` file unless `environment` names others.
    """
    if environment is None:
        environment = (*os.environ, *DotEnvSettingsSource(model).env_vars)
    known = {name for field in model.model_fields for name in names(model, field)}
    others = {name.upper() for name in environment} - known - NOT_SETTINGS
    return {name: _nearest(name, known) for name in sorted(others) if name.startswith(PREFIX)}


def _nearest(name: str, known: Collection[str]) -> str | None:
    """Return the most similar name; the prefix, which they have in common, does not count."""
    short = {other.removeprefix(PREFIX): other for other in sorted(known)}
    found = get_close_matches(name.removeprefix(PREFIX), short, n=1)
    return short[found[0]] if found else None


def warn_about_unknown(model: type[BaseSettings]) -> None:
    """Log a warning for each variable that looks like a setting and is none."""
    for name, nearest in unknown(model).items():
        log.warning("this variable is no setting", variable=name, nearest=nearest)
