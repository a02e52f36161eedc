"""The images of claimed rows, and the outcome of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.orm import Session

from backend.catalogue import product_images
from backend.catalogue.product_images import IMAGES
from backend.database.models import Product
from backend.queue import Claimed
from backend.vectors import Vector


@dataclass(frozen=True)
class ImageTask:
    """One image of a claimed row; a product without an image has one task, without an address."""

    row: Claimed
    uri: str | None
    digest: str | None
    position: int = 0  # among the product's images


@dataclass(frozen=True)
class ImageOutcome:
    """The result of one task: the vector of an image's content, or an error."""

    task: ImageTask
    digest: str = ""
    vector: Vector | None = None
    features: Vector | None = None  # that are kept beside the vector, and are not stored yet
    error: Exception | None = None


def read_tasks(session: Session, claimed: Sequence[Claimed]) -> list[ImageTask]:
    """Return the images of each row, in order."""
    ids = [row.product_id for row in claimed]
    rows = session.execute(
        select(Product.id, Product.image_uri, Product.image_digest, Product.more_images).where(
            Product.id.in_(ids)
        )
    ).all()
    first = {row.id: (row.image_uri, row.image_digest) for row in rows}
    several = [row.id for row in rows if row.more_images]
    further = product_images.load_further(session, several)
    tasks = []
    for row in claimed:
        tasks.append(ImageTask(row, *first.get(row.product_id, (None, None))))
        for position, image in enumerate(further.get(row.product_id, ()), 1):
            tasks.append(ImageTask(row, image.uri, image.digest, position))
    return tasks


class Gathered:
    """The outcomes of rows with several images, until the last image of each is there."""

    def __init__(self, tasks: Sequence[ImageTask]) -> None:
        self._left = Counter(task.row for task in tasks)
        self._found: dict[Claimed, list[ImageOutcome]] = {}

    @property
    def several(self) -> list[Claimed]:
        """The rows with more than one image that have not begun."""
        return [row for row, count in self._left.items() if count > 1]

    def add(self, outcomes: Sequence[ImageOutcome]) -> Iterator[tuple[Claimed, list[ImageOutcome]]]:
        """Add outcomes; yield the rows that are complete with them, and all outcomes of each.

        These are in the order of the product's images.
        """
        for one in outcomes:
            row = one.task.row
            self._found.setdefault(row, []).append(one)
            self._left[row] -= 1
            if not self._left[row]:
                yield row, sorted(self._found.pop(row), key=lambda each: each.task.position)


def store_digests(session: Session, outcomes: Sequence[ImageOutcome]) -> None:
    """Store the digest of images that were read for the first time, such as remote ones."""
    new: list[dict[str, Any]] = [
        {
            "b_id": one.task.row.product_id,
            "b_position": one.task.position,
            "b_uri": one.task.uri,
            "b_digest": one.digest,
        }
        for one in sorted(outcomes, key=lambda one: (one.task.row.product_id, one.task.position))
        if one.error is None and one.task.digest is None
    ]
    _store_first(session, [each for each in new if each["b_position"] == 0])
    _store_further(session, [each for each in new if each["b_position"] > 0])


def _store_first(session: Session, rows: list[dict[str, Any]]) -> None:
    table = cast("Table", Product.__table__)
    if rows:
        session.execute(
            update(table)
            .where(table.c.id == bindparam("b_id"), table.c.image_uri == bindparam("b_uri"))
            .where(table.c.image_digest.is_(None))
            .values(image_digest=bindparam("b_digest")),
            rows,
        )


def _store_further(session: Session, rows: list[dict[str, Any]]) -> None:
    if rows:
        session.execute(
            update(IMAGES)
            .where(IMAGES.c.product_id == bindparam("b_id"))
            .where(IMAGES.c.position == bindparam("b_position"))
            .where(IMAGES.c.uri == bindparam("b_uri"), IMAGES.c.digest.is_(None))
            .values(digest=bindparam("b_digest")),
            rows,
        )
