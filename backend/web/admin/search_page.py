"""How good filtered searches are."""

from __future__ import annotations

from backend import generations
from backend.access.scope import Scope
from backend.api.context import services
from backend.api.scopes import requires_scope
from backend.search import filter_recall
from backend.web.admin.sections import blueprint, show
from backend.web.admin.wellbeing import ENOUGH, LOW_RECALL


@blueprint.get("/search")
@requires_scope(Scope.ADMIN)
def show_searches() -> str:
    """Show recall by the shape of filters."""
    with services().db.read() as session:
        active = generations.active_or_none(session)
        shapes = filter_recall.by_shape(session, active.id if active else None)
    return show(
        "search.html",
        shapes=shapes,
        rate=services().settings.recall_sample,
        low=LOW_RECALL,
        enough=ENOUGH,
    )
