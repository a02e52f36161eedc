"""`/livez` and `/readyz`: is the process alive, and can it answer?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from flask import current_app
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend import generations
from backend.api import openapi
from backend.api.context import services
from backend.api.problems import RequestError
from backend.api.schemas.operation import Health
from backend.api.schemas.query import QueryReader
from backend.api.scopes import PUBLIC, requires_scope
from backend.database.failures import meaning_of
from backend.errors import DatabaseUnavailable, LookalikeError
from backend.search.coverage import COMMAND, Coverage

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
    operation_id="getLiveness",
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
    operation_id="getReadiness",
    openapi_extensions=openapi.inputs(),
    responses={200: Health, **openapi.refusals(503)},
)
@requires_scope(PUBLIC)
def ready() -> dict[str, Any]:
    """Tell whether the process can answer; 503 names what is down, or too little of the index."""
    QueryReader.of_request().finish()
    probes: Mapping[str, Probe] = current_app.extensions[PROBES]
    checks = {name: probe() or "ok" for name, probe in probes.items()}
    counts = _counts(services().coverage.latest)
    down = {name: found for name, found in checks.items() if found != "ok"}
    if down:
        detail = "; ".join(f"{name}: {found}" for name, found in down.items())
        headers = {"Retry-After": str(RETRY_SECONDS)}
        raise RequestError(503, "not-ready", detail, headers=headers, checks=checks, index=counts)
    return {"status": "ready", "checks": checks, "index": counts}


def _counts(coverage: Coverage | None) -> dict[str, Any] | None:
    if coverage is None:
        return None
    counts = {"points": coverage.points, "products": coverage.products}
    return counts | {"coverage": round(coverage.share, 4)}


def _database() -> str | None:
    try:
        with services().db.read() as session:
            session.execute(text("SELECT 1"))
    except LookalikeError as error:
        return error.message
    except SQLAlchemyError as error:
        return _failure(error)
    return None


def _failure(error: SQLAlchemyError) -> str:
    meaning = meaning_of(error)
    if meaning is None:
        raise error
    return "does not answer" if isinstance(meaning, DatabaseUnavailable) else meaning.message


def _index() -> str | None:
    """Say what is wrong with the active index: it does not answer, or it lacks most products."""
    try:
        with services().db.read() as session:
            generation = generations.active(session)
        services().indexes.of(generation).ping()
        coverage = services().coverage.current(generation)
    except LookalikeError as error:
        return error.message
    except SQLAlchemyError as error:
        return f"unknown, since the database {_failure(error)}"
    if coverage.is_enough(services().settings.ready_coverage):
        return None
    return f"{coverage.text} products; it is filling, or `{COMMAND}` refills it"


OWN_PROBES: Final[Mapping[str, Probe]] = {"database": _database, "index": _index}
