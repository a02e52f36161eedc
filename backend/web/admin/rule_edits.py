"""Rules are written, tried and removed on the operator's page, by the functions of the API."""

from __future__ import annotations

from typing import Any, Final

from flask import g, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from backend.access.scope import Scope
from backend.api import problems
from backend.api.context import filterable, services
from backend.api.problems import RequestError
from backend.api.schemas import Json
from backend.api.schemas.query import read_id
from backend.api.scopes import requires_scope
from backend.database.models import RuleRow
from backend.errors import LookalikeError
from backend.merchandising import placements, rules
from backend.search import rule_preview
from backend.search.rule_preview import RuleTrial
from backend.web.admin.rule_form import ACTIONS, RuleForm
from backend.web.admin.rule_pages import as_rows
from backend.web.admin.sections import blueprint, end_action, show

VIEW: Final = "show_rules"
TRY: Final = "try"
"""What the button of the form says that only previews the rule."""


@blueprint.get("/rules/new")
@requires_scope(Scope.ADMIN)
def show_new_rule() -> str:
    """Show the form for a new rule; the address may fill in its fields."""
    return _form(RuleForm.of_fields({"action": "pin", "enabled": "1", **request.args}))


@blueprint.get("/rules/<id>")
@requires_scope(Scope.ADMIN)
def show_rule(id: str) -> str:
    """Show the form of a rule."""
    with services().db.read() as session:
        row = rules.read(session, read_id(id))
        return _form(RuleForm.of_settings(row.settings), number=row.id, version=row.version)


@blueprint.post("/rules")
@requires_scope(Scope.ADMIN)
def save_new_rule() -> Any:
    """Store a new rule, or show what it would change."""
    return _save_or_try(None)


@blueprint.post("/rules/<id>")
@requires_scope(Scope.ADMIN)
def save_rule(id: str) -> Any:
    """Give a rule the settings of the form, or show what they would change."""
    with services().db.read() as session:
        number = rules.read(session, read_id(id)).id
    return _save_or_try(number)


@blueprint.post("/rules/<id>/remove")
@requires_scope(Scope.ADMIN)
def remove_rule(id: str) -> BaseResponse:
    """Remove a rule; its history stays."""
    number = read_id(id)
    services().db.write(lambda session: rules.remove(session, number, by=g.get("key_prefix")))
    return end_action(VIEW, "rule-removed", number or 0)


def _save_or_try(number: int | None) -> Any:
    form = RuleForm.of_fields(request.form)
    version = read_id(request.form.get("version", "")) or 0
    try:
        settings = form.settings()
        if request.form.get("do") == TRY:
            preview = _preview(settings, number)
            return _form(form, number=number, version=version, preview=preview)
        row_id = services().db.write(lambda session: _store(session, number, version, settings))
    except LookalikeError as error:
        problem = problems.to_request_error(error)
        page = _form(form, number=number, version=version, problem=problem)
        return page, problem.status, problem.headers
    return end_action(VIEW, "rule-saved", row_id)


def _store(session: Session, number: int | None, version: int, settings: Json) -> int:
    """Store the settings; raises the 412 if somebody has changed the rule since it was shown."""
    if number is None:
        return rules.create(session, settings, by=g.get("key_prefix")).id
    rules.lock(session)
    row: RuleRow = rules.read(session, number)
    if row.version != version:
        detail = "somebody has changed the rule meanwhile; open it again"
        raise RequestError(412, "precondition-failed", detail)
    return rules.replace(session, number, settings, by=g.get("key_prefix")).id


def _preview(settings: Json, number: int | None) -> Json:
    """Return what a rule would change, in place of the stored one of this number."""
    candidate = settings if number is None else {**settings, "id": number}
    found = services()
    tried = RuleTrial(candidates=[candidate])
    preview = rule_preview.preview(found.db, found.similar, filterable(), tried)
    with found.db.read() as session:
        return preview | {"rows": as_rows(session, preview["examples"], "before", "after")}


def _form(
    form: RuleForm,
    *,
    number: int | None = None,
    version: int = 0,
    preview: Json | None = None,
    problem: RequestError | None = None,
) -> str:
    with services().db.read() as session:
        places = [it.name for it in placements.listed(session)]
    return show(
        "rule_form.html",
        form=form,
        number=number,
        version=version,
        preview=preview,
        problem=problem,
        actions=ACTIONS,
        places=places,
    )
