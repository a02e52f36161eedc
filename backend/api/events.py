"""`/v1/events` and `/v1/events:batch`, and what is stored of a shopper under `/v1/users`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from backend.access.scope import Scope
from backend.api import openapi, parameters
from backend.api.context import services
from backend.api.problems import to_request_error
from backend.api.schemas import Json, pages
from backend.api.schemas.body import read_body
from backend.api.schemas.event import (
    EventAnswer,
    EventBatchAnswer,
    EventBatchBody,
    EventBody,
    EventPage,
    Forgotten,
)
from backend.api.schemas.query import QueryReader
from backend.api.scopes import requires_scope
from backend.api.shopper import check_shopper
from backend.database import clock
from backend.database.models import Event
from backend.errors import InvalidEvent
from backend.events import record, shoppers
from backend.events.record import NewEvent
from backend.validation import reason_of

api = openapi.blueprint("events", tag="shoppers")


@api.post(
    "/events:batch",
    operation_id="postEvents",
    description="Each event is stored or refused by itself. What is sent again changes nothing if "
    "it has the same `id`. Recommendations use a new event at once; pairs and trends follow.",
    openapi_extensions=openapi.inputs(body=EventBatchBody),
    responses={200: EventBatchAnswer, **openapi.refusals(400, 413, 415)},
)
@requires_scope(Scope.INGEST)
def post_events() -> Json:
    """Store what shoppers did."""
    QueryReader.of_request().finish()
    return store_events(read_body(EventBatchBody).items)


@api.post(
    "/events",
    operation_id="postEvent",
    description="As one of `POST /v1/events:batch`; an event that cannot be stored is 422.",
    openapi_extensions=openapi.inputs(body=EventBody),
    responses={200: EventAnswer, **openapi.refusals(400, 413, 415)},
)
@requires_scope(Scope.INGEST)
def post_event() -> Json:
    """Store what a shopper did."""
    QueryReader.of_request().finish()
    event, days = read_body(EventBody).event(), services().settings.event_days

    def store(session: Session) -> record.Recorded:
        now = clock.now(session)
        checked = record.with_checked_time(event, now=now, days=days)
        return record.record(session, [checked], now=now)

    return _counts(services().db.write(store))


def _counts(done: record.Recorded) -> Json:
    return {"stored": done.stored, "duplicates": done.duplicates, "unknown": done.unknown}


def store_events(items: Sequence[Any]) -> Json:
    """Store events, each a JSON object; return how many were stored, and which were refused."""
    read = [_read(item) for item in items]
    days = services().settings.event_days

    def store(session: Session) -> tuple[record.Recorded, list[NewEvent | InvalidEvent]]:
        now = clock.now(session)
        checked = [_at_checked(each, now, days) for each in read]
        good = [each for each in checked if isinstance(each, NewEvent)]
        return record.record(session, good, now=now), checked

    done, checked = services().db.write(store)
    return {
        **_counts(done),
        "rejected": [
            _rejected(index, items[index], each)
            for index, each in enumerate(checked)
            if isinstance(each, InvalidEvent)
        ],
    }


def _read(item: Any) -> NewEvent | InvalidEvent:
    if not isinstance(item, dict):
        return InvalidEvent("must be a JSON object")
    try:
        return EventBody.model_validate(item).event()
    except ValidationError as error:
        first = error.errors()[0]
        member, reason = ".".join(map(str, first["loc"])), reason_of(first)
        faults = [{"field": member, "reason": reason}] if member else []
        return InvalidEvent(f"{member}: {reason}", errors=faults)


def _at_checked(
    event: NewEvent | InvalidEvent, now: datetime, days: int
) -> NewEvent | InvalidEvent:
    if isinstance(event, InvalidEvent):
        return event
    try:
        return record.with_checked_time(event, now=now, days=days)
    except InvalidEvent as error:
        return error


def _rejected(index: int, item: Any, error: InvalidEvent) -> Json:
    name = item.get("id") if isinstance(item, dict) else None
    problem = to_request_error(error).document(set())
    return {"index": index, "id": name if isinstance(name, str) else None, "problem": problem}


@api.get(
    "/users/<user>/events",
    operation_id="listUserEvents",
    description="All that is stored of the shopper, those of their sessions included.",
    openapi_extensions=openapi.inputs(
        parameters.USER, parameters.limit(most=1000), parameters.CURSOR
    ),
    responses={200: EventPage, **openapi.refusals()},
)
@requires_scope(Scope.ADMIN)
def list_events(user: str) -> Json:
    """Export a shopper's events."""
    reader = QueryReader.of_request()
    limit = reader.integer("limit", default=10, least=1, most=1000)
    after_id = reader.cursor("events")
    reader.finish()
    shopper = check_shopper(user)
    with services().db.read() as session:
        rows = shoppers.events_of(session, shopper, after_id=after_id, limit=limit + 1)
    items = [_document(row) for row in rows[:limit]]
    return pages.as_page(items, pages.next_cursor("events", [row.id for row in rows], limit))


def _document(row: Event) -> Json:
    return {
        "id": row.event_id,
        "kind": row.kind,
        "sku": row.sku,
        "user": row.shopper,
        "session": row.session,
        "at": row.at.isoformat(),
        "basket": row.basket,
        "recommendation_id": row.recommendation,
    }


@api.delete(
    "/users/<user>",
    operation_id="deleteUser",
    description="Their events are deleted, those of their sessions included. Counts that are "
    "derived from many shoppers stay: they name nobody. It can be repeated.",
    openapi_extensions=openapi.inputs(parameters.USER),
    responses={200: Forgotten, **openapi.refusals()},
)
@requires_scope(Scope.ADMIN)
def delete_user(user: str) -> Json:
    """Delete all that is stored of a shopper."""
    QueryReader.of_request().finish()
    shopper = check_shopper(user)
    services().answer_log.flush()  # what is written later would name them again
    events = services().db.write(lambda session: shoppers.forget(session, shopper))
    return {"events": events}
