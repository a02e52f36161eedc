"""What goes with a product: by what shoppers did, and as long as that is little, by its looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.database import clock
from backend.database.engine import Database
from backend.database.models import Generation, Product
from backend.recommendations import formula, pairs
from backend.recommendations.chosen import Because, Chosen, Reason
from backend.recommendations.formula import Kin, Parts
from backend.recommendations.pairs import Partners
from backend.search.nearest_products import nearest_products
from backend.vectors import Searchable, Vector

LEAST_COLD: Final = 0.05
"""Below this the looks change next to nothing, and the index is not asked."""

PARTNERS_OF_NEIGHBOURS: Final = 20
MOST: Final = 500
"""Candidates that are returned: filters leave some of them."""


class Together:
    """Ranks what goes with a product. Safe to call from several threads."""

    def __init__(self, db: Database, index_of: Callable[[Generation], Searchable]) -> None:
        self._db = db
        self._index_of = index_of

    def of(
        self,
        product_id: int,
        generation: Generation,
        vector: Vector | None,
        *,
        exclude: Sequence[int] = (),
        now: datetime | None = None,
    ) -> list[Chosen]:
        """Return up to MOST products that go with one, best first; the product itself is left out.

        `vector` is the product's in the generation; None: only what shoppers did counts. `now` is
        by default the time of the database. Raises what the index raises.
        """
        with self._db.read() as session:
            now = now or clock.now(session)
            own = pairs.partners(session, [product_id], now=now).get(product_id, {})
        neighbours: list[tuple[int, float]] = []
        if vector is not None and formula.coldness(own) >= LEAST_COLD:
            neighbours = self._neighbours(product_id, generation, vector)
        with self._db.read() as session:
            parts = _score(session, product_id, own, neighbours, exclude, now=now)
        best = sorted(parts.items(), key=lambda it: (-it[1].score, it[0]))[:MOST]
        return [_chosen(product_id, other, it) for other, it in best if it.score > 0]

    def _neighbours(
        self, product_id: int, generation: Generation, vector: Vector
    ) -> list[tuple[int, float]]:
        hits = nearest_products(
            self._index_of(generation),
            vector,
            limit=formula.NEIGHBOURS,
            most_images=generation.most_images,
            exclude=[product_id],
            payloads=False,
        )
        return [(hit.id, hit.score) for hit in hits]


def _score(
    session: Session,
    product_id: int,
    own: Partners,
    neighbours: Sequence[tuple[int, float]],
    exclude: Sequence[int],
    *,
    now: datetime,
) -> dict[int, Parts]:
    ids = [neighbour for neighbour, _ in neighbours]
    kin = _kin(session, [product_id, *ids]) if ids else {}
    return formula.score(
        own,
        neighbours,
        pairs.partners(session, ids, now=now, most=PARTNERS_OF_NEIGHBOURS),
        kin=kin.get(product_id, formula.NO_KIN),
        kin_of=kin,
        excluded=frozenset([product_id, *exclude]),
    )


def _kin(session: Session, products: Sequence[int]) -> dict[int, Kin]:
    rows = session.execute(
        select(Product.id, Product.group_id, Product.gender, Product.article_type).where(
            Product.id.in_(products)
        )
    )
    return {row[0]: Kin(row[1], row[2], row[3]) for row in rows}


def _chosen(product_id: int, other: int, parts: Parts) -> Chosen:
    total = parts.score
    ranked = {
        Reason.TOGETHER: parts.own,
        Reason.LOOK: parts.look,
        Reason.INHERITED: parts.inherited,
    }
    reason = max(ranked, key=lambda it: ranked[it])
    added = {product_id: parts.own + parts.look, **parts.through}
    most = sorted(added.items(), key=lambda it: -it[1])[:3]
    because = [Because(product, round(share / total, 4)) for product, share in most if share > 0]
    return Chosen(other, total, reason, because)
