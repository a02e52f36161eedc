"""The jobs with their progress; end one."""

from __future__ import annotations

from typing import Final

from werkzeug.wrappers import Response as BaseResponse

from backend import jobs
from backend.access.scope import Scope
from backend.api.context import services
from backend.api.jobs import document
from backend.api.schemas.query import read_id
from backend.api.scopes import requires_scope
from backend.errors import UnknownJob
from backend.web.admin.sections import blueprint, end_action, is_part, show

VIEW: Final = "show_jobs"
SHOWN: Final = 50


@blueprint.get("/jobs")
@requires_scope(Scope.ADMIN)
def show_jobs() -> str:
    """Show the newest jobs; a script asks for them again every few seconds."""
    with services().db.read() as session:
        found = [document(job) for job in jobs.newest(session, limit=SHOWN)]
    return show("jobs_part.html" if is_part() else "jobs.html", jobs=found, ended=jobs.ENDED)


@blueprint.post("/jobs/<id>/cancel")
@requires_scope(Scope.ADMIN)
def cancel_job(id: str) -> BaseResponse:
    """Tell a job to end."""
    number = read_id(id)
    if number is None:
        raise UnknownJob(f"there is no job {id!r}")
    job = jobs.cancel(services().db, number)
    services().notify()
    return end_action(VIEW, "cancel", job.id)
