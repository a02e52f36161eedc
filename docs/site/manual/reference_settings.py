"""The reference of all settings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from backend.settings import Settings
from backend.variables import PREFIX
from manual.tables import row

HEAD: Final = """\
# Settings

A setting is an environment variable, or a line in a file `.env` in the working directory. The
variable wins. Without any setting, everything runs in one process, without servers.

"""
_SECTION: Final = re.compile(r"\s*# --- (.+) ---$")
_FIELD: Final = re.compile(r"    ([a-z][a-z0-9_]*):")


def page() -> str:
    """Return the page: one table for each section of `Settings`, in its order."""
    return HEAD + "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    for line in inspect.getsource(Settings).splitlines():
        if heading := _SECTION.match(line):
            title = heading[1][0].upper() + heading[1][1:]
            yield f"\n## {title}\n\n| variable | meaning | default | values |\n|---|---|---|---|"
        elif (field := _FIELD.match(line)) and field[1] in Settings.model_fields:
            yield _row(field[1], Settings.model_fields[field[1]])


def _row(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    names = alias.choices if isinstance(alias, AliasChoices) else [alias or PREFIX + name.upper()]
    former = f" Former name: `{names[1]}`." if len(names) > 1 else ""
    meaning = (field.description or "") + former
    cells = (f"`{names[0]}`", meaning, _default(field.default), _values(field))
    return row(*cells)


def _values(field: FieldInfo) -> str:
    schema: dict[str, Any] = Settings.model_json_schema(by_alias=False)["properties"]
    return _type(schema[_name_of(field)])


def _name_of(field: FieldInfo) -> str:
    return next(name for name, other in Settings.model_fields.items() if other is field)


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return _type(next(it for it in schema["anyOf"] if it.get("type") != "null"))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{it}`" for it in schema.get("enum", [schema.get("const")]))
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[it]:,}" for it, sign in signs.items() if it in schema]
    kinds = {"integer": "whole number", "number": "number", "boolean": "true, false"}
    kind = kinds.get(schema["type"], "list" if schema["type"] == "array" else "text")
    return ", ".join([kind, *bounds])


def _default(value: object) -> str:
    match value:
        case None:
            return "absent"
        case ():
            return "empty"
        case bool():
            return f"`{str(value).lower()}`"
        case int():
            return f"`{value}`"
        case _:
            return f"`{value}`"
