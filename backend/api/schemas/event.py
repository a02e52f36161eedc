"""Events of shoppers in JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeAlias

from pydantic import Field, PlainValidator

from backend.api.schemas.document import Document, RequestBody
from backend.catalogue.drafts import Sku
from backend.events.kinds import Kind
from backend.events.record import MOST_TEXT, NewEvent

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]

MOST_EVENTS = 1000


class EventBody(RequestBody):
    """What a shopper did with a product. An equal `id` is stored once."""

    kind: Kind = Field(strict=False)
    sku: Sku
    id: Name | None = Field(None, description="the client's own; equal ids are one event")
    user: Name | None = Field(None, description="the shopper; may be a pseudonym")
    session: Name | None = Field(None, description="the visit; enough for an anonymous shopper")
    at: datetime | None = Field(
        None, strict=False, description="with a time zone; absent: now. A day ahead counts as now"
    )
    basket: Name | None = Field(None, description="the order or cart")
    recommendation_id: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        None, description="of the answer that showed the product"
    )

    def event(self) -> NewEvent:
        """Return the event; its time is not checked yet."""
        return NewEvent(
            kind=self.kind,
            sku=self.sku,
            id=self.id,
            user=self.user,
            session=self.session,
            at=self.at,
            basket=self.basket,
            recommendation=self.recommendation_id,
        )


def _pass(item: Any) -> Any:
    """Leave an item unchecked: each one is checked alone, so that valid ones are stored."""
    return item


EventInput: TypeAlias = Annotated[Any, PlainValidator(_pass, json_schema_input_type=EventBody)]


class EventBatchBody(RequestBody):
    """Events, each accepted or refused by itself."""

    items: list[EventInput] = Field(min_length=1, max_length=MOST_EVENTS)


class RejectedEvent(Document):
    """An event that was not stored, and why."""

    index: int = Field(description="its place in `items`, from 0")
    id: str | None
    problem: dict[str, Any]


class EventAnswer(Document):
    """What became of an event: 1 where it holds, else 0."""

    stored: int
    duplicates: int = Field(description="were stored before; nothing changed")
    unknown: int = Field(description="stored, but no product has the sku yet; joined when it comes")


class EventBatchAnswer(EventAnswer):
    """How many events were stored, and which were not."""

    rejected: list[RejectedEvent]


class EventDocument(Document):
    """A stored event."""

    id: str | None
    kind: Kind
    sku: str
    user: str | None
    session: str | None
    at: datetime
    basket: str | None
    recommendation_id: str | None


class EventPage(Document):
    """A shopper's events, in the order they came in."""

    items: list[EventDocument]
    next_cursor: str | None


class Forgotten(Document):
    """What was deleted of a shopper."""

    events: int
