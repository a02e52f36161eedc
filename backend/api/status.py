"""`/v1/status`: how far the catalogue is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from backend import status
from backend.api import openapi
from backend.api.context import services
from backend.api.scopes import needs
from backend.api.wire import documents
from backend.api.wire.reading import QueryReader
from backend.catalogue.scope import Scope

api = openapi.blueprint("status", tag="operation")


@api.get(
    "/status",
    openapi_extensions=openapi.inputs(),
    responses={200: documents.Status, **openapi.refusals()},
)
@needs(Scope.READ)
def get_status() -> dict[str, Any]:
    """Count the products by their state in the active generation."""
    QueryReader.of_request().finish()
    return status.status(services(), recent=timedelta())
