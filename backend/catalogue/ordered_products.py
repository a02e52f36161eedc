"""Products page by page, in the order of one of their columns.

A page begins after the value and the id of the last product of the page before. So a product that
does not change is shown once, whatever is added, removed or changed between two pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, and_, collate, false, func, or_, select
from sqlalchemy.orm import Session

from backend.catalogue import skus
from backend.catalogue.filter_sql import conditions
from backend.catalogue.texts import is_storable
from backend.database.dialect import is_postgresql
from backend.database.models import Product
from backend.filters import Where
from backend.filters.check import EXACT_IN_FLOAT

Value: TypeAlias = str | float | None

LONGEST: Final = 100
"""Characters of a name by which it is put in order: they stand in a cursor."""

_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Order(StrEnum):
    """The order of a list of products; `-` is the other way round. No value comes last in both."""

    ADDED = "added"
    NEWEST = "-added"
    SKU = "sku"
    SKU_DOWN = "-sku"
    NAME = "display_name"
    NAME_DOWN = "-display_name"
    PRICE = "price"
    PRICE_DOWN = "-price"
    YEAR = "year"
    YEAR_DOWN = "-year"

    @property
    def column(self) -> str:
        """The column that it goes by, without the direction."""
        return self.value.removeprefix("-")

    @property
    def is_down(self) -> bool:
        """Whether the largest value comes first."""
        return self.value.startswith("-")


@dataclass(frozen=True, kw_only=True)
class Place:
    """The last product of a page: its value, and its id, which decides among equal values."""

    id: int
    value: Value = None


def place_of(product: Product, order: Order) -> Place:
    """Return the place after which the page behind this product begins."""
    if order.column == "added":
        return Place(id=product.id)
    value = getattr(product, order.column)
    if order is Order.NAME or order is Order.NAME_DOWN:
        value = value and value[:LONGEST].translate(_LOWER)
    return Place(id=product.id, value=value)


def may_be_at(order: Order, value: object) -> bool:
    """Tell whether a product can have this value where an order looks."""
    if value is None:
        return order.column != "sku"
    if isinstance(value, str):
        is_text = order.column in {"sku", "display_name"}
        return is_text and len(value) <= skus.LONGEST and is_storable(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return order.column in {"price", "year"} and abs(value) <= EXACT_IN_FLOAT


def page(
    session: Session,
    *,
    limit: int,
    order: Order = Order.ADDED,
    after: Place | None = None,
    where: Where | None = None,
    also: Sequence[ColumnElement[bool]] = (),
) -> Sequence[Product]:
    """Return up to `limit` products behind a place, all from the first one without it.

    Raises InvalidFilter for a field or value in `where` that cannot be compared.
    """
    key = _key(session, order)
    wanted = select(Product).where(Product.removed_at.is_(None), *also)
    wanted = wanted.where(*conditions(session, where or {}))
    if after is not None:
        wanted = wanted.where(_behind(key, order, after))
    return session.scalars(wanted.order_by(*_keys(key, order)).limit(limit)).all()


def _keys(key: ColumnElement[Any] | None, order: Order) -> list[ColumnElement[Any]]:
    """Return what SQL orders by; the unique index of skus serves only their plain order."""
    values = [Product.id] if key is None else [key, Product.id]
    found: list[ColumnElement[Any]] = [it.desc() if order.is_down else it.asc() for it in values]
    return found if key is None or order.column == "sku" else [key.is_(None), *found]


def _key(session: Session, order: Order) -> ColumnElement[Any] | None:
    """Return what is compared beside the id.

    Texts are compared by their bytes, and capitals of ASCII as small letters, since that is what
    every database does alike.
    """
    if order.column == "added":
        return None
    key: ColumnElement[Any] = getattr(Product, order.column)
    if order.column not in {"sku", "display_name"}:
        return key
    text = collate(key, "C") if is_postgresql(session) else key
    return text if order.column == "sku" else func.substr(func.lower(text), 1, LONGEST)


def _behind(key: ColumnElement[Any] | None, order: Order, after: Place) -> ColumnElement[bool]:
    next_id = Product.id < after.id if order.is_down else Product.id > after.id
    if key is None:
        return next_id
    if after.value is None:
        return and_(key.is_(None), next_id)
    further = key < after.value if order.is_down else key > after.value
    empty = false() if order.column == "sku" else key.is_(None)
    return or_(further, and_(key == after.value, next_id), empty)
