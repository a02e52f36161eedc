"""A product in JSON: the columns' names, and read-only beside them its state and its reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.orm import Session

from backend import generations
from backend.catalogue.products import FIELDS, Draft, parse
from backend.database.models import Product
from backend.errors import InvalidProduct
from backend.queue.progress import states

READ_ONLY: Final = ("state", "reason")
SPELT: Final = ("sku", *FIELDS, *READ_ONLY)
"""The members of a product, in the order in which it is written."""


def write_products(
    session: Session, products: Sequence[Product], *, fields: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return products as JSON, with their state in the active generation.

    `fields` names the members that are wanted, none of them meaning all; the sku always is.
    """
    generation = generations.active_or_none(session)
    found = states(session, generation.id if generation else None, [it.id for it in products])
    wanted = {"sku", *(fields or SPELT)}
    return [
        {
            name: value
            for name, value in _members(product, *found[product.id]).items()
            if name in wanted
        }
        for product in products
    ]


def _members(product: Product, state: str, reason: str | None) -> dict[str, Any]:
    columns = {name: getattr(product, name) for name in ("sku", *FIELDS)}
    return columns | {"state": str(state), "reason": reason}


def read_changes(body: Mapping[str, Any], *, sku: str) -> dict[str, Any]:
    """Return the fields of a body that a client may write, checked by `parse` later.

    Clients write back what they read, so the read-only members are passed over. A sku in the body
    has to be that of the path. Raises InvalidProduct.
    """
    if body.get("sku", sku) != sku:
        errors = [{"field": "sku", "reason": f"must be absent or the path's, {sku!r}"}]
        raise InvalidProduct("the body has another sku than the path", errors=errors)
    return {name: value for name, value in body.items() if name not in READ_ONLY} | {"sku": sku}


def read_draft(body: Mapping[str, Any], *, sku: str) -> Draft:
    """Return a body as a checked draft. Raises InvalidProduct."""
    return parse(read_changes(body, sku=sku))
