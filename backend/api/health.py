"""`/livez` and `/readyz`: is the process alive, and can it answer?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, Final

from flask import Flask, current_app
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backend import generations
from backend.api import openapi
from backend.api.context import services
from backend.api.problems import RequestError
from backend.api.readiness import BROKER, DATABASE, Probe, Readiness, document_of
from backend.api.schemas.operation import Health
from backend.api.schemas.query import QueryReader
from backend.api.scopes import PUBLIC, requires_scope
from backend.bootstrap import Services
from backend.database import patience
from backend.database.failures import meaning_of
from backend.errors import DatabaseUnavailable, LookalikeError
from backend.search.coverage import COMMAND, Coverage

READINESS: Final = "lookalike.readiness"
"""Where an app keeps its checks: `app.extensions[READINESS]`."""

OPTIONAL: Final = "lookalike.readiness.optional"
"""Where it keeps the names of the checks that may fail while it is ready."""

CHECK_SECONDS: Final = 1.5
"""Time limit of each statement of a check."""

RETRY_SECONDS: Final = 2

READY_PATH: Final = "/readyz"
"""The path that a server answers in threads of its own."""

NO_ANSWER: Final = "does not answer"

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
    description="What most requests do not need is named under `degraded`, and the process is "
    "ready without it.",
    openapi_extensions=openapi.inputs(),
    responses={200: Health, **openapi.refusals(503)},
)
@requires_scope(PUBLIC)
def ready() -> dict[str, Any]:
    """Tell whether the process can answer; 503 names what does not work."""
    QueryReader.of_request().finish()
    readiness: Readiness = current_app.extensions[READINESS]
    optional: Collection[str] = current_app.extensions[OPTIONAL]
    found = readiness.check()
    down = {name: one.found for name, one in found.items() if not one.is_ok}
    members = document_of(found) | {
        "index": _counts(services().coverage.latest),
        "degraded": [name for name in down if name in optional],
    }
    if not down.keys() <= set(optional):
        detail = "; ".join(f"{name}: {reason}" for name, reason in down.items())
        headers = {"Retry-After": str(RETRY_SECONDS)}
        raise RequestError(503, "not-ready", detail, headers=headers, **members)
    return {"status": "ready", **members}


def register_checks(
    app: Flask, services: Services, probes: Mapping[str, Probe], *, optional: Collection[str] = ()
) -> None:
    """Have /readyz of an app check database and index, and then these.

    The app is ready also while checks fail that are `optional`.
    """
    own = {
        DATABASE: partial(_check_database, services),
        "index": partial(_check_index, services),
    }
    app.extensions[READINESS] = Readiness(own | dict(probes))
    app.extensions[OPTIONAL] = frozenset(optional)


def store_problems(app: Flask, services: Services) -> dict[str, str | None]:
    """Return {store: why it is not asked now}, None where it is.

    The database and Redis are asked whether they answer. A database that refuses connections is
    asked by each request all the same, so that alone would not show that it is away. The state of
    Redis is none of the services': each user of it in a process has its own connection.
    """
    found = services.store_problems()
    readiness: Readiness = app.extensions[READINESS]
    found[DATABASE] = found[DATABASE] or readiness.problem(DATABASE)
    if services.settings.broker_url:
        found[BROKER] = readiness.problem(BROKER)
    return found


def _counts(coverage: Coverage | None) -> dict[str, Any] | None:
    if coverage is None:
        return None
    counts = {"points": coverage.points, "products": coverage.products}
    return counts | {"coverage": round(coverage.share, 4)}


def _check_database(services: Services) -> str | None:
    try:
        with patience.at_most(CHECK_SECONDS), services.db.read() as session:
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
    return NO_ANSWER if type(meaning) is DatabaseUnavailable else meaning.message


def _check_index(services: Services) -> str | None:
    """Say what is wrong with the active index: it does not answer, or it lacks most products."""
    try:
        with patience.at_most(CHECK_SECONDS):
            with services.db.read() as session:
                generation = generations.active(session)
            services.indexes.of(generation).ping()
            coverage = services.coverage.current(generation)
    except LookalikeError as error:
        return error.message
    except SQLAlchemyError as error:
        failed = _failure(error)
        silent = failed == NO_ANSWER
        return f"unknown, since the database {failed}" if silent else f"unknown: {failed}"
    if coverage.is_enough(services.settings.ready_coverage):
        return None
    return f"{coverage.text} products; it is filling, or `{COMMAND}` refills it"
