"""Lists for a shopper, a visit, or examples; for those of whom nothing is known, what is popular.

The list is shared by the shopper's tastes. Within a taste, a product's score is LOOK times the
square of its similarity to the taste, plus how strongly it goes with the examples in it, weighted.
What is nearer to a disliked example than to the taste is left out.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.catalogue import image_vectors
from backend.database import clock
from backend.database.engine import Database
from backend.database.models import Generation, IndexEntry
from backend.events.decay import day_of
from backend.filters import Where
from backend.recommendations import pairs, popularity, tastes
from backend.recommendations.chosen import Because, Chosen, Reason
from backend.recommendations.formula import LOOK
from backend.recommendations.history import Example, History
from backend.recommendations.pairs import Partners
from backend.recommendations.popularity import Popular
from backend.recommendations.tastes import Taste
from backend.search.nearest_products import nearest_products
from backend.vectors import Searchable, Vector

MOST_EXAMPLES: Final = 30
MOST_DISLIKES: Final = 5
PARTNERS: Final = 50
"""Pairs of each example that are read: the weaker ones change no list."""

SPARE: Final = 3
"""Candidates of each taste, as a multiple of the list's length: filters and shares leave some."""

MOST_CANDIDATES: Final = 1_000
"""Candidates of each taste at most, however many a list asks for."""

CLUSTER_COSINE: Final = 0.6
"""Least cosine of the means of two groups of examples that become one taste."""


class Strategy(StrEnum):
    """How examples become queries."""

    CLUSTERS = "clusters"  # one for each taste
    AVERAGE = "average"  # one for the mean of all examples
    BEST_SCORE = "best-score"  # one for each of the heaviest examples


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a list is asked for. `explore` is the share of places for products nobody knows yet.

    `spare` is how many candidates each taste has, as a multiple of `limit`. `vectors` are those of
    examples without an indexed one: pending products, and images, whose ids are below 0.
    """

    history: History
    limit: int = 10
    spare: int = SPARE
    strategy: Strategy = Strategy.CLUSTERS
    where: Where = field(default_factory=dict)
    exclude: frozenset[int] = frozenset()
    explore: float = 0.0
    seed: str = ""  # the same seed on the same day explores the same products
    now: datetime | None = None  # None: by the database's clock
    vectors: Mapping[int, Vector] = field(default_factory=dict)

    @property
    def candidates(self) -> int:
        """How many candidates each taste has."""
        return min(self.spare * self.limit, max(MOST_CANDIDATES, SPARE * self.limit))


@dataclass(frozen=True, kw_only=True)
class List:
    """Candidates in the order of the list, more than it has places, and the tastes behind them.

    `rest` is called for those that follow `chosen`, if they are needed.
    """

    chosen: Sequence[Chosen]
    tastes: Sequence[tuple[float, Sequence[int]]]  # share, and the examples' product ids
    rest: Callable[[], Iterable[Chosen]] = tuple

    def candidates(self) -> Iterator[Chosen]:
        """Yield each candidate once, and read the rest only when all others have been yielded."""
        taken: set[int] = set()
        for it in chain(self.chosen, _when_needed(self.rest)):
            if it.product_id not in taken:
                taken.add(it.product_id)
                yield it


def _when_needed(read: Callable[[], Iterable[Chosen]]) -> Iterator[Chosen]:
    yield from read()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A product for a taste: why it is a candidate is told only if it is listed."""

    product_id: int
    look: float
    together: Mapping[int, float]  # by example

    @property
    def score(self) -> float:
        return self.look + sum(self.together.values())

    @property
    def looks(self) -> bool:
        """Whether its looks count most."""
        return self.look >= sum(self.together.values())

    def chosen(
        self, taste: Taste, examples: Sequence[Example], reason: Reason | None = None
    ) -> Chosen:
        """Return it with its reason, and the examples that it comes from."""
        members = [examples[at] for at in taste.members]
        reason = reason or (Reason.LOOK if self.looks else Reason.TOGETHER)
        because = _because(members, self.together, self.look, taste)
        return Chosen(self.product_id, self.score, reason, because)


