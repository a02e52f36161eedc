"""The types of settings whose text has a form of its own: how it is read, and what it may be."""

from __future__ import annotations

import json
import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")
DEVICE: Final = re.compile(r"auto|(cpu|cuda|mps)(:[0-9]{1,3})?")
DATABASES: Final = ("postgresql", "postgres:", "sqlite")
"""How the URL of a database begins that the code works with."""


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return tuple(name for part in value.split(",") if (name := part.strip()))
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('must be names as a,b or as JSON: ["a", "b"]') from None


def _check_database(value: str | None) -> str | None:
    if value and not value.startswith(DATABASES):
        raise ValueError("must begin with postgresql:// or sqlite:///")
    return value


def _check_device(value: str) -> str:
    if not DEVICE.fullmatch(value):
        raise ValueError("must be auto, cpu, cuda, a GPU such as cuda:1, or mps")
    return value


def _check_qdrant(value: str | None) -> str | None:
    urls = [url.strip().lower() for url in (value or "").split(",")]
    schemes = [url.partition("://")[0] for url in urls if "://" in url]
    if not set(schemes) <= {"http", "https"}:
        raise ValueError("must be such as http://qdrant:6333, by http or https")
    return value


def _check_origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        if not ORIGIN.fullmatch(origin):
            raise ValueError("must be origins such as https://shop.example, without a path")
    return value


def _check_rate(value: str | None) -> str | None:
    """Refuse now what `limits` would refuse when the app is made."""
    from limits import parse_many  # noqa: PLC0415

    try:
        parse_many("1/second" if value is None else value)
    except ValueError:
        raise ValueError("must be such as 50/second or 1000/minute;20000/hour") from None
    return value


Names: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A list in one variable: `a,b` or `["a", "b"]`."""
Origins: TypeAlias = Annotated[Names, AfterValidator(_check_origins)]
"""Such a list of origins of web pages."""
DatabaseUrl: TypeAlias = Annotated[str | None, AfterValidator(_check_database)]
QdrantUrl: TypeAlias = Annotated[str | None, AfterValidator(_check_qdrant)]
"""The addresses of the nodes, separated by commas. A bare name is a host, as among containers."""
Device: TypeAlias = Annotated[str, AfterValidator(_check_device)]
Rate: TypeAlias = Annotated[str, AfterValidator(_check_rate)]
"""How many requests in which time; several limits are separated by semicolons."""
MaybeRate: TypeAlias = Annotated[str | None, AfterValidator(_check_rate)]
