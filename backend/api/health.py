"""`/livez` and `/readyz`: is the process alive, and can it answer?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from flask import current_app
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from backend import generations
from backend.api import openapi
from backend.api.context import services
from backend.api.problems import RequestError
from backend.api.schemas.operation import Health
from backend.api.schemas.query import QueryReader
from backend.api.scopes import PUBLIC, requires_scope
from backend.errors import LookalikeError

Probe: TypeAlias = Callable[[], str | None]
"""Returns what is wrong with one part, or None."""

PROBES: Final = "lookalike.probes"
"""Where an app keeps its probes: `app.extensions[PROBES]`."""

RETRY_SECONDS: Final = 2

ALIVE: Final = b'{"status":"ok"}\n'
"""The answer of /livez, for a server that gives it without calling the app."""

api = openapi.blueprint("health", tag="operation", url_prefix=None)


@api.get(
    "/livez",
    openapi_extensions=openapi.inputs(),
    responses={200: Health, **openapi.refusals()},
)
@requires_scope(PUBLIC)
def live() -> dict[str, str]:
    """Confirm that the process is alive, and check nothing else."""
    QueryReader.of_request().finish()
    return {"status": "ok"}


@api.get(
    "/readyz",
    openapi_extensions=openapi.inputs(),
    responses={200: Health, **openapi.refusals(503)},
)
@requires_scope(PUBLIC)
def ready() -> dict[str, Any]:
    """Tell whether the process can answer; 503 names what is down."""
    QueryReader.of_request().finish()
    probes: Mapping[str, Probe] = current_app.extensions[PROBES]
    checks = {name: probe() or "ok" for name, probe in probes.items()}
    down = {name: found for name, found in checks.items() if found != "ok"}
    if down:
        detail = "; ".join(f"{name}: {found}" for name, found in down.items())
        headers = {"Retry-After": str(RETRY_SECONDS)}
        raise RequestError(503, "not-ready", detail, headers=headers, checks=checks)
    return {"status": "ready", "checks": checks}


def _database() -> str | None:
    try:
        with services().db.read() as session:
            session.execute(text("SELECT 1"))
    except OperationalError:
        return "does not answer"
    return None


def _index() -> str | None:
    try:
        with services().db.read() as session:
            generation = generations.active(session)
        services().indexes.of(generation).ping()
    except LookalikeError as error:
        return error.message
    except OperationalError:
        return "unknown, since the database does not answer"
    return None


OWN_PROBES: Final[Mapping[str, Probe]] = {"database": _database, "index": _index}
