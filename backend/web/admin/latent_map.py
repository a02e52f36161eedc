"""A map of the vectors: a sample of products on the two axes along which they differ most."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.catalogue.image_vectors import unpack
from backend.database.models import Generation, ImageVector, Product

SAMPLE: Final = 2000
SIDE: Final = 1000
"""Width and height of the map; places are whole numbers below it."""

SUBSPACE: Final = 8
ROUNDS: Final = 20
"""Of the iteration that finds the axes: how many at once, and how often."""

SHOWN: Final = 12
OTHER: Final = "others"


@dataclass(frozen=True, kw_only=True)
class MapPoint:
    """A product on the map."""

    sku: str
    name: str
    category: int  # its place in the list of categories
    x: int
    y: int


@dataclass(frozen=True, kw_only=True)
class LatentMap:
    """A sample of the products of one generation."""

    categories: list[tuple[str, int]]  # name and number of points, the largest first
    points: list[MapPoint]
    explained: float  # share of all variance that the two axes show

    def path(self, category: int) -> str:
        """Return the dots of a category as the path of an SVG: each a line without a length."""
        mine = (it for it in self.points if it.category == category)
        return "".join(f"M{it.x} {it.y}h0" for it in mine)


def draw_map(session: Session, generation: Generation) -> LatentMap | None:
    """Draw the map of a generation; None with fewer than three vectors.

    The sample goes by the digests of images, which are as good as random.
    """
    is_of = ImageVector.fingerprint == generation.fingerprint
    first = (  # by the primary key alone, before any vector is read
        select(ImageVector.image_digest)
        .where(is_of)
        .order_by(ImageVector.image_digest)
        .limit(SAMPLE)
        .subquery()
    )
    rows = session.execute(
        select(Product.sku, Product.display_name, Product.article_type, ImageVector.vector)
        .join(first, first.c.image_digest == Product.image_digest)
        .join(ImageVector, (ImageVector.image_digest == first.c.image_digest) & is_of)
        .where(Product.removed_at.is_(None))
        .order_by(Product.image_digest, Product.id)
        .limit(SAMPLE)
    ).all()
    if len(rows) < 3:
        return None
    places, explained = project(np.stack([unpack(row.vector) for row in rows]))
    names = _categories([row.article_type or "none" for row in rows])
    index = {name: number for number, (name, _) in enumerate(names)}
    points = [
        MapPoint(
            sku=row.sku,
            name=row.display_name or row.sku,
            category=index.get(row.article_type or "none", index.get(OTHER, 0)),
            x=int(x),
            y=int(y),
        )
        for row, (x, y) in zip(rows, places, strict=True)
    ]
    return LatentMap(categories=names, points=points, explained=explained)


def _categories(found: list[str]) -> list[tuple[str, int]]:
    """Return the largest categories with their sizes; the rest together as OTHER."""
    largest = Counter(found).most_common()
    shown, rest = largest[:SHOWN], sum(number for _, number in largest[SHOWN:])
    return [*shown, (OTHER, rest)] if rest else shown


def project(
    vectors: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int64], float]:
    """Return places (n, 2) below SIDE by the first two principal axes, and what these explain."""
    centred = vectors - vectors.mean(axis=0)
    flat = centred @ first_axes(centred)
    low, high = flat.min(axis=0), flat.max(axis=0)
    scaled = (flat - low) / np.maximum(high - low, 1e-9) * (SIDE - 20) + 10
    explained = float((flat**2).sum() / max(float((centred**2).sum()), 1e-12))
    return scaled.astype(np.int64), explained


def first_axes(centred: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the first two principal axes as columns, by subspace iteration.

    A whole decomposition of 512 dimensions keeps all processors busy, for seconds where they are
    busy already. The largest weight of each axis is positive, so that a map looks the same each
    time. Vectors of one dimension have one axis, beside which there is zero.
    """
    size = centred.shape[1]
    axes = np.random.default_rng(0).standard_normal((size, min(SUBSPACE, size)), np.float32)
    for _ in range(ROUNDS):
        axes, _ = np.linalg.qr(centred.T @ (centred @ axes))
    within = centred @ axes
    _, turned = np.linalg.eigh(within.T @ within)
    first = (axes @ turned)[:, ::-1][:, :2]
    first = first * np.sign(first[np.abs(first).argmax(axis=0), range(first.shape[1])])
    return np.pad(first, ((0, 0), (0, 2 - first.shape[1])))
