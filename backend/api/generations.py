"""`/v1/admin/generations` and `/v1/admin/reindex`: build another index, switch to it, drop it."""

from __future__ import annotations

from http import HTTPStatus

from backend import generations
from backend import reindex as reindexing
from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.context import services
from backend.api.jobs import accepted
from backend.api.schemas import Json, pages
from backend.api.schemas.body import read_optional_body
from backend.api.schemas.generation import ForceBody, GenerationDetail, GenerationPage, ReindexBody
from backend.api.schemas.operation import JobDocument
from backend.api.schemas.query import QueryReader, read_id
from backend.api.scopes import requires_scope
from backend.errors import UnknownGeneration

api = openapi.blueprint("generations", tag="operation", url_prefix="/v1/admin")


@api.post(
    "/reindex",
    operation_id="requestReindex",
    description="Absent members keep the values of the active index. If the embedder stays the "
    "same, stored vectors are used. The new index is promoted when it passes the checks, or on "
    "request.",
    openapi_extensions=openapi.inputs(body=ReindexBody),
    responses={202: JobDocument, **openapi.refusals(400, 409, 415, 503)},
)
@requires_scope(Scope.ADMIN)
def reindex() -> tuple[Json, HTTPStatus, dict[str, str]]:
    """Build another index beside the active one."""
    QueryReader.of_request().finish()
    plan = read_optional_body(ReindexBody).plan()
    job = reindexing.request(services().db, plan)
    services().notify()
    return accepted(job)


@api.get(
    "/generations",
    openapi_extensions=openapi.inputs(),
    responses={200: GenerationPage, **openapi.refusals()},
)
@requires_scope(Scope.ADMIN)
def list_generations() -> Json:
    """List all generations, the newest first."""
    QueryReader.of_request().finish()
    with services().db.read() as session:
        rows = reindexing.listed(session)
    return pages.as_page([reindexing.describe(services().db, row) for row in rows], None)


@api.get(
    "/generations/<generation:id>",
    openapi_extensions=openapi.inputs(parameters.GENERATION_ID),
    responses={200: GenerationDetail, **openapi.refusals(404)},
)
@requires_scope(Scope.ADMIN)
def get_generation(id: str) -> Json:
    """Read one generation, with the numbers of its last check."""
    QueryReader.of_request().finish()
    return _described(_number(id))


@api.post(
    "/generations/<generation:id>/promote",
    description="A job: it measures the generation first, and fails with the numbers that are not "
    "good enough. With `force` it is promoted all the same.",
    openapi_extensions=openapi.inputs(parameters.GENERATION_ID, body=ForceBody),
    responses={202: JobDocument, **openapi.refusals(400, 404, 409, 415)},
)
@requires_scope(Scope.ADMIN)
def promote_generation(id: str) -> tuple[Json, HTTPStatus, dict[str, str]]:
    """Check a generation and make it the active one."""
    force = _force()
    job = reindexing.request_promotion(services().db, _number(id), force=force)
    services().notify()
    return accepted(job)


@api.post(
    "/generations/rollback",
    operation_id="rollBackGeneration",
    openapi_extensions=openapi.inputs(body=ForceBody),
    responses={200: GenerationDetail, **openapi.refusals(400, 409, 415, 503)},
)
@requires_scope(Scope.ADMIN)
def roll_back() -> Json:
    """Go back to the standby generation at once."""
    force = _force()
    return services().promoter.roll_back(force=force)


@api.delete(
    "/generations/<generation:id>",
    openapi_extensions=openapi.inputs(parameters.GENERATION_ID),
    responses={200: GenerationDetail, **openapi.refusals(404, 409)},
)
@requires_scope(Scope.ADMIN)
def drop_generation(id: str) -> Json:
    """Retire a generation that is not active; its data is deleted in the background."""
    QueryReader.of_request().finish()
    dropped = generations.drop(services().db, _number(id))
    services().notify()
    return _described(dropped.id)


def _force() -> bool:
    QueryReader.of_request().finish()
    return read_optional_body(ForceBody).force


def _number(id: str) -> int:
    number = read_id(id)
    if number is None:
        raise UnknownGeneration(f"there is no generation {id!r}")
    return number


def _described(generation_id: int) -> Json:
    with services().db.read() as session:
        generation = generations.by_id(session, generation_id)
    return reindexing.describe(services().db, generation)
