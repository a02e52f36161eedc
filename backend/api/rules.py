"""`/v1/admin/rules`: what merchandisers want of lists. Changes act at once."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, g
from sqlalchemy.orm import Session

from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.conditional import check_revision, note_revision_of
from backend.api.context import below_root, filterable, services
from backend.api.schemas import Json, pages
from backend.api.schemas.body import read_body, read_body_as_sent
from backend.api.schemas.query import QueryReader, read_id
from backend.api.schemas.rule import RuleBody, RuleDocument, RuleHistory, RulePage
from backend.api.schemas.rule_preview import PreviewAnswer, PreviewBody
from backend.api.scopes import requires_scope
from backend.database.models import RuleRow, utcnow
from backend.merchandising import rules
from backend.search import rule_preview, rule_state

api = openapi.blueprint("rules", tag="operation", url_prefix="/v1/admin")


@api.get(
    "/rules",
    description="Each with its state and its problems: a rule that cannot do what it says never "
    "spoils a list, and is named here.",
    openapi_extensions=openapi.inputs(parameters.limit(), parameters.CURSOR),
    responses={200: RulePage, **openapi.refusals()},
)
@requires_scope(Scope.ADMIN)
def list_rules() -> Json:
    """List the rules."""
    reader = QueryReader.of_request()
    limit = reader.integer("limit", default=10, least=1, most=100)
    after_id = reader.cursor("rules")
    reader.finish()
    with services().db.read() as session:
        rows = rules.listed(session, after_id=after_id, limit=limit + 1)
        items = rule_state.describe_all(session, rows[:limit], filterable(), now=utcnow())
    return pages.as_page(items, pages.next_cursor("rules", [row.id for row in rows], limit))


@api.post(
    "/rules",
    description="It acts on the next list, in all processes.",
    openapi_extensions=openapi.inputs(body=RuleBody),
    responses={201: RuleDocument, **openapi.refusals(400, 413, 415)},
)
@requires_scope(Scope.ADMIN)
def create_rule() -> tuple[Json, HTTPStatus, dict[str, str]]:
    """Add a rule."""
    settings = _settings()

    def create(session: Session) -> Json:
        return _described(session, rules.create(session, settings, by=_by()))

    made = services().db.write(create)
    return made, HTTPStatus.CREATED, {"Location": below_root(f"/v1/admin/rules/{made['id']}")}


@api.post(
    "/rules:preview",
    operation_id="previewRules",
    description="Nothing is stored. The lists of drawn products are made with the rules as they "
    "are and as they would be.",
    openapi_extensions=openapi.inputs(body=PreviewBody),
    responses={200: PreviewAnswer, **openapi.refusals(400, 413, 415)},
)
@requires_scope(Scope.ADMIN)
def preview_rules() -> Json:
    """Try rules on a sample of lists."""
    QueryReader.of_request().finish()
    body, found = read_body(PreviewBody), services()
    return rule_preview.preview(found.db, found.similar, filterable(), body.tried)


@api.get(
    "/rules/<id>",
    openapi_extensions=openapi.inputs(parameters.RULE_ID),
    responses={200: RuleDocument, **openapi.refusals(404)},
)
@requires_scope(Scope.ADMIN)
def get_rule(id: str) -> Json:
    """Read a rule."""
    QueryReader.of_request().finish()
    with services().db.read() as session:
        return _described(session, rules.read(session, read_id(id)))


@api.put(
    "/rules/<id>",
    description="The settings are replaced. They act on the next list, in all processes.",
    openapi_extensions=openapi.inputs(parameters.RULE_ID, parameters.IF_MATCH, body=RuleBody),
    responses={200: RuleDocument, **openapi.refusals(400, 404, 412, 413, 415)},
)
@requires_scope(Scope.ADMIN)
def replace_rule(id: str) -> Json:
    """Replace a rule."""
    settings = _settings()

    def replace(session: Session) -> Json:
        _check_match(session, id)
        return _described(session, rules.replace(session, read_id(id), settings, by=_by()))

    return services().db.write(replace)


@api.delete(
    "/rules/<id>",
    openapi_extensions=openapi.inputs(parameters.RULE_ID, parameters.IF_MATCH),
    responses={204: None, **openapi.refusals(404, 412)},
)
@requires_scope(Scope.ADMIN)
def delete_rule(id: str) -> Response:
    """Remove a rule; its history stays."""
    QueryReader.of_request().finish()

    def remove(session: Session) -> None:
        _check_match(session, id)
        rules.remove(session, read_id(id), by=_by())

    services().db.write(remove)
    return Response(status=204)


@api.get(
    "/rules/<id>/history",
    openapi_extensions=openapi.inputs(parameters.RULE_ID, parameters.limit()),
    responses={200: RuleHistory, **openapi.refusals(404)},
)
@requires_scope(Scope.ADMIN)
def list_rule_changes(id: str) -> Json:
    """List the changes of a rule, the newest first."""
    reader = QueryReader.of_request()
    limit = reader.integer("limit", default=10, least=1, most=100)
    reader.finish()
    with services().db.read() as session:
        number = rules.read(session, None).id if read_id(id) is None else read_id(id)
        changes = rules.history(session, number, limit=limit)
        return {"items": [rules.describe_change(it) for it in changes]}


def _settings() -> Json:
    """Return the settings in this request's body, as they are stored."""
    QueryReader.of_request().finish()
    body, given = read_body_as_sent(RuleBody)
    return body.stored(given)


def _by() -> str | None:
    prefix: str | None = g.get("key_prefix")
    return prefix


def _check_match(session: Session, id: str) -> None:
    rules.lock(session)
    number = read_id(id)
    found = None if number is None else session.get(RuleRow, number)
    check_revision(None if found is None else str(found.version), what="rule")


def _described(session: Session, row: RuleRow) -> Json:
    note_revision_of(str(row.version))
    return rule_state.describe_all(session, [row], filterable(), now=utcnow())[0]
