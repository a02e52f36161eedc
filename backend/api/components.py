"""Parts that operations of the OpenAPI document share: parameters, and answers with a problem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from backend.api import parameters
from backend.api.problem_codes import ProblemCode, all_codes
from backend.api.problems import MEDIA_TYPE
from backend.api.schemas import Json

PROBLEM: Final = "#/components/schemas/Problem"
RESPONSES: Final = "#/components/responses/"
RETRIED: Final = (409, 429, 503)
"""Statuses whose answers may say in `Retry-After` when to try again."""


def share_parameters(spec: dict[str, Any], *, facets: Iterable[str]) -> None:
    """Let operations refer to shared parameters, also to those of the facets."""
    declared = {it["name"]: it for it in parameters.facet_parameters(facets)}
    shared = {name: dict(it) for name, it in {**parameters.SHARED, **declared}.items()}
    spec["components"]["parameters"] = shared
    names = {_identity(it): name for name, it in shared.items()}
    for operations in spec["paths"].values():
        for operation in operations.values():
            given = operation.get("parameters", [])
            if any(it["name"] == parameters.FILTER["name"] for it in given):
                given = [*given, *declared.values()]
            if given:
                operation["parameters"] = [
                    {"$ref": parameters.PLACE + names[_identity(it)]}
                    if _identity(it) in names
                    else it
                    for it in given
                ]


def _identity(parameter: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells parameters apart: some differ in their limit alone."""
    told = (parameter[name] for name in ("name", "in", "description"))
    return (*told, parameter["schema"].get("maximum"))


def problem_reference(status: int) -> Json:
    """Return what stands at an operation for the problems of a status."""
    return {"$ref": f"{RESPONSES}Problem{status}"}


def share_problems(spec: dict[str, Any]) -> None:
    """Describe the problems of each status once, and let all operations refer to it."""
    for operations in spec["paths"].values():
        for operation in operations.values():
            for status in operation["responses"]:
                if status >= "400":
                    operation["responses"][status] = problem_reference(int(status))
    statuses = {it.status for it in all_codes() if it.status is not None}
    spec["components"]["responses"] = {
        f"Problem{status}": _described(status) for status in sorted(statuses)
    }


def _described(status: int) -> Json:
    codes = [it for it in all_codes() if it.status == status]
    examples = {it.code: {"summary": it.meaning, "value": example_of(it)} for it in codes}
    found: Json = {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": PROBLEM}, "examples": examples}},
    }
    if status in RETRIED:
        text = "seconds after which the request may be sent again, where that can help"
        found["headers"] = {"Retry-After": {"description": text, "schema": {"type": "integer"}}}
    return found


def example_of(code: ProblemCode) -> Json:
    """Return a problem document of a code."""
    return {
        "type": f"urn:lookalike:problem:{code.code}",
        "title": code.meaning.rstrip("."),
        "status": code.status,
        "detail": code.meaning,
        "code": code.code,
        "request_id": "4f8a0c2e6d1b4a7f9c3e5d7b8a6f0e12",
    }
