"""`/v1/status`: how much of the catalogue is indexed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from backend import status
from backend.access.scope import Scope
from backend.api import openapi
from backend.api.context import services
from backend.api.schemas.operation import Status
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope

api = openapi.blueprint("status", tag="operation")


@api.get(
    "/status",
    openapi_extensions=openapi.inputs(),
    responses={200: Status, **openapi.refusals()},
)
@requires_scope(Scope.READ)
def get_status() -> dict[str, Any]:
    """Count the products by their state in the active generation."""
    QueryReader.of_request().finish()
    return status.status(services().db, services().indexes.look_at_shard, recent=timedelta())
