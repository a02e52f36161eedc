"""What goes with a product: by what shoppers did, and as long as that is little, by its looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from typing import Any, Final, cast

from sqlalchemy import Select, Table, bindparam, select

from backend.catalogue import image_vectors
from backend.database.engine import Database
from backend.database.models import Generation, ImageVector, IndexEntry, Product, utcnow
from backend.database.reader import Reader
from backend.recommendations import formula, pairs, ready
from backend.recommendations.formula import Traits
from backend.recommendations.pairs import Partners
from backend.recommendations.ready import Keeper, PreparedRelations, WantedRelations
from backend.recommendations.relations import NONE, Related, Relations
from backend.search.nearest_products import nearest_products
from backend.vectors import Searchable, Vector

_PRODUCTS: Final = cast("Table", Product.__table__).c
_ENTRIES: Final = cast("Table", IndexEntry.__table__).c
_VECTORS: Final = cast("Table", ImageVector.__table__).c

LEAST_COLD: Final = 0.05
"""Below this the looks change next to nothing, and they are not read."""

PARTNERS_OF_NEIGHBOURS: Final = 20
MOST_NEWER: Final = 100
"""Products that are compared one by one, because they are newer than what is kept."""

MOST: Final = 500
"""Candidates that are returned: filters leave some of them."""


class Together:
    """Ranks what goes with a product. Safe to call from several threads.

    With `keeps`, what the looks of a product tell is kept ready in the database.
    """

    def __init__(
        self, db: Database, index_of: Callable[[Generation], Searchable], *, keeps: bool = False
    ) -> None:
        self._db = db
        self._index_of = index_of
        self.keeper = Keeper(db, self._relations_now) if keeps else None

    def of(
        self,
        reader: Reader,
        product_id: int,
        generation: Generation,
        vector: Vector | None,
        *,
        exclude: Sequence[int] = (),
        now: datetime | None = None,
    ) -> Related:
        """Return up to MOST products that go with one, best first; the product itself is left out.

        `vector` is the product's in the generation; None: only what shoppers did counts. `now` is
        by default the time of this host: a few minutes do not matter. Raises what the index raises.
        """
        own, kept = ready.read(reader, generation.id, product_id, now=now or utcnow())
        relations, is_cold = NONE, formula.coldness(own) >= LEAST_COLD
        if self.keeper is None:
            kept = None
        if is_cold and vector is not None:
            asked = WantedRelations(product_id, generation, vector)
            found = self._with_newer(reader, asked, kept) if kept else None
            relations = found or self._relations(reader, asked, own=own, now=now)
            if self.keeper is not None and not (found and kept and kept.is_fresh):
                self.keeper.note(asked if found else replace(asked, relations=relations))
        return Related(product_id, own, relations, exclude=exclude, most=MOST)

    def prepare(self, generation: Generation, *, limit: int) -> int:
        """Keep ready what the looks of some popular products tell; return of how many."""
        with self._db.read() as session:
            wanted = ready.missing(session, generation.id, limit=limit)
            digests = [digest for _, digest in wanted]
            vectors = image_vectors.load(session, generation.fingerprint, digests)
            newest = ready.newest_product(session)
        for product_id, digest in wanted:
            if digest in vectors:
                asked = WantedRelations(product_id, generation, vectors[digest])
                relations = self._relations_now(asked)
                self._db.write(
                    partial(ready.store, asked=asked, relations=relations, newest=newest)
                )
        return len(wanted)

    def close(self) -> None:
        """End the thread that keeps relations."""
        if self.keeper is not None:
            self.keeper.close()

    def _relations_now(self, asked: WantedRelations) -> Relations:
        with self._db.query() as reader:
            own = pairs.partners_of(reader, asked.product_id, now=utcnow())
            return self._relations(reader, asked, own=own, now=None)

    def _relations(
        self, reader: Reader, asked: WantedRelations, *, own: Partners, now: datetime | None
    ) -> Relations:
        """Return what the looks of a product tell, by its visual neighbours and their pairs."""
        hits = nearest_products(
            self._index_of(asked.generation),
            asked.vector,
            limit=formula.NEIGHBOURS,
            most_images=asked.generation.most_images,
            exclude=[asked.product_id],
            payloads=False,
        )
        ids = [hit.id for hit in hits]
        kin = _kin(reader, [asked.product_id, *ids]) if ids else {}
        theirs = pairs.strongest(reader, ids, now=now or utcnow(), most=PARTNERS_OF_NEIGHBOURS)
        scores = formula.score_cold(
            [(hit.id, hit.score) for hit in hits],
            theirs,
            kin=kin.get(asked.product_id, formula.NO_KIN),
            kin_of=kin,
            excluded=asked.product_id,
        )
        return Relations.of(scores, keep=own)

    def _with_newer(
        self, reader: Reader, asked: WantedRelations, kept: PreparedRelations
    ) -> Relations | None:
        """Return what is kept, with the looks of newer products; None if these are too many."""
        if not kept.has_newer:
            return kept.relations
        newer = _newer(reader, asked.generation, kept.newest)
        if len(newer) > MOST_NEWER:
            return None
        kin = _kin(reader, [asked.product_id, *newer])
        own = kin.get(asked.product_id, formula.NO_KIN)
        looks = {
            it: formula.LOOK * formula.closeness(float(asked.vector @ vector), own, kin[it])
            for it, vector in newer.items()
            if it != asked.product_id and it in kin
        }
        return kept.relations.with_looks(looks)


def _newer(reader: Reader, generation: Generation, newest: int) -> dict[int, Vector]:
    """Return the vectors of more than MOST_NEWER products at most that have a larger id."""
    rows = reader.rows(
        _vectors_after(),
        {
            "generation_id": generation.id,
            "fingerprint": generation.fingerprint,
            "newest": newest,
        },
    )
    return {row[0]: image_vectors.unpack(row[1]) for row in rows}


@cache
def _vectors_after() -> Select[Any]:
    return (
        select(_ENTRIES.product_id, _VECTORS.vector)
        .join(ImageVector, _VECTORS.image_digest == _ENTRIES.embedded_digest)
        .where(
            _ENTRIES.generation_id == bindparam("generation_id"),
            _ENTRIES.product_id > bindparam("newest"),
            _VECTORS.fingerprint == bindparam("fingerprint"),
        )
        .order_by(_ENTRIES.product_id)
        .limit(MOST_NEWER + 1)
    )


def _kin(reader: Reader, products: Sequence[int]) -> dict[int, Traits]:
    rows = reader.rows(_kinds(), {"ids": list(products)})
    return {row[0]: Traits(row[1], row[2], row[3]) for row in rows}


@cache
def _kinds() -> Select[Any]:
    return select(_PRODUCTS.id, _PRODUCTS.group_id, _PRODUCTS.gender, _PRODUCTS.article_type).where(
        _PRODUCTS.id.in_(bindparam("ids", expanding=True))
    )
