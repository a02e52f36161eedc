"""`/v1/jobs`: how far an operator's long task is."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from backend import jobs
from backend.api import openapi
from backend.api.context import services
from backend.api.scopes import needs
from backend.api.wire import documents
from backend.api.wire.reading import QueryReader
from backend.catalogue.scope import Scope
from backend.errors import UnknownJob

LONGEST_ID = 18  # digits that every database's integer can hold

api = openapi.blueprint("jobs", tag="operation")


@api.get(
    "/jobs/<id>",
    openapi_extensions=openapi.inputs(openapi.JOB_ID),
    responses={200: documents.JobDocument, **openapi.refusals(404)},
)
@needs(Scope.ADMIN)
def get_job(id: str) -> dict[str, Any]:
    """Read how far a job is, and what came of it."""
    QueryReader.of_request().finish()
    is_number = id.isascii() and id.isdigit() and len(id) <= LONGEST_ID
    job = jobs.read(services().db, int(id)) if is_number else None
    if job is None:
        raise UnknownJob(f"there is no job {id!r}")
    found = {name: getattr(job, name) for name in documents.JobDocument.model_fields}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in found.items()
    }
