"""The reference of problem codes."""

from __future__ import annotations

from http import HTTPStatus
from itertools import groupby
from typing import Any, Final

from backend.api.problem_codes import FAULTS, ProblemCode, all_codes

HEAD: Final = """\
# Problem codes

Every error of the API is an `application/problem+json` document with a `code`.
[Errors](../errors.md) explains its members. A program should act on the code. It should treat a
code that it does not know by its status.

"""
WITHOUT_STATUS: Final = (
    "No request is answered with these: a command ends with exit code 1, or a job has the code in "
    "its `error`."
)
ADVICE: Final = {
    409: "The request does not fit the present state; read the state first.",
    422: "The request is wrong as it is. Sending it again does not help.",
    429: "Wait for as long as `Retry-After` says.",
    503: "Something is missing for the moment. Wait for as long as `Retry-After` says, then retry.",
    507: "A disk is full. Reading goes on.",
}


def page(document: dict[str, Any]) -> str:
    """Return the page: the codes of each status, and which operations may answer it."""
    sections = [
        _section(status, list(codes), document)
        for status, codes in groupby(all_codes(), key=lambda code: code.status)
    ]
    faults = "\n".join(f"| `{code}` | {meaning} |" for code, meaning in FAULTS.items())
    table = f"## Faults in `errors`\n\n| code | meaning |\n|---|---|\n{faults}\n"
    return HEAD + "\n".join([*sections, table])


def _section(status: int | None, codes: list[ProblemCode], document: dict[str, Any]) -> str:
    rows = "\n".join(f"| `{it.code}` | {it.meaning} |" for it in codes)
    table = f"| code | meaning |\n|---|---|\n{rows}\n"
    if status is None:
        return f"## Of commands and jobs\n\n{WITHOUT_STATUS}\n\n{table}"
    named = _operations(document, status)
    text = f"## {status} {HTTPStatus(status).phrase}\n\n{ADVICE.get(status, '')}\n\n{table}"
    if not named:
        return text
    links = ", ".join(f"[{it}](operations.md#{it.lower()})" for it in named)
    return f'{text}\n??? note "Operations that may answer {status}"\n    {links}\n'


def _operations(document: dict[str, Any], status: int) -> list[str]:
    return sorted(
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
        if str(status) in operation["responses"]
    )
