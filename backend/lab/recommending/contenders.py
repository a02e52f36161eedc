"""The lists that are compared: the product's own, and simpler ones."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, TypeAlias

from sqlalchemy import select

from backend.database.models import Product
from backend.lab.recommending.splits_of_events import Person
from backend.lab.recommending.trial import Trial
from backend.recommendations import pairs, popularity, tastes
from backend.recommendations.history import History, history_of
from backend.recommendations.lists import Strategy, Wanted
from backend.recommendations.recommend import MOST_EXAMPLES, Recommender


@dataclass(frozen=True)
class Visitor:
    """Somebody who gets a list, and what they did before."""

    who: Person
    history: History


Contender: TypeAlias = Callable[[Visitor], list[int]]
"""Makes a visitor's list: product ids, best first, none that they know."""

EXPLORED: Final = 0.2
OURS: Final = "recommendations"


def visitor(trial: Trial, who: Person, *, now: datetime) -> Visitor:
    """Return a person with what they did before."""
    what, name = who
    user, visit = (name, None) if what == "shopper" else (None, name)
    with trial.db.query() as reader:
        return Visitor(who, history_of(reader, user=user, visit=visit, now=now))


def contenders(trial: Trial, *, k: int, now: datetime, seed: int) -> Mapping[str, Contender]:
    """Return the lists by their names, the product's own first."""
    return {
        OURS: _ours(trial, k, now),
        f"{OURS}, explore={EXPLORED}": _ours(trial, k, now, explore=EXPLORED),
        f"{OURS}, one taste": _ours(trial, k, now, strategy=Strategy.AVERAGE),
        "popular": _popular(trial, k, now),
        "looks only": _looks(trial, k),
        "together only": _together(trial, k, now),
        "random": _random(trial, k, seed),
    }


def _ours(
    trial: Trial,
    k: int,
    now: datetime,
    *,
    explore: float = 0.0,
    strategy: Strategy = Strategy.CLUSTERS,
) -> Contender:
    recommender = Recommender(trial.index_of)

    def choose(visitor: Visitor) -> list[int]:
        wanted = Wanted(
            history=visitor.history,
            limit=k,
            explore=explore,
            seed=visitor.who[1],
            now=now,
            strategy=strategy,
        )
        with trial.db.query() as reader:
            found = recommender.recommend(reader, trial.generation, wanted)
            return [it.product_id for it in islice(found.candidates(), k)]

    return choose


def _popular(trial: Trial, k: int, now: datetime) -> Contender:
    with trial.db.query() as reader:
        best = popularity.most_liked(reader, now=now, limit=k + 1000)

    def choose(visitor: Visitor) -> list[int]:
        known = _known(visitor.history)
        return [it.product_id for it in best if it.product_id not in known][:k]

    return choose


def _looks(trial: Trial, k: int) -> Contender:
    """Return what is nearest to the mean of what the shopper likes."""
    place = {int(product): at for at, product in enumerate(trial.index.ids)}

    def choose(visitor: Visitor) -> list[int]:
        likes = [it for it in visitor.history.likes[:MOST_EXAMPLES] if it.product_id in place]
        vectors = [trial.index.vectors[place[it.product_id]] for it in likes]
        found = tastes.average(vectors, [it.weight for it in likes])
        if not found:
            return []
        known = sorted(_known(visitor.history))
        return [hit.id for hit in trial.index.nearest(found[0].vector, limit=k, exclude=known)]

    return choose


def _together(trial: Trial, k: int, now: datetime) -> Contender:
    """Return what went together most with what the shopper likes."""

    def choose(visitor: Visitor) -> list[int]:
        weights = {it.product_id: it.weight for it in visitor.history.likes[:MOST_EXAMPLES]}
        with trial.db.query() as reader:
            partners = pairs.partners(reader, list(weights), now=now)
        sums: dict[int, float] = defaultdict(float)
        for product, others in partners.items():
            for other, times in others.items():
                sums[other] += weights[product] * times / (times + 1.0)
        known = _known(visitor.history)
        best = sorted((-score, it) for it, score in sums.items() if it not in known)
        return [product for _, product in best[:k]]

    return choose


def _random(trial: Trial, k: int, seed: int) -> Contender:
    with trial.db.read() as session:
        every = list(session.scalars(select(Product.id).order_by(Product.id)))

    def choose(visitor: Visitor) -> list[int]:
        known = _known(visitor.history)
        drawn = random.Random(f"{seed}:{visitor.who}").sample(
            every, min(len(every), k + len(known))
        )
        return [product for product in drawn if product not in known][:k]

    return choose


def _known(history: History) -> set[int]:
    return {it.product_id for it in history.examples} | history.seen
