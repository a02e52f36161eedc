"""REST: `create_app(services)`, and one module for each resource.

A request passes `metrics` (which measures it), `request_log` (its id and its line in the log),
`browsers` (which refuses pages of other sites), `authentication` (its API key, where one is
needed), the view of a resource, `schemas` (which check its parameters and its body) and the domain.
What is raised on the way becomes an answer in `problems`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from flask import Flask

from backend.api import (
    attribute_checks,
    authentication,
    batch,
    browsers,
    conditional,
    context,
    events,
    experiments,
    facets,
    feeds,
    generations,
    health,
    idempotency,
    image_slots,
    images,
    imports,
    jobs,
    manual,
    metrics,
    openapi,
    paths,
    placements,
    problems,
    products,
    purge,
    quarantine,
    recommendations,
    replay,
    request_log,
    rules,
    scopes,
    similar,
    status,
    together,
    trending,
)
from backend.api.json_answers import JsonProvider
from backend.api.readiness import Probe
from backend.api.remembered import register_remembered
from backend.bootstrap import Services
from backend.catalogue.attribute_names import AttributeNames
from backend.database import patience, sqlite_file
from backend.monitoring import of_installation

RESOURCES = (
    products,
    batch,
    imports,
    images,
    similar,
    facets,
    quarantine,
    status,
    jobs,
    generations,
    feeds,
    experiments,
    placements,
    rules,
    purge,
    events,
    recommendations,
    together,
    trending,
    replay,
    health,
    metrics,
)
MULTIPART_OVERHEAD = 1_000_000  # bytes of a form beside its image

__all__ = ["Probe", "create_app"]


def create_app(
    services: Services,
    *,
    probes: Mapping[str, Probe] | None = None,
    optional: Collection[str] = (),
    locked: bool | None = None,
) -> Flask:
    """Return the REST API over some services; starts no thread and opens nothing.

    `locked` says whether requests need an API key; by default the settings do. /readyz also runs
    the `probes`: each returns what is wrong with a part of this process, or None. It says 200 also
    while probes fail that are named in `optional`.
    """
    app = openapi.build_app(__name__)
    app.extensions[context.SERVICES] = services
    locked = services.settings.locked if locked is None else locked
    keys = {"keys": lambda: authentication.check_keys(services)} if locked else {}
    health.register_checks(app, services, {**keys, **(probes or {})}, optional=optional)
    attribute_checks.register_attribute_names(app, AttributeNames(services.db))
    app.config["MAX_CONTENT_LENGTH"] = services.settings.max_image_bytes + MULTIPART_OVERHEAD
    app.json = JsonProvider(app)
    image_slots.reserve_threads(app, threads=services.settings.threads)
    paths.register_paths(app)
    problems.register_error_handlers(app)
    app.before_request(_limit_waits)
    app.teardown_request(_wait_as_usual)
    stores = partial(health.store_problems, app, services)
    exposition = of_installation(services.settings, services.db, stores=stores)
    metrics.register_metrics(app, exposition)
    request_log.register_request_log(app)
    app.before_request(problems.refuse_empty_part)
    conditional.register_conditional_answers(app)
    browsers.register_browser_rules(app, services.settings, locked=locked)
    authentication.register_authentication(app, services, locked=locked)
    imports.register_uploads(app)
    idempotency.register_idempotency(app)
    register_remembered(app)
    for resource in RESOURCES:
        app.register_api(resource.api)
    app.register_blueprint(manual.pages)
    openapi.publish(app, facets=services.settings.facets)
    scopes.describe_scopes(app, locked=locked)
    idempotency.describe_idempotency(app)
    return app


def _limit_waits() -> None:
    """Let no request wait for long for its database: others need its thread, or the event loop."""
    is_in_loop = context.IN_LOOP in context.this_request().environ
    seconds = sqlite_file.AGAIN_SECONDS if is_in_loop else sqlite_file.REQUEST_SECONDS
    sqlite_file.patience.set(seconds)
    patience.limit.set(patience.REQUEST_SECONDS)


def _wait_as_usual(_error: BaseException | None) -> None:
    """Let this thread, if it does other work too, wait as long as before."""
    sqlite_file.patience.set(sqlite_file.SQLITE_TIMEOUT_SECONDS)
    patience.limit.set(None)
