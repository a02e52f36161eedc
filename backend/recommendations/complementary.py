"""What completes a product where shoppers did nothing with it: by categories and looks.

The categories that go with the product's own are known from all pairs of products. In each of them,
the products that look most like this one fit its style. The score is the share of the category
among those that go with the product's, times the square of the cosine similarity.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.models import CategoryPair, Generation, Product
from backend.events.pairing import LEVELS
from backend.filters import Condition, Where
from backend.recommendations.listed_products import Because, ListedProduct, Reason
from backend.recommendations.relations import Related
from backend.search.nearest_products import nearest_products
from backend.vectors import Searchable, Vector

MOST_CATEGORIES: Final = 5
"""Categories that are searched: those that go with the product's own most often."""

EACH: Final = 20
"""Products of each category."""


@dataclass(frozen=True)
class Category:
    """What category a product is of: {level: name}, None where it has none."""

    names: Mapping[str, str | None]

    @property
    def level(self) -> str | None:
        """The first level at which the product has a name: that by which it is completed."""
        return next((level for level in LEVELS if self.names[level] is not None), None)

    def is_other(self, names: Mapping[str, str | None]) -> bool:
        """Tell whether another product is of another category, by the first level both name."""
        for level in LEVELS:
            if self.names[level] is not None and names[level] is not None:
                return self.names[level] != names[level]
        return self.names[LEVELS[-1]] != names[LEVELS[-1]]


def category_of(session: Session, product_id: int) -> Category:
    """Return what category a product is of."""
    columns = [getattr(Product, level) for level in LEVELS]
    row = session.execute(select(*columns).where(Product.id == product_id)).one()
    return Category(dict(zip(LEVELS, row, strict=True)))


def going_with(session: Session, level: str, name: str | None) -> list[tuple[str, float]]:
    """Return the other categories that go with one, and their shares, the largest first."""
    rows = session.execute(
        select(CategoryPair.other, CategoryPair.score)
        .where(CategoryPair.level == level, CategoryPair.category == name)
        .order_by(CategoryPair.score.desc(), CategoryPair.other)
    ).all()
    others = [(row[0], row[1]) for row in rows if row[0] != name]
    total = sum(score for _, score in others)
    return [(other, score / total) for other, score in others[:MOST_CATEGORIES]]


class Complementary:
    """Finds products of the categories that go with a product's. Safe to call from threads."""

    def __init__(self, db: Database, index_of: Callable[[Generation], Searchable]) -> None:
        self._db = db
        self._index_of = index_of

    def of(
        self,
        product_id: int,
        category: Category,
        generation: Generation,
        vector: Vector,
        *,
        where: Where,
        exclude: Collection[int],
    ) -> list[ListedProduct]:
        """Return products of other categories in the product's style, best first.

        `where` is the filter of the list. Raises what the index raises.
        """
        level = category.level
        if level is None:
            return []
        with self._db.read() as session:
            shares = going_with(session, level, category.names[level])
        found = []
        for other, share in shares:
            hits = nearest_products(
                self._index_of(generation),
                vector,
                limit=EACH,
                most_images=generation.most_images,
                where={**where, level: Condition(any_of=(other,))},
                exclude=sorted({product_id, *exclude}),
                payloads=False,
            )
            found += [(share * max(0.0, hit.score) ** 2, hit.id) for hit in hits]
        because = [Because(product_id, 1.0)]
        best = sorted(found, key=lambda it: (-it[0], it[1]))
        return [ListedProduct(it, score, Reason.CATEGORY, because) for score, it in best]


def before_looks(
    related: Related, by_category: Callable[[], Iterable[ListedProduct]]
) -> Iterator[ListedProduct]:
    """Yield what shoppers did together, then what categories tell, then what only looks alike.

    The categories are asked only if the list needs them.
    """
    looks = []
    for one in related:
        if related.only_looks(one.product_id):
            looks.append(one)
        else:
            yield one
    yield from by_category()
    yield from looks
