"""The ids of points: one product has a point for each of its images.

The first point of a product has the product's own id, so that an index of products with one image
each is what it was before there could be several. Those of further images lie beyond the ids of
all products: all second images first, then all third ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MOST_IMAGES: Final = 16
"""The most images of one product."""

STRIDE: Final = 2**48
"""Product ids are smaller. So the ids of all points are below 2**53, as JSON needs it."""


def point_id(product_id: int, slot: int) -> int:
    """Return the id of a product's point; `slot` is 0 for its first one."""
    return slot * STRIDE + product_id


def point_ids(product_ids: Iterable[int], count: int) -> list[int]:
    """Return the ids of the first `count` points of each product."""
    products = list(product_ids)
    return [point_id(id_, slot) for slot in range(count) for id_ in products]


def product_of(id_: int) -> int:
    """Return the product that a point belongs to."""
    return id_ % STRIDE


def slot_of(id_: int) -> int:
    """Return which of its product's points a point is, from 0."""
    return id_ // STRIDE
