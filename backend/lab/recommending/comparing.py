"""Evaluate lists for shoppers by the events of a file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import func, select

from backend.database.engine import Database
from backend.database.models import ProductDay
from backend.errors import NotEvaluable
from backend.events.event_file import RejectedRow
from backend.events.importing import EventReport, import_events
from backend.events.record import NewEvent
from backend.lab.evaluation.splits import draw
from backend.lab.recommending import splits_of_events
from backend.lab.recommending.contenders import contenders, visitor
from backend.lab.recommending.list_scores import ListJudge, ListScore
from backend.lab.recommending.splits_of_events import Future, Person, Predicted
from backend.lab.recommending.trial import Trial, trial_of
from backend.lab.types import Watch

EVERY_DAY = 100 * 365
"""Events of any age count: a file may be old."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is compared. All draws depend on `seed`."""

    k: int = 10
    later: float = 0.2  # the share of events, the last ones, that is to be predicted
    cold: float = 0.2  # the share of products that lose all their events in the strict split
    shoppers: int | None = 1000  # of each group, drawn by the seed
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class GroupScores:
    """The scores for one group of shoppers."""

    group: str  # known, new, cold
    shoppers: int
    right: float  # mean number of products to be predicted
    scores: Sequence[ListScore]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All results, and what led to them."""

    made_at: str  # ISO 8601, UTC
    options: Mapping[str, Any]
    embedder: str
    products: int
    cold_products: int
    events: EventReport
    split_at: str  # ISO 8601: later events are to be predicted
    groups: Sequence[GroupScores]


def compare(
    db: Database, events: Iterable[NewEvent | RejectedRow], options: Options, *, watch: Watch
) -> Comparison:
    """Compare lists by what shoppers did later. `db` is read only; a copy takes the events.

    Raises NoGeneration, NotEvaluable if nothing can be predicted, and what `events` raises.
    """
    with trial_of(db) as trial:
        with watch("Reading events") as report:
            found = import_events(
                trial.db,
                events,
                days=EVERY_DAY,
                report_to=lambda done, total: report(done, total or done),
            )
        future = splits_of_events.split(trial.db, later=options.later)
        cold = splits_of_events.cold_products(trial.db, share=options.cold, seed=options.seed)
        groups = list(_groups(trial, future, cold, options, watch))
        if not groups:
            raise NotEvaluable(
                "nobody did anything with a new product in the last "
                f"{options.later:.0%} of the events: give a longer file, or --later"
            )
        return Comparison(
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            options=asdict(options),
            embedder=trial.generation.embedder,
            products=len(trial.index.ids),
            cold_products=len(cold),
            events=found,
            split_at=future.at.isoformat(timespec="seconds"),
            groups=groups,
        )


def _groups(
    trial: Trial, future: Future, cold: Collection[int], options: Options, watch: Watch
) -> Iterable[GroupScores]:
    with watch("Counting") as report:
        splits_of_events.count(trial.db, report)
    known = {who: acts for who, acts in future.acts.items() if who in future.known}
    new = {who: acts for who, acts in future.acts.items() if who not in future.known}
    for name, acts in (("known", known), ("new", new)):
        if acts:
            yield _group(trial, name, acts, future.at, options, watch)
    only = {who: frozenset(acts & set(cold)) for who, acts in known.items()}
    only = {who: acts for who, acts in only.items() if acts}
    if only:
        with watch("Counting without cold products") as report:
            splits_of_events.forget(trial.db, cold)
            splits_of_events.count(trial.db, report)
        yield _group(trial, "cold", only, future.at, options, watch)


def _group(
    trial: Trial, name: str, acts: Predicted, now: datetime, options: Options, watch: Watch
) -> GroupScores:
    people = _drawn(list(acts), options)
    right = [acts[who] for who in people]
    makers = contenders(trial, k=options.k, now=now, seed=options.seed)
    lists: dict[str, list[list[int]]] = {maker: [] for maker in makers}
    with watch(f"Lists for {name}") as report:
        for done, who in enumerate(people, start=1):
            each = visitor(trial, who, now=now)
            for maker, choose in makers.items():
                lists[maker].append(choose(each))
            report(done, len(people))
    judge = ListJudge(
        events=_events(trial.db), products=len(trial.index.ids), k=options.k, seed=options.seed
    )
    return GroupScores(
        group=name,
        shoppers=len(people),
        right=float(np.mean([len(each) for each in right])),
        scores=judge.scores(lists, right),
    )


def _drawn(people: Sequence[Person], options: Options) -> list[Person]:
    places = draw(np.arange(len(people)), options.shoppers, seed=options.seed)
    return [people[at] for at in places]


def _events(db: Database) -> dict[int, int]:
    with db.read() as session:
        rows = session.execute(
            select(ProductDay.product_id, func.sum(ProductDay.events)).group_by(
                ProductDay.product_id
            )
        )
        return {row[0]: int(row[1]) for row in rows}