class Recommender:
    """Makes lists. Safe to call from several threads."""

    def __init__(self, db: Database, index_of: Callable[[Generation], Searchable]) -> None:
        self._db = db
        self._index_of = index_of

    def recommend(self, generation: Generation, wanted: Wanted) -> List:
        """Return the list for a history, followed by what is popular and what is new.

        Raises what the index raises.
        """
        likes = wanted.history.likes[:MOST_EXAMPLES]
        vectors, partners = dict(wanted.vectors), dict[int, Partners]()
        if wanted.now is None or wanted.history.examples:
            with self._db.read() as session:
                now = wanted.now or clock.now(session)
                vectors = {**_vectors(session, generation, wanted.history), **vectors}
                partners = pairs.partners(
                    session, [it.product_id for it in likes], now=now, most=PARTNERS
                )
        else:
            now = wanted.now
        seen = [it for it in likes if it.product_id in vectors]
        found = _tastes([vectors[it.product_id] for it in seen], seen, wanted.strategy)
        disliked = [
            vectors[it.product_id] for it in wanted.history.dislikes if it.product_id in vectors
        ]
        ranked = [
            self._of_taste(generation, taste, seen, partners, disliked[:MOST_DISLIKES], wanted)
            for taste in found
        ]
        unseen = [it for it in likes if it.product_id not in vectors]
        chosen = _shared(ranked, found, seen, wanted)
        if wanted.explore:
            with self._db.read() as session:
                chosen = _with_unknown(session, chosen, ranked, found, seen, wanted, now=now)

        total = sum(taste.weight for taste in found)
        return List(
            chosen=[*chosen, *_partners_of(unseen, partners, wanted)],
            rest=lambda: _popular_and_new(self._db, wanted, now=now),
            tastes=[
                (taste.weight / total, [seen[at].product_id for at in taste.members])
                for taste in found
            ],
        )

    def _of_taste(
        self,
        generation: Generation,
        taste: Taste,
        examples: Sequence[Example],
        partners: Mapping[int, Partners],
        disliked: Sequence[Vector],
        wanted: Wanted,
    ) -> list[_Candidate]:
        """Return the candidates of one taste, best first."""
        members = [examples[at] for at in taste.members]
        excluded = _excluded(wanted)
        looks = self._nearest(generation, taste.vector, wanted, excluded)
        for vector in disliked:
            worse = self._nearest(generation, vector, wanted, excluded)
            looks = {it: cosine for it, cosine in looks.items() if worse.get(it, -1.0) < cosine}
        parts: dict[int, dict[int, float]] = defaultdict(dict)
        for example in members:
            share = example.weight / taste.weight
            for other, times in partners.get(example.product_id, {}).items():
                if other not in excluded:
                    parts[other][example.product_id] = share * times / (times + 1.0)
        found = [
            _Candidate(
                product, LOOK * max(0.0, looks.get(product, 0.0)) ** 2, parts.get(product, {})
            )
            for product in {*looks, *parts}
        ]
        return sorted(found, key=lambda it: (-it.score, it.product_id))

    def _nearest(
        self,
        generation: Generation,
        vector: Vector,
        wanted: Wanted,
        excluded: frozenset[int] | set[int],
    ) -> dict[int, float]:
        hits = nearest_products(
            self._index_of(generation),
            vector,
            limit=wanted.candidates + len(wanted.exclude),
            most_images=generation.most_images,
            where=wanted.where,
            exclude=sorted(excluded),
            payloads=False,
        )
        return {hit.id: hit.score for hit in hits}


def _vectors(session: Session, generation: Generation, history: History) -> dict[int, Vector]:
    """Return the last good vectors of the examples that have one."""
    examples = [*history.likes[:MOST_EXAMPLES], *history.dislikes[:MOST_DISLIKES]]
    ids = [it.product_id for it in examples]
    rows = session.execute(
        select(IndexEntry.product_id, IndexEntry.embedded_digest).where(
            IndexEntry.generation_id == generation.id,
            IndexEntry.product_id.in_(ids),
            IndexEntry.embedded_digest.is_not(None),
        )
    )
    digests: dict[int, str] = {row[0]: row[1] for row in rows if row[1]}
    stored = image_vectors.load(session, generation.fingerprint, digests.values())
    return {it: stored[digest] for it, digest in digests.items() if digest in stored}


def _tastes(
    vectors: Sequence[Vector], examples: Sequence[Example], strategy: Strategy
) -> list[Taste]:
    weights = [it.weight for it in examples]
    if strategy is Strategy.AVERAGE:
        return tastes.average(vectors, weights)
    if strategy is Strategy.BEST_SCORE:
        return tastes.each(vectors, weights)
    return tastes.clusters(vectors, weights, least_cosine=CLUSTER_COSINE)


