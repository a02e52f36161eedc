"""The reference of the REST API, from its OpenAPI document."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from manual.tables import row

Json: TypeAlias = dict[str, Any]

HEAD: Final = """\
# Operations

A running server has the same as an OpenAPI 3.1 document at `/openapi.json`, and as a page to try it
at `/docs`. [The API in general](../api.md) says what holds for all operations.

"""
EXAMPLE_LINES: Final = 40
"""A longer example is left out; the OpenAPI document has it."""


def page(document: Json) -> str:
    """Return the page: one section for each operation, grouped by tag."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            groups[tag].append("\n".join(_lines(document, method, path, operation)))
    sections = [f"## {tag[0].upper()}{tag[1:]}\n\n" + "\n".join(it) for tag, it in groups.items()]
    schemas = "\n".join(_schemas(document))
    return HEAD + "\n".join(sections) + f"\n## Objects\n\n{schemas}\n"


def _lines(document: Json, method: str, path: str, operation: Json) -> Iterator[str]:
    yield f"### {operation['operationId']}\n\n`{method.upper()} {path}`\n"
    yield (operation.get("description") or operation.get("summary") or "") + "\n"
    scopes = [scope for way in operation.get("security", []) for it in way.values() for scope in it]
    yield f"Scope of the key: `{scopes[0]}`.\n" if scopes else "No key is needed.\n"
    parameters = [_resolved(document, it) for it in operation.get("parameters", [])]
    if parameters:
        yield "| parameter | in | type | meaning |\n|---|---|---|---|"
        yield from (_parameter(document, it) for it in parameters)
        yield ""
    yield from _body(document, operation)
    yield "| answer | meaning |\n|---|---|"
    for status, answer in sorted(operation["responses"].items()):
        yield _answer(document, status, _resolved(document, answer))
    yield ""


def _parameter(document: Json, parameter: Json) -> str:
    name = f"`{parameter['name']}`" + (" (required)" if parameter.get("required") else "")
    kind = _type(document, parameter.get("schema", {}))
    meaning = parameter.get("description") or parameter.get("schema", {}).get("description", "")
    return row(name, parameter["in"], kind, meaning)


def _body(document: Json, operation: Json) -> Iterator[str]:
    content = operation.get("requestBody", {}).get("content", {})
    for media_type, described in content.items():
        yield f"Body, `{media_type}`: {_type(document, described.get('schema', {}))}\n"
        text = json.dumps(_example(described), indent=2, ensure_ascii=False)
        if text != "null" and text.count("\n") < EXAMPLE_LINES:
            yield f"```json\n{text}\n```\n"


def _example(described: Json) -> Any:
    if "example" in described:
        return described["example"]
    examples = list(described.get("examples", {}).values())
    return examples[0].get("value") if examples else None


def _answer(document: Json, status: str, answer: Json) -> str:
    schemas = [
        _type(document, it["schema"])
        for media_type, it in answer.get("content", {}).items()
        if "schema" in it and media_type != "application/problem+json"
    ]
    phrase = answer.get("description") or HTTPStatus(int(status)).phrase
    return row(f"`{status}`", " ".join([phrase, *schemas]))


def _schemas(document: Json) -> Iterator[str]:
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f"### {name}\n\n{schema.get('description', '')}\n"
        if "enum" in schema:
            yield ", ".join(f"`{it}`" for it in schema["enum"]) + "\n"
        elif schema.get("properties"):
            required = schema.get("required", [])
            yield "| member | type | meaning |\n|---|---|---|"
            for member, it in schema["properties"].items():
                mark = " (required)" if member in required else ""
                yield row(f"`{member}`{mark}", _type(document, it), it.get("description", ""))
            yield ""


def _type(document: Json, schema: Json) -> str:
    """Return a type in words; an object of the document is a link to it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        known = name in document["components"]["schemas"]
        return f"[{name}](#{name.lower()})" if known else name
    if options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return " or ".join(dict.fromkeys(_type(document, it) for it in options))
    if "enum" in schema:
        return ", ".join(f"`{it}`" for it in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind: Any = schema.get("type", "anything")
    if isinstance(kind, list):
        kind = " or ".join(kind)
    if kind == "array":
        return f"array of {_type(document, schema.get('items', {}))}"
    return f"{kind}{_bounds(schema)}"


def _bounds(schema: Json) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {schema[it]}" for it, sign in signs.items() if it in schema]
    if "maxLength" in schema:
        found.append(f"at most {schema['maxLength']} characters")
    return f" ({', '.join(found)})" if found else ""


def _resolved(document: Json, part: Json) -> Json:
    """Return a part, or what its `$ref` names."""
    while "$ref" in part:
        found: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        part = found
    return part
