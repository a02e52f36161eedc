"""What lists are shaped by: the rules of merchandisers with what is wrong with them, placements."""

from __future__ import annotations

from backend.access.scope import Scope
from backend.api.context import filterable, services
from backend.api.scopes import requires_scope
from backend.database.models import utcnow
from backend.merchandising import placements, rules
from backend.search import rule_state
from backend.web.admin.sections import blueprint, show


@blueprint.get("/rules")
@requires_scope(Scope.ADMIN)
def show_rules() -> str:
    """Show the rules, each with its state and its problems, and the placements."""
    with services().db.read() as session:
        rows = rules.listed(session)
        found = rule_state.describe_all(session, rows, filterable(), now=utcnow())
        placed = [placements.describe(one) for one in placements.listed(session)]
    return show("rules.html", rules=found, placements=placed)
