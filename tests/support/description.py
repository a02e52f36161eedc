"""Reading an OpenAPI document."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


def resolve(described: Json, part: Json) -> Json:
    """Follow a reference within the document."""
    while "$ref" in part:
        keys = part["$ref"].removeprefix("#/").split("/")
        part = functools.reduce(lambda found, key: found[key], keys, described)
    return part


def operations_of(described: Json) -> Iterator[tuple[str, Json]]:
    """Each operation, with its method and path as its name."""
    for path, item in described["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation
