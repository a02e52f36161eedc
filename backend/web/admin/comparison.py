"""Before and after a re-index: the neighbours of some products in two generations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.models import Generation, Product
from backend.reindex.checks import Side
from backend.reindex.checks.sample import SampledProduct, sample
from backend.search.nearest_products import nearest_products
from backend.search.recall import NEIGHBOURS
from backend.vectors import Vector, VectorIndex

QUERIES: Final = 6


@dataclass(frozen=True, kw_only=True)
class SheetProduct:
    """A product on the sheet."""

    sku: str
    name: str
    digest: str | None  # of its image
    score: float | None = None
    is_shared: bool = False  # whether both generations found it


@dataclass(frozen=True, kw_only=True)
class ComparedRow:
    """A product, and what either generation finds for it, best first."""

    query: SheetProduct
    before: list[SheetProduct]
    after: list[SheetProduct]

    @property
    def shared(self) -> int:
        """How many neighbours both have found."""
        return sum(one.is_shared for one in self.after)


def compare(
    db: Database,
    index_of: Callable[[Generation], VectorIndex],
    *,
    before: Generation,
    after: Generation,
) -> list[ComparedRow]:
    """Compare the neighbours of up to QUERIES products, the same ones each time.

    They are those of the promotion's checks. Raises what an index raises that does not answer.
    """
    new, old = Side(after, index_of(after)), Side(before, index_of(before))
    asked, _ = sample(db, new, old, 2 * QUERIES)
    both = [(it, it.old) for it in asked if it.old is not None][:QUERIES]
    found = [(it, _ask(old, it, vector), _ask(new, it, it.new)) for it, vector in both]
    ids = {id_ for it, *lists in found for id_ in (it.id, *lists[0], *lists[1])}
    with db.read() as session:
        products = _read(session, ids)
    return [
        ComparedRow(
            query=sheet_product(products[it.id]),
            before=_products(products, first, second),
            after=_products(products, second, first),
        )
        for it, first, second in found
        if it.id in products
    ]


def _ask(side: Side, asked: SampledProduct, vector: Vector) -> dict[int, float]:
    """Return {product id: score} of the nearest products, best first."""
    hits = nearest_products(
        side.index,
        vector,
        limit=NEIGHBOURS,
        most_images=side.generation.most_images,
        exclude=[asked.id],
        payloads=False,
    )
    return {hit.id: hit.score for hit in hits}


def _read(session: Session, ids: Iterable[int]) -> dict[int, Product]:
    rows = session.scalars(select(Product).where(Product.id.in_(list(ids))))
    return {row.id: row for row in rows}


def _products(
    products: dict[int, Product], found: dict[int, float], other: dict[int, float]
) -> list[SheetProduct]:
    return [
        sheet_product(products[id_], score=score, is_shared=id_ in other)
        for id_, score in found.items()
        if id_ in products
    ]


def sheet_product(
    row: Product, *, score: float | None = None, is_shared: bool = False
) -> SheetProduct:
    """Return a row of the catalogue as it stands on a sheet."""
    return SheetProduct(
        sku=row.sku,
        name=row.display_name or row.sku,
        digest=row.image_digest,
        score=score,
        is_shared=is_shared,
    )
