"""`/v1/admin/experiments`: shoppers are split between two placements or two generations."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response
from sqlalchemy.orm import Session

from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.context import services
from backend.api.schemas import Json
from backend.api.schemas.body import read_body
from backend.api.schemas.experiment import ExperimentBody, ExperimentDocument, ExperimentPage
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope
from backend.events import arms
from backend.merchandising import experiments

api = openapi.blueprint("experiments", tag="operation", url_prefix="/v1/admin")


@api.get("/experiments", responses={200: ExperimentPage, **openapi.refusals()})
@requires_scope(Scope.ADMIN)
def list_experiments() -> Json:
    """List the experiments."""
    QueryReader.of_request().finish()
    with services().db.read() as session:
        return {"items": [arms.describe(session, it) for it in experiments.listed(session)]}


@api.get(
    "/experiments/<name>",
    openapi_extensions=openapi.inputs(parameters.EXPERIMENT_NAME),
    responses={200: ExperimentDocument, **openapi.refusals(404)},
)
@requires_scope(Scope.ADMIN)
def get_experiment(name: str) -> Json:
    """Read an experiment, with what became of the lists of its arms."""
    QueryReader.of_request().finish()
    with services().db.read() as session:
        return arms.describe(session, experiments.read(session, name))


@api.put(
    "/experiments/<name>",
    description="Acts at once. What is tried cannot be changed later, its share and state can.",
    openapi_extensions=openapi.inputs(parameters.EXPERIMENT_NAME, body=ExperimentBody),
    responses={200: ExperimentDocument, 201: ExperimentDocument, **openapi.refusals(400, 413, 415)},
)
@requires_scope(Scope.ADMIN)
def put_experiment(name: str) -> tuple[Json, HTTPStatus]:
    """Start, change or stop an experiment."""
    QueryReader.of_request().finish()
    wanted = read_body(ExperimentBody).wanted

    def put(session: Session) -> tuple[Json, bool]:
        stored, is_new = experiments.put(session, name, wanted)
        return arms.describe(session, stored), is_new

    described, is_new = services().db.write(put)
    return described, HTTPStatus.CREATED if is_new else HTTPStatus.OK


@api.delete(
    "/experiments/<name>",
    openapi_extensions=openapi.inputs(parameters.EXPERIMENT_NAME),
    responses={204: None, **openapi.refusals(404)},
)
@requires_scope(Scope.ADMIN)
def delete_experiment(name: str) -> Response:
    """Remove an experiment; what was counted of its arms stays in the report."""
    QueryReader.of_request().finish()
    services().db.write(lambda session: experiments.remove(session, name))
    return Response(status=204)
