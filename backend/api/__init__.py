"""REST: `create_app(services)`, and one module for each resource.

A request meets `observing` (its id and its line in the log), a resource's view, `wire` (what it
says, spelt right or refused), the domain, and on the way back `problems` if anything was raised.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask

from backend.api import (
    batch,
    context,
    facets,
    health,
    images,
    jobs,
    observing,
    openapi,
    problems,
    products,
    quarantine,
    similar,
    status,
)
from backend.api.health import Probe
from backend.bootstrap import Services

RESOURCES = (products, batch, images, similar, facets, quarantine, status, jobs, health)
MULTIPART_OVERHEAD = 1_000_000  # bytes of a form beside its picture

__all__ = ["Probe", "create_app"]


def create_app(services: Services, *, probes: Mapping[str, Probe] | None = None) -> Flask:
    """Return the REST API over some services; starts nothing.

    `probes` are asked by /readyz beside the database and the index: each says what is wrong with
    a part of this process, or None.
    """
    app = openapi.build(__name__)
    app.extensions[context.KEY] = services
    app.extensions[health.KEY] = {**health.PROBES, **(probes or {})}
    app.config["MAX_CONTENT_LENGTH"] = services.settings.max_image_bytes + MULTIPART_OVERHEAD
    app.json.sort_keys = False  # type: ignore[attr-defined]  # as documented, not by alphabet
    problems.register(app)
    observing.register(app)
    for resource in RESOURCES:
        app.register_api(resource.api)
    openapi.finish(app, facets=services.settings.facets)
    return app
