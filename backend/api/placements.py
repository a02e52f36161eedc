"""`/v1/admin/placements`: named sets of defaults, which act at once."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response, g
from sqlalchemy.orm import Session

from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.conditional import check_revision, note_revision_of
from backend.api.context import services
from backend.api.schemas import Json
from backend.api.schemas.body import check_body
from backend.api.schemas.placement import (
    PlacementBody,
    PlacementDocument,
    PlacementHistory,
    PlacementPage,
)
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope
from backend.database.models import Placement
from backend.merchandising import placements

api = openapi.blueprint("placements", tag="operation", url_prefix="/v1/admin")


@api.get("/placements", responses={200: PlacementPage, **openapi.refusals()})
@requires_scope(Scope.ADMIN)
def list_placements() -> Json:
    """List the placements."""
    QueryReader.of_request().finish()
    with services().db.read() as session:
        return {"items": [placements.describe(it) for it in placements.listed(session)]}


@api.get(
    "/placements/<name>",
    openapi_extensions=openapi.inputs(parameters.PLACEMENT_NAME),
    responses={200: PlacementDocument, **openapi.refusals(404)},
)
@requires_scope(Scope.ADMIN)
def get_placement(name: str) -> Json:
    """Read a placement."""
    QueryReader.of_request().finish()
    with services().db.read() as session:
        return _described(placements.read(session, name))


@api.put(
    "/placements/<name>",
    description="The settings are replaced. The next request that names the placement takes them.",
    openapi_extensions=openapi.inputs(
        parameters.PLACEMENT_NAME,
        parameters.IF_MATCH,
        parameters.IF_NONE_MATCH,
        body=PlacementBody,
    ),
    responses={
        200: PlacementDocument,
        201: PlacementDocument,
        **openapi.refusals(400, 412, 413, 415),
    },
)
@requires_scope(Scope.ADMIN)
def put_placement(name: str) -> tuple[Json, HTTPStatus]:
    """Store a placement."""
    QueryReader.of_request().finish()
    settings = check_body(PlacementBody)

    def put(session: Session) -> tuple[Json, bool]:
        _check_match(session, name)
        stored, is_new = placements.put(session, name, settings, by=g.get("key_prefix"))
        return _described(stored), is_new

    described, is_new = services().db.write(put)
    return described, HTTPStatus.CREATED if is_new else HTTPStatus.OK


@api.delete(
    "/placements/<name>",
    openapi_extensions=openapi.inputs(parameters.PLACEMENT_NAME, parameters.IF_MATCH),
    responses={204: None, **openapi.refusals(404, 412)},
)
@requires_scope(Scope.ADMIN)
def delete_placement(name: str) -> Response:
    """Remove a placement; requests that name it are refused from then on."""
    QueryReader.of_request().finish()

    def remove(session: Session) -> None:
        _check_match(session, name)
        placements.remove(session, name, by=g.get("key_prefix"))

    services().db.write(remove)
    return Response(status=204)


@api.get(
    "/placements/<name>/history",
    openapi_extensions=openapi.inputs(parameters.PLACEMENT_NAME, parameters.limit()),
    responses={200: PlacementHistory, **openapi.refusals(404)},
)
@requires_scope(Scope.ADMIN)
def list_placement_changes(name: str) -> Json:
    """List the changes of a placement, the newest first."""
    reader = QueryReader.of_request()
    limit = reader.integer("limit", default=10, least=1, most=100)
    reader.finish()
    with services().db.read() as session:
        changes = placements.history(session, name, limit=limit)
        return {"items": [placements.describe_change(it) for it in changes]}


def _check_match(session: Session, name: str) -> None:
    check_revision(placements.revision(session, name), what="placement")


def _described(placement: Placement) -> Json:
    note_revision_of(placements.revision_of(placement))
    return placements.describe(placement)
