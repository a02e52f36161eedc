"""From a history to a list: for a shopper, a visit, or examples.

The list is shared by the shopper's tastes. Within a taste, a product's score is LOOK times the
square of its similarity to the taste, plus how strongly it goes with the examples in it, weighted.
What is nearer to a disliked example than to the taste is left out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, partial
from typing import Any, Final, cast

from sqlalchemy import Select, Table, bindparam, select

from backend.catalogue import image_vectors
from backend.database.models import Generation, ImageVector, IndexEntry, Product, utcnow
from backend.database.reader import Reader
from backend.events.decay import day_of
from backend.recommendations import pairs, popularity, tastes
from backend.recommendations.history import Example, History
from backend.recommendations.listed_products import Because, ListedProduct, Reason
from backend.recommendations.lists import List, Strategy, Wanted
from backend.recommendations.pairs import PairRows
from backend.recommendations.popular_and_new import popular_and_new
from backend.recommendations.ranking import PlacedProducts, RankedProduct, RankedTaste, rank
from backend.recommendations.tastes import Taste
from backend.search.nearest_products import nearest_products
from backend.vectors import Searchable, Vector

_PRODUCTS: Final = cast("Table", Product.__table__).c
_ENTRIES: Final = cast("Table", IndexEntry.__table__).c
_VECTORS: Final = cast("Table", ImageVector.__table__).c

MOST_EXAMPLES: Final = 30
MOST_DISLIKES: Final = 5
PARTNERS: Final = 50
"""Pairs of each example that are read: the weaker ones change no list."""

CLUSTER_COSINE: Final = 0.6
"""Least cosine of the means of two groups of examples that become one taste."""


class Recommender:
    """Makes lists. Safe to call from several threads."""

    def __init__(self, index_of: Callable[[Generation], Searchable]) -> None:
        self._index_of = index_of

    def recommend(self, reader: Reader, generation: Generation, wanted: Wanted) -> List:
        """Return the list for a history, followed by what is popular and what is new.

        `reader` must be open as long as the list is read. Raises what the index raises.
        """
        likes = wanted.history.likes[:MOST_EXAMPLES]
        vectors, partners = dict(wanted.vectors), pairs.NO_PAIRS
        skus, now = dict[int, str](), wanted.now or utcnow()
        if wanted.history.examples:
            stored, skus = _read_examples(reader, generation, wanted.history)
            vectors = {**stored, **vectors}
            ids = [it.product_id for it in likes]
            partners = pairs.strongest(reader, ids, now=now, most=PARTNERS)
        seen = [it for it in likes if it.product_id in vectors]
        found = _tastes([vectors[it.product_id] for it in seen], seen, wanted.strategy)
        disliked = [
            vectors[it.product_id] for it in wanted.history.dislikes if it.product_id in vectors
        ]
        excluded = sorted(wanted.excluded)
        partners = partners.without(excluded)
        nearest = partial(self._nearest, generation, wanted=wanted, excluded=excluded)
        ranked = [
            _of_taste(nearest, taste, seen, partners, disliked[:MOST_DISLIKES]) for taste in found
        ]
        unseen = [it for it in likes if it.product_id not in vectors]
        places = _shared(ranked, wanted)
        if wanted.explore:
            places = _with_unknown(reader, places, ranked, wanted, now=now)

        total = sum(taste.weight for taste in found)
        return List(
            chosen=PlacedProducts(places, _partners_of(unseen, partners)),
            rest=lambda: popular_and_new(reader, wanted, now=now),
            tastes=[
                (taste.weight / total, [seen[at].product_id for at in taste.members])
                for taste in found
            ],
            skus=skus,
        )

    def _nearest(
        self,
        generation: Generation,
        vector: Vector,
        *,
        wanted: Wanted,
        excluded: Sequence[int],
    ) -> dict[int, float]:
        hits = nearest_products(
            self._index_of(generation),
            vector,
            limit=wanted.candidates + len(wanted.exclude),
            most_images=generation.most_images,
            where=wanted.where,
            exclude=excluded,
            payloads=False,
        )
        return {hit.id: hit.score for hit in hits}


def _of_taste(
    nearest: Callable[[Vector], dict[int, float]],
    taste: Taste,
    examples: Sequence[Example],
    partners: PairRows,
    disliked: Sequence[Vector],
) -> RankedTaste:
    """Return the candidates of one taste, best first."""
    members = [examples[at] for at in taste.members]
    looks = nearest(taste.vector)
    for worse in map(nearest, disliked if looks else ()):
        looks = {it: cosine for it, cosine in looks.items() if worse.get(it, -1.0) < cosine}
    return rank(taste, members, looks, partners)


def _read_examples(
    reader: Reader, generation: Generation, history: History
) -> tuple[dict[int, Vector], dict[int, str]]:
    """Return the last good vectors of the examples that have one, and their skus, by id."""
    examples = [*history.likes[:MOST_EXAMPLES], *history.dislikes[:MOST_DISLIKES]]
    rows = reader.rows(
        _examples(),
        {
            "generation_id": generation.id,
            "fingerprint": generation.fingerprint,
            "ids": [it.product_id for it in examples],
        },
    )
    vectors = image_vectors.unpack_all([row.vector for row in rows])
    ids = [row.id for row in rows]
    return dict(zip(ids, vectors, strict=True)), {row.id: row.sku for row in rows}


@cache
def _examples() -> Select[Any]:
    return (
        select(_PRODUCTS.id, _PRODUCTS.sku, _VECTORS.vector)
        .join(IndexEntry, _ENTRIES.product_id == _PRODUCTS.id)
        .join(ImageVector, _VECTORS.image_digest == _ENTRIES.embedded_digest)
        .where(
            _ENTRIES.generation_id == bindparam("generation_id"),
            _PRODUCTS.id.in_(bindparam("ids", expanding=True)),
            _VECTORS.fingerprint == bindparam("fingerprint"),
        )
    )


def _tastes(
    vectors: Sequence[Vector], examples: Sequence[Example], strategy: Strategy
) -> list[Taste]:
    weights = [it.weight for it in examples]
    if strategy is Strategy.AVERAGE:
        return tastes.average(vectors, weights)
    if strategy is Strategy.BEST_SCORE:
        return tastes.each(vectors, weights)
    return tastes.clusters(vectors, weights, least_cosine=CLUSTER_COSINE)


def _shared(ranked: Sequence[RankedTaste], wanted: Wanted) -> list[RankedProduct]:
    """Return the candidates of all tastes in one order, each taste with its share of the places."""
    taken: set[int] = set()
    left = [enumerate(each.ids.tolist()) for each in ranked]
    places = []
    for which in tastes.share_places([each.taste for each in ranked], wanted.candidates):
        following = next(((at, it) for at, it in left[which] if it not in taken), None)
        if following is not None:
            at, product = following
            taken.add(product)
            places.append(RankedProduct(product, ranked[which], at))
    return places


def _with_unknown(
    reader: Reader,
    places: Sequence[RankedProduct],
    ranked: Sequence[RankedTaste],
    wanted: Wanted,
    *,
    now: datetime,
) -> list[RankedProduct]:
    """Put products that nobody has done anything with into a share of the places.

    They are drawn from the candidates of all tastes, and stand in drawn places.
    """
    candidates = {
        int(each.ids[at]): RankedProduct(int(each.ids[at]), each, int(at), Reason.EXPLORED)
        for each in ranked
        for at in each.looking()
    }
    known = popularity.known(reader, candidates, now=now)
    unknown = [it for it in candidates if it not in known]
    drawn = random.Random(f"{wanted.seed}:{day_of(now)}")
    count = min(len(unknown), round(wanted.explore * wanted.limit))
    explored = drawn.sample(unknown, count)
    kept = [it for it in places if it.product_id not in explored]
    for at, product in zip(sorted(drawn.sample(range(wanted.limit), count)), explored, strict=True):
        kept.insert(at, candidates[product])
    return kept


def _partners_of(examples: Sequence[Example], partners: PairRows) -> list[ListedProduct]:
    """Return what goes with examples that have no vector, best first."""
    if not examples:
        return []
    rows = partners.of([it.product_id for it in examples])
    found = [
        ListedProduct(other, times / (times + 1.0), Reason.TOGETHER, [Because(product, 1.0)])
        for product, other, times in zip(*(it.tolist() for it in rows), strict=True)
    ]
    return sorted(found, key=lambda it: -it.score)
