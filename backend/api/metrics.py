"""`/metrics`: what Prometheus reads; and the duration of each request, which is a part of it."""

from __future__ import annotations

import time
from typing import Final

from flask import Flask, Response, current_app, request

from backend.access.scope import Scope
from backend.api import openapi
from backend.api.context import request_notes, this_request
from backend.api.scopes import requires_scope
from backend.metrics.instruments import count_request
from backend.monitoring import Exposition

EXPOSITION: Final = "lookalike.metrics"
"""Where an app keeps what it shows: `app.extensions[EXPOSITION]`."""

TEXT: Final = {
    media_type: {"schema": {"type": "string"}}
    for media_type in ("text/plain", "application/openmetrics-text")
}

api = openapi.blueprint("metrics", tag="operation", url_prefix=None)


def register_metrics(app: Flask, exposition: Exposition) -> None:
    """Measure every request of an app; call it before anything that may end a request."""
    app.extensions[EXPOSITION] = exposition
    app.before_request(_begin)
    app.after_request(_end)


@api.get(
    "/metrics",
    openapi_extensions=openapi.inputs(),
    responses={200: {"description": "OK", "content": TEXT}, **openapi.refusals()},
)
@requires_scope(Scope.ADMIN)
def get_metrics() -> Response:
    """Return the metrics of this installation in Prometheus' or OpenMetrics' text format."""
    exposition: Exposition = current_app.extensions[EXPOSITION]
    body, media_type = exposition.encode(request.headers.get("Accept", ""))
    return Response(body, content_type=media_type)


def _begin() -> None:
    request_notes().measured_from = time.perf_counter()


def _end(response: Response) -> Response:
    measured = this_request()
    count_request(
        route=measured.url_rule.rule if measured.url_rule else None,
        method=measured.method,
        status=response.status_code,
        seconds=time.perf_counter() - request_notes().measured_from,
    )
    return response