def _because(
    members: Sequence[Example], parts: Mapping[int, float], look: float, taste: Taste
) -> list[Because]:
    """Return which examples a score comes from: the looks from all of the taste, by weight."""
    shares = {it.product_id: look * it.weight / taste.weight for it in members}
    for product, added in parts.items():
        shares[product] = shares.get(product, 0.0) + added
    total = sum(shares.values()) or 1.0
    best = sorted(shares.items(), key=lambda it: -it[1])[:3]
    return [Because(product, round(share / total, 4)) for product, share in best]


def _shared(
    ranked: Sequence[Sequence[_Candidate]],
    found: Sequence[Taste],
    examples: Sequence[Example],
    wanted: Wanted,
) -> list[Chosen]:
    """Return the candidates of all tastes in one order, each taste with its share of the places."""
    taken: set[int] = set()
    left = [iter(each) for each in ranked]
    order = tastes.slots(found, wanted.candidates)
    chosen = []
    for at in order:
        following = next((it for it in left[at] if it.product_id not in taken), None)
        if following is not None:
            taken.add(following.product_id)
            chosen.append(following.chosen(found[at], examples))
    return chosen


def _with_unknown(
    session: Session,
    chosen: Sequence[Chosen],
    ranked: Sequence[Sequence[_Candidate]],
    found: Sequence[Taste],
    examples: Sequence[Example],
    wanted: Wanted,
    *,
    now: datetime,
) -> list[Chosen]:
    """Put products that nobody has done anything with into a share of the places.

    They are drawn from the candidates of all tastes, and stand in drawn places.
    """
    candidates = {
        it.product_id: (it, taste)
        for each, taste in zip(ranked, found, strict=True)
        for it in each
        if it.looks
    }
    known = popularity.known(session, candidates, now=now)
    unknown = [it for it in candidates if it not in known]
    drawn = random.Random(f"{wanted.seed}:{day_of(now)}")
    places = min(len(unknown), round(wanted.explore * wanted.limit))
    explored = drawn.sample(unknown, places)
    kept = [it for it in chosen if it.product_id not in explored]
    for at, product in zip(
        sorted(drawn.sample(range(wanted.limit), places)), explored, strict=True
    ):
        one, taste = candidates[product]
        kept.insert(at, one.chosen(taste, examples, Reason.EXPLORED))
    return kept


def _partners_of(
    examples: Sequence[Example], partners: Mapping[int, Partners], wanted: Wanted
) -> list[Chosen]:
    """Return what goes with examples that have no vector, best first."""
    excluded = _excluded(wanted)
    found = [
        Chosen(other, times / (times + 1.0), Reason.TOGETHER, [Because(it.product_id, 1.0)])
        for it in examples
        for other, times in partners.get(it.product_id, {}).items()
        if other not in excluded
    ]
    return sorted(found, key=lambda it: -it.score)


def _popular_and_new(db: Database, wanted: Wanted, *, now: datetime) -> Iterator[Chosen]:
    """Yield popular products, then new ones; neither needs a vector or a history."""
    excluded = _excluded(wanted)
    many = 100 + SPARE * wanted.limit + len(excluded)
    with db.read() as session:
        popular = _by_category(popularity.most_liked(session, now=now, limit=many))
    for it in popular:
        if it.product_id not in excluded:
            yield Chosen(it.product_id, it.score, Reason.POPULAR)
    with db.read() as session:
        new = popularity.newest(session, now=now, limit=many)
    for product, _ in new:
        if product not in excluded:
            yield Chosen(product, 0.0, Reason.NEW)


def _excluded(wanted: Wanted) -> frozenset[int]:
    examples = (it.product_id for it in wanted.history.examples)
    return wanted.exclude.union(it for it in examples if it > 0)


def _by_category(popular: Sequence[Popular]) -> list[Popular]:
    """Return popular products in turns of their article types: the best of each type come first."""
    turns: dict[str | None, int] = defaultdict(int)
    ordered = []
    for place, one in enumerate(popular):
        ordered.append((turns[one.article_type], place, one))
        turns[one.article_type] += 1
    return [one for _, _, one in sorted(ordered)]
