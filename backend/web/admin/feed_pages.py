"""The feeds and their last runs; run one now."""

from __future__ import annotations

from typing import Final

from werkzeug.wrappers import Response as BaseResponse

from backend.access.scope import Scope
from backend.api.context import services, write_and_notify
from backend.api.scopes import requires_scope
from backend.feeds import feeds, runs, schedule
from backend.feeds.describe import describe_all, describe_run
from backend.web.admin.sections import blueprint, end_action, is_checked, show

VIEW: Final = "show_feeds"
RUNS: Final = 5


@blueprint.get("/feeds")
@requires_scope(Scope.ADMIN)
def show_feeds() -> str:
    """Show each feed with its newest runs."""
    with services().db.read() as session:
        rows = feeds.listed(session)
        described = [
            one | {"runs": [describe_run(it) for it in runs.history(session, row.id, limit=RUNS)]}
            for row, one in zip(rows, describe_all(session, rows), strict=True)
        ]
    return show("feeds.html", feeds=described)


@blueprint.post("/feeds/<name>/run")
@requires_scope(Scope.ADMIN)
def run_feed_now(name: str) -> BaseResponse:
    """Request the import of a feed, also of one that is paused."""
    force = is_checked("force")
    job = write_and_notify(
        lambda session: schedule.request(session, feeds.by_name(session, name).id, force=force)
    )
    return end_action(VIEW, "run", job.id)
