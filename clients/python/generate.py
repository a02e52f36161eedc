"""Writes lookalike_client/operations.py, a method for each operation of the API.

`python generate.py http://localhost:8000/openapi.json`, or the path of a file.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

TARGET = Path(__file__).parent / "lookalike_client" / "operations.py"
WIDTH = 100
METHODS = ("get", "put", "post", "patch", "delete")
HEADERS = {"If-Match": "if_match", "If-None-Match": "if_none_match"}
HEAD = '''"""A method for each operation of the API, by its operation id. Written by generate.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from lookalike_client.requests import Fields, Request, filled

Sent = TypeVar("Sent")
"""What sending a request returns: an answer, or what is awaited for it."""


class Operations(Generic[Sent]):
    """All operations that are answered with JSON. `query` are parameters of the query string."""

    def __init__(self, send: Callable[[Request], Sent]) -> None:
        self._send = send

    def _ask(
        self,
        method: str,
        path: str,
        *names: object,
        query: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Sent:
        return self._send(Request(method, filled(path, names), params=query or {}, **options))
'''


def written(described: Any) -> str:
    """Return the module for an OpenAPI document."""
    methods = [
        _method(described, name, path, operation)
        for path, item in described["paths"].items()
        for name, operation in item.items()
        if name in METHODS and _answers_json(operation)
    ]
    return HEAD + "".join(f"\n{it}" for it in sorted(methods))


def _answers_json(operation: Any) -> bool:
    good = [it for status, it in operation["responses"].items() if status.startswith("2")]
    contents = [set(it.get("content", {})) for it in good]
    return all(not it or "application/json" in it for it in contents)


def _method(described: Any, method: str, path: str, operation: Any) -> str:
    parameters = [_resolved(described, it) for it in operation.get("parameters", ())]
    names = re.findall(r"{(\w+)}", path)
    types = {it["name"]: it["schema"].get("type") for it in parameters}
    takes = [f"{it}: {'int' if types.get(it) == 'integer' else 'str'}" for it in names]
    passed = [f'"{method.upper()}"', f'"{re.sub(r"{(.+?)}", "{}", path)}"', *names]
    for taken, given in _body(described, operation):
        takes += [taken] if taken else []
        passed.append(given)
    is_write = method != "get"  # nobody who reads here keeps what was read before
    headers = [HEADERS[it["name"]] for it in parameters if is_write and it["name"] in HEADERS]
    takes += ["*"] if headers else []
    for name in headers:
        takes.append(f"{name}: str | None = None")
        passed.append(f"{name}={name}")
    if any(it["in"] == "query" for it in parameters):
        takes.append("**query: Any")
        passed.append("query=query")
    name = re.sub("([A-Z])", lambda it: f"_{it[1].lower()}", operation["operationId"])
    summary = operation["summary"].partition(";")[0].rstrip(".")
    head = _laid_out(f"    def {name}(", ["self", *takes], ") -> Sent:")
    call = _laid_out("        return self._ask(", passed, ")")
    return f'{head}\n        """{summary}."""\n{call}\n'


def _body(described: Any, operation: Any) -> Iterator[tuple[str, str]]:
    """Yield what a method takes for its body, and passes on."""
    body = _resolved(described, operation.get("requestBody", {}))
    content, required = body.get("content", {}), body.get("required", False)
    if "application/json" in content:
        yield ("body: Fields" if required else "body: Fields | None = None"), "json=body"
    elif content:
        yield "content: bytes", "content=content"
        if (kind := next(iter(content))) != "application/octet-stream":
            yield "", f'content_type="{kind}"'


def _resolved(described: Any, it: Any) -> Any:
    while "$ref" in it:
        found = described
        for part in it["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        it = found
    return it


def _laid_out(head: str, parts: Sequence[str], tail: str) -> str:
    """Return a call as ruff formats it."""
    if len(one := f"{head}{', '.join(parts)}{tail}") <= WIDTH:
        return one
    margin = " " * (len(head) - len(head.lstrip()))
    inner = f"{margin}    {', '.join(parts)}"
    if len(inner) <= WIDTH:
        return f"{head}\n{inner}\n{margin}{tail}"
    lines = "".join(f"{margin}    {it},\n" for it in parts)
    return f"{head}\n{lines}{margin}{tail}"


def main(source: str) -> None:
    """Read a description and write the module."""
    if re.match("https?:", source):
        described = httpx.get(source, timeout=30).raise_for_status().json()
    else:
        described = json.loads(Path(source).read_text("utf-8"))
    TARGET.write_text(written(described), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["http://localhost:8000/openapi.json"])
