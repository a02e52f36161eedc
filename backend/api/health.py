"""`/livez` and `/readyz`: is the process there, and can it answer?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from flask import current_app
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from backend import generations
from backend.api import openapi
from backend.api.context import services
from backend.api.problems import Problem
from backend.api.schemas import documents
from backend.api.schemas.reading import QueryReader
from backend.api.scopes import OPEN, needs
from backend.errors import LookalikeError

Probe: TypeAlias = Callable[[], str | None]
"""Says what is wrong with one part, or None."""

KEY: Final = "lookalike.probes"
RETRY_SECONDS: Final = 2

api = openapi.blueprint("health", tag="operation", url_prefix=None)


@api.get(
    "/livez",
    openapi_extensions=openapi.inputs(),
    responses={200: documents.Health, **openapi.refusals()},
)
@needs(OPEN)
def live() -> dict[str, str]:
    """Tell that the process is there; touches nothing else."""
    QueryReader.of_request().finish()
    return {"status": "ok"}


@api.get(
    "/readyz",
    openapi_extensions=openapi.inputs(),
    responses={200: documents.Health, **openapi.refusals(503)},
)
@needs(OPEN)
def ready() -> dict[str, Any]:
    """Tell whether it can answer; otherwise 503, which names what is down."""
    QueryReader.of_request().finish()
    probes: Mapping[str, Probe] = current_app.extensions[KEY]
    checks = {name: probe() or "ok" for name, probe in probes.items()}
    down = {name: found for name, found in checks.items() if found != "ok"}
    if down:
        detail = "; ".join(f"{name}: {found}" for name, found in down.items())
        headers = {"Retry-After": str(RETRY_SECONDS)}
        raise Problem(503, "not-ready", detail, headers=headers, checks=checks)
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


PROBES: Final[Mapping[str, Probe]] = {"database": _database, "index": _index}
