"""Which changes of an OpenAPI document break clients of the one before (docs/api.md, Versions).

What a client sends must still be accepted; what it reads must not be more than it was told. Run as
a program, it records the document of the present code: `python tests/support/breaking_changes.py`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

Json: TypeAlias = Mapping[str, Any]

RECORDED: Final = Path(__file__).with_name("released_openapi.json")
_WORDS: Final = ("description", "summary", "title", "example", "examples", "links", "tags")
_LEAST: Final = ("minimum", "minLength", "minItems")
_MOST: Final = ("maximum", "maxLength", "maxItems")
_ANY: Final = ("array", "boolean", "integer", "null", "number", "object", "string")


def essence(part: Any, *, of_names: bool = False) -> Any:
    """Return what clients depend on: the document without its words and examples."""
    if isinstance(part, list):
        return [essence(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        name: essence(value, of_names=name in ("properties", "schemas", "parameters"))
        for name, value in part.items()
        if of_names or name not in _WORDS
    }


class Comparison:
    """Two documents; `changes` yields a sentence for each change that breaks clients."""

    def __init__(self, old: Json, new: Json) -> None:
        self._old, self._new = old, new
        self._seen: set[tuple[str, str, bool]] = set()

    def changes(self) -> Iterator[str]:
        """Compare all operations that the old document has."""
        for path, item in self._old["paths"].items():
            for method, old in item.items():
                name = f"{method.upper()} {path}"
                new = self._new["paths"].get(path, {}).get(method)
                if new is None:
                    yield f"{name}: the operation is removed"
                else:
                    yield from (f"{name}: {it}" for it in self._operation(old, new))

    def _operation(self, old: Json, new: Json) -> Iterator[str]:
        for what in ("operationId", "security"):
            if old.get(what) != new.get(what):
                yield f"{what} is {new.get(what)}, it was {old.get(what)}"
        yield from self._parameters(old, new)
        yield from self._contents(old.get("requestBody", {}), new.get("requestBody", {}), "body")
        for status, answer in old["responses"].items():
            now = new["responses"].get(status)
            if now is None:
                if status < "400":
                    yield f"the status {status} is removed"
                continue
            is_answer = f"the answer {status}"
            yield from self._contents(
                self._resolve(self._old, answer), self._resolve(self._new, now), is_answer
            )
        for status in new["responses"].keys() - old["responses"].keys():
            if status < "400" and status != "304":  # that is only for who sends `If-None-Match`
                yield f"the status {status} is new"

    def _parameters(self, old: Json, new: Json) -> Iterator[str]:
        before = {(it["in"], it["name"]): it for it in self._all(self._old, old)}
        after = {(it["in"], it["name"]): it for it in self._all(self._new, new)}
        for key, parameter in before.items():
            if key not in after:
                yield f"the parameter {key[1]} is removed"
                continue
            if after[key]["required"] and not parameter["required"]:
                yield f"the parameter {key[1]} is required now"
            schemas = parameter["schema"], after[key]["schema"]
            yield from self._schema(*schemas, f"the parameter {key[1]}", sent=True)
        for key in after.keys() - before.keys():
            if after[key]["required"]:
                yield f"the parameter {key[1]} is new and required"

    def _all(self, document: Json, operation: Json) -> Iterator[Json]:
        for parameter in operation.get("parameters", ()):
            yield self._resolve(document, parameter)

    def _contents(self, old: Json, new: Json, what: str) -> Iterator[str]:
        sent = what == "body"
        if sent and new.get("required") and not old.get("required"):
            yield "a body is required now"
        before, after = old.get("content", {}), new.get("content", {})
        for media_type in before.keys() - after.keys():
            yield f"{what}: {media_type} is removed"
        for media_type in before.keys() & after.keys():
            schemas = before[media_type].get("schema", {}), after[media_type].get("schema", {})
            yield from self._schema(*schemas, what, sent=sent)

    def _schema(self, old: Json, new: Json, place: str, *, sent: bool) -> Iterator[str]:
        """Compare two schemas; `sent` by clients: narrower breaks them, otherwise wider does."""
        names = old.get("$ref", ""), new.get("$ref", ""), sent
        if names[0] and names[1]:
            if names in self._seen:
                return
            self._seen.add(names)
        before, after = self._by_type(self._old, old), self._by_type(self._new, new)
        for kind in before.keys() - after.keys():
            if sent and not (kind == "integer" and "number" in after):
                yield f"{place} may not be {kind} any more"
        for kind in after.keys() - before.keys():
            if not sent and not (kind == "integer" and "number" in before):
                yield f"{place} may be {kind} now"
        for kind in before.keys() & after.keys():
            yield from self._same_type(before[kind], after[kind], place, sent=sent)

    def _by_type(self, document: Json, schema: Json) -> dict[str, Json]:
        """Return the alternatives of a schema by type; of several one without values counts."""
        schema = self._resolve(document, schema)
        found: dict[str, Json] = {}
        for choice in schema.get("anyOf", [schema]):
            whole = self._resolve(document, choice)
            if "anyOf" in whole:
                found |= self._by_type(document, whole)
                continue
            kinds = whole.get("type", _ANY)
            for kind in [kinds] if isinstance(kinds, str) else kinds:
                if kind not in found or "enum" in found[kind]:
                    found[kind] = whole
        return found

    def _same_type(self, old: Json, new: Json, place: str, *, sent: bool) -> Iterator[str]:
        narrower, wider = (old, new) if sent else (new, old)
        word = "any more" if sent else "now"
        if "enum" in wider and (gone := _values(narrower) - _values(wider)):
            yield f"{place} {'may not' if sent else 'may'} be {', '.join(sorted(gone))} {word}"
        if "enum" in wider and "enum" not in narrower:
            yield f"{place}: {'only some values are allowed' if sent else 'any value is possible'}"
        for name in (*_LEAST, *_MOST, "pattern", "format") if sent else ():
            if _is_tighter(name, old.get(name), new.get(name)):
                yield f"{place}: {name} is {new[name]}, it was {old.get(name)}"
        if "items" in old and "items" in new:
            yield from self._schema(old["items"], new["items"], f"{place}, items", sent=sent)
        yield from self._members(old, new, place, sent=sent)

    def _members(self, old: Json, new: Json, place: str, *, sent: bool) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in before.keys() - after.keys():
            yield f"{place}: the member {name} is removed"
        required = set(old.get("required", ())), set(new.get("required", ()))
        for name in required[1] - required[0] if sent else required[0] - required[1]:
            yield f"{place}: the member {name} {'is required now' if sent else 'may be absent now'}"
        for name in before.keys() & after.keys():
            yield from self._schema(before[name], after[name], f"{place}, {name}", sent=sent)
        extra = old.get("additionalProperties"), new.get("additionalProperties")
        if isinstance(extra[0], dict) and isinstance(extra[1], dict):
            yield from self._schema(extra[0], extra[1], f"{place}, other members", sent=sent)

    @staticmethod
    def _resolve(document: Json, part: Json) -> Json:
        while "$ref" in part:
            found: Any = document
            for key in part["$ref"].removeprefix("#/").split("/"):
                found = found[key]
            part = found
        return part


def _values(schema: Json) -> set[str]:
    return {str(value) for value in schema.get("enum", ())}


def _is_tighter(name: str, old: Any, new: Any) -> bool:
    if new is None or new == old:
        return False
    if name in _LEAST:
        return old is None or new > old
    if name in _MOST:
        return old is None or new < old
    return True


def describe_present() -> Any:
    """Return the essence of the document of the present code, under the default settings."""
    from backend.api import create_app  # noqa: PLC0415
    from backend.bootstrap import build  # noqa: PLC0415
    from backend.settings import read_settings  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings(_env_file=None, data_dir=Path(folder), embedder="mean-colour")
        services = build(settings)
        try:
            described = create_app(services, locked=True).test_client().get("/openapi.json").json
        finally:
            services.close()
    return essence(described)


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(describe_present(), separators=(",", ":"), sort_keys=True))
