"""How models of requests are described."""

from __future__ import annotations

from typing import Any


def without_defaults(schema: dict[str, Any]) -> None:
    """Take the defaults out of a model's schema.

    A client that is generated with them would send each one, also in a PATCH, or show it where an
    answer says nothing.
    """
    for member in schema.get("properties", {}).values():
        member.pop("default", None)
