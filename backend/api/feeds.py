"""`/v1/admin/feeds`: feeds that are imported by themselves, and their history."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response
from sqlalchemy.orm import Session

from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.context import below_root, services, write_and_notify
from backend.api.jobs import accepted
from backend.api.schemas import Json, pages
from backend.api.schemas.body import read_body, read_optional_body
from backend.api.schemas.feed import (
    FeedBody,
    FeedChange,
    FeedDetail,
    FeedDocument,
    FeedPage,
    FeedRunBody,
)
from backend.api.schemas.operation import JobDocument
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope
from backend.feeds import feeds, runs, schedule
from backend.feeds.describe import describe, describe_all, describe_run

api = openapi.blueprint("feeds", tag="operation", url_prefix="/v1/admin")


@api.get(
    "/feeds",
    openapi_extensions=openapi.inputs(parameters.limit(), parameters.CURSOR),
    responses={200: FeedPage, **openapi.refusals()},
)
@requires_scope(Scope.ADMIN)
def list_feeds() -> Json:
    """List the feeds, each with its last run."""
    reader = QueryReader.of_request()
    limit = reader.integer("limit", default=10, least=1, most=100)
    after_id = reader.cursor("feeds")
    reader.finish()
    with services().db.read() as session:
        rows = feeds.listed(session, after_id=after_id, limit=limit + 1)
        items = describe_all(session, rows[:limit])
    return pages.as_page(items, pages.next_cursor("feeds", [row.id for row in rows], limit))


@api.post(
    "/feeds",
    description="It is fetched from an allowed host, at once and then again after each interval. "
    "An address with a user name or password is refused; the values of its query are stored, but "
    "no answer shows them.",
    openapi_extensions=openapi.inputs(body=FeedBody),
    responses={201: FeedDocument, **openapi.refusals(400, 409, 415)},
)
@requires_scope(Scope.ADMIN)
def add_feed() -> tuple[Json, HTTPStatus, dict[str, str]]:
    """Add a feed that is imported by itself."""
    QueryReader.of_request().finish()
    body = read_body(FeedBody)
    hosts = services().settings.hosts_of_feeds

    def add(session: Session) -> Json:
        feed = feeds.add(
            session,
            body.url,
            hosts=hosts,
            name=body.name,
            every_seconds=body.every_seconds,
            options=body.options.options() if body.options else None,
        )
        return describe(session, feed)

    added = write_and_notify(add)
    return added, HTTPStatus.CREATED, {"Location": below_root(f"/v1/admin/feeds/{added['name']}")}


@api.get(
    "/feeds/<name>",
    openapi_extensions=openapi.inputs(parameters.FEED_NAME, parameters.limit()),
    responses={200: FeedDetail, **openapi.refusals(404)},
)
@requires_scope(Scope.ADMIN)
def get_feed(name: str) -> Json:
    """Read a feed, with its newest runs."""
    reader = QueryReader.of_request()
    limit = reader.integer("limit", default=10, least=1, most=100)
    reader.finish()
    with services().db.read() as session:
        feed = feeds.by_name(session, name)
        history = runs.history(session, feed.id, limit=limit)
        return describe(session, feed) | {"runs": [describe_run(run) for run in history]}


@api.patch(
    "/feeds/<name>",
    description="Another address or other options make the feed due at once.",
    openapi_extensions=openapi.inputs(parameters.FEED_NAME, body=FeedChange),
    responses={200: FeedDocument, **openapi.refusals(400, 404, 415)},
)
@requires_scope(Scope.ADMIN)
def change_feed(name: str) -> Json:
    """Change a feed, pause it, or let it go on."""
    QueryReader.of_request().finish()
    body = read_body(FeedChange)
    hosts = services().settings.hosts_of_feeds

    def change(session: Session) -> Json:
        feed = feeds.change(
            session,
            name,
            hosts=hosts,
            location=body.url,
            every_seconds=body.every_seconds,
            options=body.options.options() if body.options else None,
            paused=body.paused,
        )
        return describe(session, feed)

    return write_and_notify(change)


@api.delete(
    "/feeds/<name>",
    openapi_extensions=openapi.inputs(parameters.FEED_NAME),
    responses={204: None, **openapi.refusals(404)},
)
@requires_scope(Scope.ADMIN)
def delete_feed(name: str) -> Response:
    """Remove a feed and its history; the products stay."""
    QueryReader.of_request().finish()
    services().db.write(lambda session: feeds.remove(session, name))
    return Response(status=204)


@api.post(
    "/feeds/<name>/run",
    description="A job. If a run is under way or requested, the answer is its job.",
    openapi_extensions=openapi.inputs(parameters.FEED_NAME, body=FeedRunBody),
    responses={202: JobDocument, **openapi.refusals(400, 404, 415)},
)
@requires_scope(Scope.ADMIN)
def run_feed(name: str) -> tuple[Json, HTTPStatus, dict[str, str]]:
    """Import a feed now, also one that is paused."""
    QueryReader.of_request().finish()
    force = read_optional_body(FeedRunBody).force
    job = write_and_notify(
        lambda session: schedule.request(session, feeds.by_name(session, name).id, force=force)
    )
    return accepted(job)
