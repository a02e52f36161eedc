"""The generations with the numbers of their checks: promote one, roll back, drop one."""

from __future__ import annotations

from typing import Final

from werkzeug.wrappers import Response as BaseResponse

from backend import generations, reindex
from backend.access.scope import Scope
from backend.api.context import services
from backend.api.schemas.query import read_id
from backend.api.scopes import requires_scope
from backend.database.models import RETIRED
from backend.errors import UnknownGeneration
from backend.web.admin.sections import blueprint, end_action, is_checked, show

VIEW: Final = "show_generations"


@blueprint.get("/generations")
@requires_scope(Scope.ADMIN)
def show_generations() -> str:
    """Show each generation with the numbers of its last check."""
    db = services().db
    with db.read() as session:
        rows = reindex.listed(session)
    described = [reindex.describe(db, row) for row in rows]
    live = [one for one in described if one["state"] != RETIRED]
    return show(
        "generations.html",
        live=live,
        retired=[one for one in described if one["state"] == RETIRED],
        by_state={one["state"]: one for one in live},
        standby_hours=services().settings.standby_hours,
    )


@blueprint.post("/generations/<generation:id>/promote")
@requires_scope(Scope.ADMIN)
def promote_generation(id: str) -> BaseResponse:
    """Request the job that measures a generation and makes it the active one."""
    job = reindex.request_promotion(services().db, _number(id), force=is_checked("force"))
    services().notify()
    return end_action(VIEW, "promote", job.id)


@blueprint.post("/generations/rollback")
@requires_scope(Scope.ADMIN)
def roll_back() -> BaseResponse:
    """Make the standby the active generation at once."""
    active = services().promoter.roll_back(force=is_checked("force"))
    return end_action(VIEW, "rollback", active["id"])


@blueprint.post("/generations/<generation:id>/drop")
@requires_scope(Scope.ADMIN)
def drop_generation(id: str) -> BaseResponse:
    """Retire a generation that is not active."""
    dropped = generations.drop(services().db, _number(id))
    services().notify()
    return end_action(VIEW, "drop", dropped.id)


def _number(id: str) -> int:
    number = read_id(id)
    if number is None:
        raise UnknownGeneration(f"there is no generation {id!r}")
    return number
