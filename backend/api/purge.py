"""`/v1/admin/purge`: take products down, with their images and vectors."""

from __future__ import annotations

from http import HTTPStatus

from backend import jobs
from backend.access.scope import Scope
from backend.api import openapi
from backend.api.context import services
from backend.api.jobs import accepted
from backend.api.schemas import Json
from backend.api.schemas.body import read_body
from backend.api.schemas.operation import JobDocument, PurgeBody
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope

api = openapi.blueprint("purge", tag="operation", url_prefix="/v1/admin")


@api.post(
    "/purge",
    description="A job, whose result counts what was removed and lists what was kept because other "
    "products show it too. It cannot be undone, and can be repeated.",
    openapi_extensions=openapi.inputs(body=PurgeBody),
    responses={202: JobDocument, **openapi.refusals(400, 413, 415)},
)
@requires_scope(Scope.ADMIN)
def purge_products() -> tuple[Json, HTTPStatus, dict[str, str]]:
    """Remove products at once, with their points, image files and vectors."""
    QueryReader.of_request().finish()
    body = read_body(PurgeBody)
    arguments = {"skus": body.skus, "everywhere": body.everywhere}
    job = services().db.write(lambda session: jobs.add(session, "purge", arguments))
    services().notify()
    return accepted(job)
