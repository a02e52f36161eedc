"""REST: `create_app(services)`, and one module for each resource.

A request meets `observing` (its id and its line in the log), the `door` (its key, where one is
needed), a resource's view, `wire` (what it says, spelt right or refused), the domain, and on the
way back `problems` if anything was raised.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask

from backend.api import (
    authentication,
    batch,
    context,
    facets,
    generations,
    health,
    images,
    jobs,
    openapi,
    problems,
    products,
    quarantine,
    request_log,
    scopes,
    similar,
    status,
)
from backend.api.health import Probe
from backend.bootstrap import Services

RESOURCES = (
    products,
    batch,
    images,
    similar,
    facets,
    quarantine,
    status,
    jobs,
    generations,
    health,
)
MULTIPART_OVERHEAD = 1_000_000  # bytes of a form beside its picture

__all__ = ["Probe", "create_app"]


def create_app(
    services: Services,
    *,
    probes: Mapping[str, Probe] | None = None,
    locked: bool | None = None,
) -> Flask:
    """Return the REST API over some services; starts nothing. The settings say if it is `locked`.

    `probes` are asked by /readyz beside the database and the index: each says what is wrong with
    a part of this process, or None.
    """
    app = openapi.build(__name__)
    app.extensions[context.KEY] = services
    locked = services.settings.locked if locked is None else locked
    ours = {"keys": lambda: authentication.trouble(services)} if locked else {}
    app.extensions[health.KEY] = {**health.PROBES, **ours, **(probes or {})}
    app.config["MAX_CONTENT_LENGTH"] = services.settings.max_image_bytes + MULTIPART_OVERHEAD
    app.json.sort_keys = False  # type: ignore[attr-defined]  # as documented, not by alphabet
    problems.register(app)
    request_log.register(app)
    authentication.register(app, services, locked=locked)
    for resource in RESOURCES:
        app.register_api(resource.api)
    openapi.finish(app, facets=services.settings.facets)
    scopes.describe(app, locked=locked)
    return app
