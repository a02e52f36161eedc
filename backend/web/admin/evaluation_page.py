"""The evaluation page: the latest report, a map of the vectors, before and after a re-index."""

from __future__ import annotations

import json
from typing import Any, Final

from flask import Response, jsonify
from sqlalchemy.orm import Session

from backend import generations
from backend.access.scope import Scope
from backend.api.context import services
from backend.api.problems import RequestError
from backend.api.scopes import requires_scope
from backend.database.models import ACTIVE, BUILDING, STANDBY, Generation
from backend.errors import LookalikeError
from backend.settings import Settings
from backend.web.admin.comparison import ComparedRow, compare
from backend.web.admin.latent_map import LatentMap, draw_map
from backend.web.admin.sections import blueprint, show

REPORT_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The report is one file with its styles and images inside, and without a script."""


@blueprint.get("/evaluation")
@requires_scope(Scope.ADMIN)
def show_evaluation() -> str:
    """Show how good the embedder is, and what a re-index has changed."""
    db, settings = services().db, services().settings
    with db.read() as session:
        active = generations.active_or_none(session)
        pair = _pair(session)
        drawn = draw_map(session, active) if active else None
    rows, problem = _compare(pair)
    return show(
        "evaluation.html",
        report=_read_report(settings),
        has_page=settings.evaluation_file("html").is_file(),
        active=active,
        map=drawn,
        pair=pair,
        rows=rows,
        problem=problem,
        standby_hours=settings.standby_hours,
    )


@blueprint.get("/evaluation/report")
@requires_scope(Scope.ADMIN)
def show_report() -> Response:
    """Show the page that the last `lookalike evaluate --html` has written."""
    try:
        page = services().settings.evaluation_file("html").read_bytes()
    except FileNotFoundError:
        detail = "no report was written: `lookalike evaluate --html FILE` writes one"
        raise RequestError(404, "not-found", detail) from None
    answer = Response(page, mimetype="text/html")
    answer.headers["Content-Security-Policy"] = REPORT_POLICY
    return answer


@blueprint.get("/evaluation/map.json")
@requires_scope(Scope.ADMIN)
def read_map() -> Response:
    """Name the products of the map, for the script that shows what is under the pointer."""
    with services().db.read() as session:
        active = generations.active_or_none(session)
        drawn = draw_map(session, active) if active else None
    return jsonify(_as_json(drawn) if drawn else {"categories": [], "points": []})


def _as_json(drawn: LatentMap) -> dict[str, Any]:
    points = [[it.x, it.y, it.category, it.sku, it.name] for it in drawn.points]
    return {"categories": [name for name, _ in drawn.categories], "points": points}


def _pair(session: Session) -> tuple[Generation, Generation] | None:
    """Return the generations before and after the last re-index, or the one that is building."""
    active = generations.in_state(session, ACTIVE)
    building = generations.in_state(session, BUILDING)
    standby = generations.in_state(session, STANDBY)
    if active and building:
        return active, building
    if active and standby:
        return standby, active
    return None


def _compare(
    pair: tuple[Generation, Generation] | None,
) -> tuple[list[ComparedRow], str | None]:
    """Return the rows of the sheet, or why there are none."""
    if pair is None:
        return [], None
    try:
        before, after = pair
        return compare(services().db, services().indexes.of, before=before, after=after), None
    except LookalikeError as error:  # the rest of the page is worth showing
        return [], error.message


def _read_report(settings: Settings) -> dict[str, Any] | None:
    """Return what the last `lookalike evaluate` has found; None if there is nothing readable."""
    try:
        found = json.loads(settings.evaluation_file("json").read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "scores" in found else None
