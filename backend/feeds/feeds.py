"""The rows of feeds: add, change, list and remove them. Nothing is fetched here."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.models import Feed
from backend.errors import FeedExists, ForbiddenImage, InvalidFeed, UnknownFeed
from backend.feeds.options import (
    DEFAULT_SECONDS,
    LEAST_SECONDS,
    MOST_SECONDS,
    NAME,
    NEVER,
    FeedOptions,
    fault,
)
from backend.images.addresses import PORTS, parse_address

LONGEST_LOCATION: Final = 8_000  # characters
HIDDEN: Final = "…"
"""Stands for the values in the query of an address: they often hold a password."""

_SECRET: Final = re.compile(r"(?<==)[^&#]+")


def is_address(location: str) -> bool:
    """Tell an address from a path on the server."""
    return "://" in location


def shown_location(location: str) -> str:
    """Return a location as lists, logs and answers show it: the values of its query are hidden."""
    if not is_address(location):
        return location
    before, mark, query = location.partition("?")
    return before + mark + _SECRET.sub(HIDDEN, query)


def check_address(uri: str, hosts: Collection[str]) -> SplitResult:
    """Return the parts of a feed's address. Raises ForbiddenImage, which says what is wrong."""
    parts = parse_address(uri, hosts=hosts, what="feed")
    if parts.scheme not in PORTS:
        raise ForbiddenImage(f"a feed is fetched from https:// or http://, not {parts.scheme}://")
    return parts


def checked_path(path: Path) -> str:
    """Return the absolute path of a feed on the server. Raises InvalidFeed if it is not there."""
    try:
        return str(path.resolve(strict=True))
    except (OSError, RuntimeError, ValueError):
        raise InvalidFeed(f"there is no file or folder {str(path)!r}") from None


def add(
    session: Session,
    location: str,
    *,
    hosts: Collection[str],
    name: str | None = None,
    every_seconds: int = DEFAULT_SECONDS,
    options: FeedOptions | None = None,
) -> Feed:
    """Add a feed that is due at once. Without a name it gets one after its location.

    Raises InvalidFeed, and FeedExists if the name is taken.
    """
    options = options or FeedOptions()
    _check(location, hosts=hosts, name=name, every_seconds=every_seconds, options=options)
    taken = set(session.scalars(select(Feed.name)))
    if name in taken:
        raise FeedExists(f"there is a feed {name!r} already")
    now = clock.now(session)
    feed = Feed(
        name=name or _free_name(location, taken),
        location=location,
        every_seconds=every_seconds,
        options=options.as_row(),
        due_at=now,
        created_at=now,
    )
    session.add(feed)
    try:
        session.flush()
    except IntegrityError:  # another process has just added it
        raise FeedExists(f"there is a feed {feed.name!r} already") from None
    return feed


def change(
    session: Session,
    name: str,
    *,
    hosts: Collection[str],
    location: str | None = None,
    every_seconds: int | None = None,
    options: FeedOptions | None = None,
    paused: bool | None = None,
) -> Feed:
    """Change what is given. Another location, or other options, make the feed due at once.

    Raises UnknownFeed and InvalidFeed.
    """
    feed = by_name(session, name, lock=True)
    if location == shown_location(feed.location):
        location = None  # as it was read
    _check(location, hosts=hosts, every_seconds=every_seconds, options=options)
    now = clock.now(session)
    if every_seconds is not None and every_seconds != feed.every_seconds:
        feed.every_seconds = every_seconds
        feed.due_at = None if every_seconds == NEVER else now
    if location is not None or options is not None:
        feed.location = location or feed.location
        feed.options = options.as_row() if options else feed.options
        feed.seen, feed.due_at = None, now
    if paused is not None and paused != (feed.paused_at is not None):
        feed.paused_at = now if paused else None
        feed.due_at = now if not paused and feed.every_seconds else feed.due_at
    session.flush()
    return feed


def remove(session: Session, name: str) -> None:
    """Remove a feed and its history; products stay. Raises UnknownFeed."""
    feed = by_name(session, name, lock=True)
    session.execute(delete(Feed).where(Feed.id == feed.id))


def by_name(session: Session, name: str, *, lock: bool = False) -> Feed:
    """Return a feed; raises UnknownFeed. With `lock` no other transaction changes it meanwhile."""
    found: Feed | None = None
    if NAME.fullmatch(name):
        query = select(Feed).where(Feed.name == name)
        found = session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise UnknownFeed(f"there is no feed {name!r}")
    return found


def listed(session: Session, *, after_id: int = 0, limit: int = 1_000) -> list[Feed]:
    """Return feeds in the order in which they were added."""
    query = select(Feed).where(Feed.id > after_id).order_by(Feed.id).limit(limit)
    return list(session.scalars(query))


def _check(
    location: str | None,
    *,
    hosts: Collection[str],
    name: str | None = None,
    every_seconds: int | None = None,
    options: FeedOptions | None = None,
) -> None:
    faults = options.faults() if options else []
    if name is not None and not NAME.fullmatch(name):
        faults.append(fault("name", "must be letters, digits, `.`, `_` and `-`, at most 64"))
    if every_seconds not in (None, NEVER) and not (
        LEAST_SECONDS <= int(every_seconds or 0) <= MOST_SECONDS
    ):
        faults.append(fault("every_seconds", f"must be 0, or {LEAST_SECONDS} to {MOST_SECONDS:,}"))
    if location is not None:
        faults += _location_faults(location, hosts)
    if faults:
        message = "; ".join(f"{each['field']}: {each['reason']}" for each in faults)
        raise InvalidFeed(message, errors=faults)


def _location_faults(location: str, hosts: Collection[str]) -> list[dict[str, str]]:
    if len(location) > LONGEST_LOCATION or "\0" in location:
        return [fault("url", f"may have {LONGEST_LOCATION:,} characters, and no NUL")]
    if not is_address(location):
        return []
    try:
        check_address(location, hosts)
    except ForbiddenImage as error:
        allowed = ", ".join(hosts) or "none"
        reason = f"{error.message}; allowed hosts: {allowed} (LOOKALIKE_FEED_HOSTS)"
        return [fault("url", reason)]
    return []


def _free_name(location: str, taken: Collection[str]) -> str:
    """Name a feed after its host, or after its file."""
    base = urlsplit(location).hostname if is_address(location) else Path(location).stem
    base = re.sub("[^A-Za-z0-9._-]+", "-", base or "").strip("-._")[:50] or "feed"
    names = (base, *(f"{base}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)
