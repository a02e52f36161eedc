"""`/v1/admin/jobs`: the progress of an operator's long tasks."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

from backend import jobs
from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.context import below_root, services
from backend.api.schemas import pages
from backend.api.schemas.operation import JobDocument, JobPage
from backend.api.schemas.query import QueryReader, read_id
from backend.api.scopes import requires_scope
from backend.database.models import Job
from backend.errors import UnknownJob

api = openapi.blueprint("jobs", tag="operation")


@api.get(
    "/admin/jobs",
    openapi_extensions=openapi.inputs(parameters.limit(), parameters.CURSOR),
    responses={200: JobPage, **openapi.refusals()},
)
@requires_scope(Scope.ADMIN)
def list_jobs() -> dict[str, Any]:
    """List jobs, the newest first."""
    reader = QueryReader.of_request()
    limit = reader.integer("limit", default=10, least=1, most=100)
    before_id = reader.cursor("jobs") or None
    reader.finish()
    with services().db.read() as session:
        rows = jobs.newest(session, before_id=before_id, limit=limit + 1)
    next_cursor = pages.next_cursor("jobs", [row.id for row in rows], limit)
    return pages.as_page([document(row) for row in rows[:limit]], next_cursor)


@api.get(
    "/admin/jobs/<id>",
    openapi_extensions=openapi.inputs(parameters.JOB_ID),
    responses={200: JobDocument, **openapi.refusals(404)},
)
@requires_scope(Scope.ADMIN)
def get_admin_job(id: str) -> dict[str, Any]:
    """Read the progress of a job, and its result."""
    return _read(id)


@api.post(
    "/admin/jobs/<id>/cancel",
    description="A job that waits ends at once, one that is running at its next step: its state is "
    "then `failed`, and `cancelled_at` says when its end was asked for. What a re-index has built "
    "is dropped.",
    openapi_extensions=openapi.inputs(parameters.JOB_ID),
    responses={202: JobDocument, **openapi.refusals(404, 409)},
)
@requires_scope(Scope.ADMIN)
def cancel_job(id: str) -> tuple[dict[str, Any], HTTPStatus, dict[str, str]]:
    """End a job."""
    QueryReader.of_request().finish()
    number = read_id(id)
    if number is None:
        raise UnknownJob(f"there is no job {id!r}")
    job = jobs.cancel(services().db, number)
    services().notify()
    return accepted(job)


@api.get(
    "/jobs/<id>",
    openapi_extensions=openapi.inputs(parameters.JOB_ID),
    responses={200: JobDocument, **openapi.refusals(404)},
)
@requires_scope(Scope.ADMIN)
def get_job(id: str) -> dict[str, Any]:
    """Read the progress of a job, and its result; the same as under `/v1/admin`."""
    return _read(id)


def _read(id: str) -> dict[str, Any]:
    QueryReader.of_request().finish()
    number = read_id(id)
    job = None if number is None else jobs.read(services().db, number)
    if job is None:
        raise UnknownJob(f"there is no job {id!r}")
    return document(job)


def document(job: Job) -> dict[str, Any]:
    """Return a job as JSON."""
    derived = {"seconds_left": jobs.seconds_left(job)}
    found = {
        name: derived[name] if name in derived else getattr(job, name)
        for name in JobDocument.model_fields
    }
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in found.items()
    }


def accepted(job: Job) -> tuple[dict[str, Any], HTTPStatus, dict[str, str]]:
    """Answer 202 with the job, and with the address at which it can be followed."""
    return document(job), HTTPStatus.ACCEPTED, {"Location": below_root(f"/v1/admin/jobs/{job.id}")}
