"""A product in JSON: its columns, and the read-only members `state` and `reason`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

from pydantic import Field, PlainValidator, ValidationInfo, field_validator
from sqlalchemy.orm import Session

from backend import generations
from backend.api.schemas import Json
from backend.api.schemas.document import BodyLimits, Document, RequestBody
from backend.api.schemas.problem import BatchProblem
from backend.catalogue.drafts import Attributes, ProductFields, Sku
from backend.catalogue.products import FIELDS, Draft, parse
from backend.catalogue.skus import normalise
from backend.database import models
from backend.errors import InvalidProduct
from backend.queue.progress import State, states


class ProductBody(ProductFields):
    """A product as a client writes it. `state` and `reason` are read-only and ignored."""

    sku: Sku = Field(default_factory=str, description="absent, or the sku of the path")
    state: str | None = Field(None, json_schema_extra={"readOnly": True})
    reason: str | None = Field(None, json_schema_extra={"readOnly": True})


class Product(ProductFields):
    """A product as it is read; with `fields`, only the sku and the named members."""

    attributes: Attributes = Field({}, description="open attributes: scalars, or lists of scalars")
    state: State = Field(State.PENDING, json_schema_extra={"readOnly": True})
    reason: str | None = Field(
        None,
        description="why it is quarantined, or that its image is still to come",
        json_schema_extra={"readOnly": True},
    )


class ProductPage(Document):
    """Products in the order in which they were added."""

    items: list[Product]
    next_cursor: str | None


class BatchProduct(ProductBody):
    """A product in a batch, which must name its sku."""

    sku: Sku


def _pass(item: Any) -> Any:
    """Leave an item unchecked: `parse` checks each one alone, so that valid ones are stored."""
    return item


BatchInput: TypeAlias = Annotated[Any, PlainValidator(_pass, json_schema_input_type=BatchProduct)]


class BatchBody(RequestBody):
    """Products, each written as by a PUT."""

    items: list[BatchInput]

    @field_validator("items")
    @classmethod
    def _check_number(cls, items: list[Any], info: ValidationInfo[BodyLimits]) -> list[Any]:
        most = info.context.max_batch
        if len(items) > most:
            raise ValueError(f"holds {len(items)} products; at most {most} are allowed")
        return items


class BatchItem(Document):
    """The result of one product of a batch."""

    sku: str | None
    status: int = Field(description="201 new, 200 stored, or that of the problem")
    problem: BatchProblem | None = None


class BatchAnswer(Document):
    """The result of each product, in the order of the request."""

    items: list[BatchItem]


READ_ONLY: Final = ("state", "reason")
MEMBERS: Final = ("sku", *FIELDS, *READ_ONLY)
"""The members of a product, in the order in which they are written."""


def write_products(
    session: Session, products: Sequence[models.Product], *, fields: Collection[str] = ()
) -> list[Json]:
    """Return products as JSON, with their state in the active generation.

    `fields` names the members to return besides the sku; if it is empty, all are returned.
    """
    generation = generations.active_or_none(session)
    found = states(session, generation.id if generation else None, [it.id for it in products])
    wanted = {"sku", *(fields or MEMBERS)}
    return [
        {
            name: value
            for name, value in _as_json(product, *found[product.id]).items()
            if name in wanted
        }
        for product in products
    ]


def _as_json(product: models.Product, state: str, reason: str | None) -> Json:
    columns = {name: getattr(product, name) for name in ("sku", *FIELDS)}
    return columns | {"state": str(state), "reason": reason}


def read_changes(body: Mapping[str, Any], *, sku: str) -> Json:
    """Return the fields of a body that a client may write, checked by `parse` later.

    Clients write back what they read, so the read-only members are ignored. A sku in the body must
    be that of the path. Raises InvalidProduct.
    """
    given = body.get("sku", sku)
    if (normalise(given) if isinstance(given, str) else given) != normalise(sku):
        errors = [{"field": "sku", "reason": f"must be absent or the path's, {sku!r}"}]
        raise InvalidProduct("the body has another sku than the path", errors=errors)
    return {name: value for name, value in body.items() if name not in READ_ONLY} | {"sku": sku}


def read_draft(body: Mapping[str, Any], *, sku: str) -> Draft:
    """Return a body as a checked draft. Raises InvalidProduct."""
    return parse(read_changes(body, sku=sku))
