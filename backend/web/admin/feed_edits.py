"""Feeds are added, changed, paused and removed on the operator's page."""

from __future__ import annotations

from typing import Any, Final

from flask import request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from backend.access.scope import Scope
from backend.api import problems
from backend.api.context import services, write_and_notify
from backend.api.problems import RequestError
from backend.api.schemas import Json
from backend.api.scopes import requires_scope
from backend.errors import LookalikeError
from backend.feeds import feeds
from backend.feeds.describe import describe
from backend.feeds.options import FORMATS, FeedOptions
from backend.web.admin.feed_form import FeedForm
from backend.web.admin.sections import blueprint, end_action, is_checked, show

VIEW: Final = "show_feeds"


@blueprint.get("/feeds/new")
@requires_scope(Scope.ADMIN)
def show_new_feed() -> str:
    """Show the form for a new feed."""
    return _form(FeedForm())


@blueprint.post("/feeds")
@requires_scope(Scope.ADMIN)
def add_feed() -> Any:
    """Add a feed, whose first run is due at once."""
    form = FeedForm.of_fields(request.form)
    hosts = services().settings.hosts_of_feeds

    def add(session: Session) -> None:
        feeds.add(
            session,
            body.url,
            hosts=hosts,
            name=body.name,
            every_seconds=body.every_seconds,
            options=body.options.options() if body.options else None,
        )

    try:
        body = form.body()
        write_and_notify(add)
    except LookalikeError as error:
        return _refuse(form, error)
    return end_action(VIEW, "feed-added")


@blueprint.get("/feeds/<name>")
@requires_scope(Scope.ADMIN)
def show_feed(name: str) -> str:
    """Show the form of a feed."""
    feed = _described(name)
    return _form(FeedForm.of_feed(feed), feed=feed)


@blueprint.post("/feeds/<name>")
@requires_scope(Scope.ADMIN)
def change_feed(name: str) -> Any:
    """Change a feed; another address or other options make it due at once."""
    form, feed = FeedForm.of_fields(request.form), _described(name)
    hosts = services().settings.hosts_of_feeds

    def change(session: Session) -> None:
        stored = FeedOptions.of_row(feeds.by_name(session, name, lock=True).options)
        options = form.options(stored)
        location = form.url if feeds.is_address(feed["location"]) else None
        feeds.change(
            session,
            name,
            hosts=hosts,
            location=location,
            every_seconds=form.seconds(),
            options=None if options == stored else options,
        )

    try:
        write_and_notify(change)
    except LookalikeError as error:
        return _refuse(form, error, feed=feed)
    return end_action(VIEW, "feed-changed")


@blueprint.post("/feeds/<name>/pause")
@requires_scope(Scope.ADMIN)
def pause_feed(name: str) -> BaseResponse:
    """Pause a feed, or let it go on."""
    paused = is_checked("paused")
    hosts = services().settings.hosts_of_feeds
    write_and_notify(lambda session: feeds.change(session, name, hosts=hosts, paused=paused))
    return end_action(VIEW, "feed-paused" if paused else "feed-resumed")


@blueprint.post("/feeds/<name>/remove")
@requires_scope(Scope.ADMIN)
def remove_feed(name: str) -> BaseResponse:
    """Remove a feed and its history; the products stay."""
    services().db.write(lambda session: feeds.remove(session, name))
    return end_action(VIEW, "feed-removed")


def _described(name: str) -> Json:
    with services().db.read() as session:
        return describe(session, feeds.by_name(session, name))


def _refuse(form: FeedForm, error: LookalikeError, *, feed: Json | None = None) -> Any:
    problem = problems.to_request_error(error)
    return _form(form, feed=feed, problem=problem), problem.status, problem.headers


def _form(form: FeedForm, *, feed: Json | None = None, problem: RequestError | None = None) -> str:
    hosts = services().settings.hosts_of_feeds
    is_file = feed is not None and not feeds.is_address(feed["location"])
    return show(
        "feed_form.html",
        form=form,
        feed=feed,
        is_file=is_file,
        problem=problem,
        hosts=hosts,
        formats=FORMATS,
    )
