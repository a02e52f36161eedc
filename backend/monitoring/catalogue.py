"""What SQL says of the catalogue, its index and its queue, as Prometheus' families."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    SummaryMetricFamily,
)
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend import generations, jobs
from backend.database import clock
from backend.database.bounds import bounded
from backend.database.engine import Database
from backend.database.models import Generation, Job, ListedArm, ListedDay
from backend.events.decay import day_of
from backend.events.outcomes import COUNTS
from backend.metrics.instruments import PRIORITIES
from backend.queue import counting, waiting
from backend.queue.progress import State, progress
from backend.search import filter_recall

STATEMENT_SECONDS: Final = 5.0
WEEK: Final = 7
SHAPES: Final = 20
"""Shapes of filters that are shown, the most frequent first: clients choose them."""

MOST_ARMS: Final = 50
"""Placements and arms that are shown: requests name them, so there may be very many."""

LONGEST_SHAPE: Final = 120  # characters of a label


def read_queue(db: Database) -> Sequence[Metric]:
    """Return depth and age of the queue by priority, for each live generation."""
    depth = GaugeMetricFamily(
        "lookalike_queue_depth",
        "Products that wait or are being worked on.",
        labels=("generation", "state", "priority"),
    )
    age = GaugeMetricFamily(
        "lookalike_queue_oldest_seconds",
        "How long the product that waits longest has been waiting; 0 where none waits.",
        labels=("generation", "state", "priority"),
    )
    with db.read() as session, bounded(session, seconds=STATEMENT_SECONDS):
        live = generations.live(session)
        found = waiting.by_priority(session, [one.id for one in live])
        now = clock.now(session)
    for generation in live:
        for priority, name in enumerate(PRIORITIES):
            labels = (str(generation.id), generation.state, name)
            count, since = found.get((generation.id, priority), (0, None))
            depth.add_metric(labels, count)
            seconds = (now - since).total_seconds() if since else 0
            age.add_metric(labels, max(0.0, seconds))
    return [depth, age]


def read_products(db: Database) -> Sequence[Metric]:
    """Return how many products are in each state, and in quarantine for each kind of reason."""
    products = GaugeMetricFamily(
        "lookalike_products", "Products by state in the active generation.", labels=("state",)
    )
    reasons = GaugeMetricFamily(
        "lookalike_quarantined_products",
        "Products in the quarantine of the active generation, by kind of reason.",
        labels=("reason",),
    )
    with db.read() as session, bounded(session, seconds=STATEMENT_SECONDS):
        generation = generations.active_or_none(session)
        counted = counting.recent(session, generation.id) if generation else None
        now = (
            counted.progress
            if counted
            else progress(session, generation.id if generation else None)
        )
        kinds = waiting.quarantined_by_kind(session, generation.id) if generation else {}
    for state in State:
        products.add_metric((state.value,), getattr(now, state.value))
    for kind, count in sorted(kinds.items()):
        reasons.add_metric((kind,), count)
    return [products, reasons]


def read_generations(db: Database) -> Sequence[Metric]:
    """Return which generations are live, and how many jobs have not ended."""
    info = InfoMetricFamily("lookalike_generation", "The generations that receive writes.")
    unfinished = GaugeMetricFamily("lookalike_jobs", "Jobs that have not ended.", labels=("state",))
    with db.read() as session, bounded(session, seconds=STATEMENT_SECONDS):
        for generation in generations.live(session):
            info.add_metric((), _describe(generation))
        counts = _jobs(session)
    for state in (jobs.QUEUED, jobs.RUNNING):
        unfinished.add_metric((state,), counts.get(state, 0))
    return [info, unfinished]


def _describe(generation: Generation) -> dict[str, str]:
    return {
        "generation": str(generation.id),
        "state": generation.state,
        "embedder": generation.embedder,
        "fingerprint": generation.fingerprint[:12],
        "size": str(generation.size),
        "quantization": generation.quantization or "none",
    }


def _jobs(session: Session) -> dict[str, int]:
    rows = session.execute(
        select(Job.state, func.count()).where(Job.state.not_in(jobs.ENDED)).group_by(Job.state)
    )
    return {row[0]: row[1] for row in rows}


def read_recall(db: Database) -> Sequence[Metric]:
    """Return how often filters of each shape were used, and the recall of a sample of them."""
    labels = ("filter_shape", "search_mode")
    searches = CounterMetricFamily(
        "lookalike_searches", "Searches of the active generation.", labels=labels
    )
    recall = SummaryMetricFamily(
        "lookalike_search_recall",
        "recall@10 of the searches that were compared with exact search.",
        labels=labels,
    )
    with db.read() as session, bounded(session, seconds=STATEMENT_SECONDS):
        generation = generations.active_or_none(session)
        shapes = filter_recall.by_shape(
            session, generation.id if generation else None, limit=SHAPES
        )
    for shape in shapes:
        key = (shape.shape[:LONGEST_SHAPE], shape.mode)
        searches.add_metric(key, shape.queries)
        total = (shape.recall or 0.0) * shape.compared
        recall.add_metric(key, count_value=shape.compared, sum_value=total)
    return [searches, recall]


def read_recommendations(db: Database) -> Sequence[Metric]:
    """Return what became of listed products in the last week."""
    metric = GaugeMetricFamily(
        "lookalike_recommendation_acts",
        "Products listed in the last 7 days, and what shoppers who were shown them did: listed, "
        "impressions, clicks, carts, purchases; cold: nobody had done anything with the product.",
        labels=("list", "reason", "cold", "act"),
    )
    with db.read() as session, bounded(session, seconds=STATEMENT_SECONDS):
        since = day_of(clock.now(session)) - WEEK
        sums = [func.sum(getattr(ListedDay, name)) for name in COUNTS]
        rows = session.execute(
            select(ListedDay.list_name, ListedDay.reason, ListedDay.cold, *sums)
            .where(ListedDay.day > since)
            .group_by(ListedDay.list_name, ListedDay.reason, ListedDay.cold)
        ).all()
        arms = _read_arms(session, since=since)
    for list_name, reason, cold, *counts in rows:
        for name, count in zip(COUNTS, counts, strict=True):
            metric.add_metric((list_name, reason, str(cold).lower(), name), int(count))
    return [metric, arms]


def _read_arms(session: Session, *, since: int) -> Metric:
    """Return what became of the lists of placements and of arms of experiments."""
    metric = GaugeMetricFamily(
        "lookalike_placement_acts",
        "As lookalike_recommendation_acts, by placement and arm of an experiment: the "
        f"{MOST_ARMS} that listed most.",
        labels=("list", "placement", "experiment", "arm", "act"),
    )
    columns = (ListedArm.list_name, ListedArm.placement, ListedArm.experiment, ListedArm.arm)
    sums = [func.sum(getattr(ListedArm, name)) for name in COUNTS]
    rows = session.execute(
        select(*columns, *sums)
        .where(ListedArm.day > since)
        .group_by(*columns)
        .order_by(sums[0].desc(), *columns)
        .limit(MOST_ARMS)
    )
    for row in rows:
        labels, counts = row[: len(columns)], row[len(columns) :]
        for name, count in zip(COUNTS, counts, strict=True):
            metric.add_metric((*labels, name), int(count))
    return metric
