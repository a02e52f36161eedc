"""What became of listed products: how often each was shown, clicked, carted and bought.

Events that name a recommendation add to the sums of their day when they are counted, in the same
transaction, so each counts once. The first click on a product of an answer counts, further ones do
not; likewise the other acts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import Any, Final, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.database.models import Event, ListedAnswer, ListedDay
from backend.database.upsert import upsert
from backend.events.decay import day_of
from backend.events.kinds import Kind

ACTS: Final[Mapping[Kind, str]] = {
    Kind.IMPRESSION: "impressions",
    Kind.CLICK: "clicks",
    Kind.VIEW: "clicks",
    Kind.CART: "carts",
    Kind.PURCHASE: "purchases",
}
COUNTS: Final = ("listed", "impressions", "clicks", "carts", "purchases")
UNKNOWN: Final = "unknown"
SIMILAR: Final = "similar"
LOOK: Final = "look"


class AttributedEvent(NamedTuple):
    """An event that names the answer that led to it."""

    product_id: int
    kind: str
    at: datetime
    recommendation: str


class Place(NamedTuple):
    """Where and why a product was listed."""

    list_name: str
    reason: str
    generation_id: int
    cold: bool


NOWHERE: Final = Place(UNKNOWN, UNKNOWN, 0, False)


def id_of_similar(generation_id: int, unique: str) -> str:
    """Return the id of an answer of similar products: it tells what is counted, without a row."""
    return f"{SIMILAR}-{generation_id}-{unique}"


def add(session: Session, acts: Sequence[AttributedEvent]) -> None:
    """Add events that are being counted; they must not be marked as counted yet."""
    acts = [act for act in acts if act.kind in ACTS]
    if not acts:
        return
    ids = sorted({act.recommendation for act in acts})
    places, counted = _places(session, ids), _counted(session, ids)
    sums: dict[tuple[int, Place], Counter[str]] = defaultdict(Counter)
    for act in acts:
        what = ACTS[Kind(act.kind)]
        key = (act.recommendation, act.product_id, what)
        if key not in counted:
            counted.add(key)
            place = places.get((act.recommendation, act.product_id))
            sums[day_of(act.at), place or _place_of_id(act.recommendation)][what] += 1
    _add(session, sums)


def add_listed(session: Session, answers: Iterable[Mapping[str, Any]], *, day: int) -> None:
    """Add what answers list: rows of ListedAnswer."""
    sums: dict[tuple[int, Place], Counter[str]] = defaultdict(Counter)
    for answer in answers:
        for item in answer["items"]:
            sums[day, _place(answer["list_name"], answer["generation_id"], item)]["listed"] += 1
    _add(session, sums)


def _add(session: Session, sums: Mapping[tuple[int, Place], Counter[str]]) -> None:
    rows = [
        {"day": day, **place._asdict(), **{name: counts[name] for name in COUNTS}}
        for (day, place), counts in sorted(sums.items())
    ]
    if rows:
        insert = upsert(session, ListedDay)
        summed = {name: getattr(ListedDay, name) + insert.excluded[name] for name in COUNTS}
        keys = ["day", *Place._fields]
        session.execute(insert.on_conflict_do_update(index_elements=keys, set_=summed), rows)


def _places(session: Session, ids: Sequence[str]) -> dict[tuple[str, int], Place]:
    rows = session.execute(
        select(
            ListedAnswer.id, ListedAnswer.list_name, ListedAnswer.generation_id, ListedAnswer.items
        ).where(ListedAnswer.id.in_(ids))
    )
    return {
        (id_, item["product_id"]): _place(list_name, generation_id, item)
        for id_, list_name, generation_id, items in rows
        for item in items
    }


def _place(list_name: str, generation_id: int, item: Mapping[str, Any]) -> Place:
    return Place(list_name, item["reason"], generation_id, item["cold"])


def _counted(session: Session, ids: Sequence[str]) -> set[tuple[str, int, str]]:
    """Return what was counted before: (recommendation, product id, name of the count)."""
    rows = session.execute(
        select(Event.recommendation, Event.product_id, Event.kind).where(
            Event.recommendation.in_(ids),
            Event.pending.is_(None),
            Event.product_id.is_not(None),
            Event.kind.in_([kind.value for kind in ACTS]),
        )
    )
    return {(str(row[0]), int(row[1] or 0), ACTS[Kind(row[2])]) for row in rows}


def _place_of_id(recommendation: str) -> Place:
    name, _, rest = recommendation.partition("-")
    generation = rest.partition("-")[0]
    if name == SIMILAR and generation.isdecimal() and len(generation) < 10:
        return Place(SIMILAR, LOOK, int(generation), False)
    return NOWHERE


# --- the report ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ListOutcome:
    """What became of products that were listed in some way.

    `click_through` and `add_to_cart` are shares of the impressions, with 95% intervals (Wilson
    1927); None without an impression. `cold` is the share of the impressions (of what was listed,
    if nobody sends impressions) that nobody had done anything with.
    """

    group: Mapping[str, Any]
    listed: int
    impressions: int
    clicks: int
    carts: int
    purchases: int
    click_through: tuple[float, float, float] | None
    add_to_cart: tuple[float, float, float] | None
    cold: float | None


GROUPS: Final = ("list_name", "reason", "generation_id", "day")


def report(session: Session, *, since: int, by: Sequence[str]) -> list[ListOutcome]:
    """Return what became of listed products since a day, by some of GROUPS, the largest first."""
    columns = [getattr(ListedDay, name) for name in by]
    sums = [func.sum(getattr(ListedDay, name)) for name in COUNTS]
    rows = session.execute(
        select(*columns, ListedDay.cold, *sums)
        .where(ListedDay.day >= since)
        .group_by(*columns, ListedDay.cold)
    )
    found: dict[tuple[Any, ...], dict[bool, list[int]]] = defaultdict(dict)
    for row in rows:
        counts = [int(it) for it in row[len(by) + 1 :]]
        found[tuple(row[: len(by)])][bool(row[len(by)])] = counts
    outcomes = [_outcome(dict(zip(by, key, strict=True)), each) for key, each in found.items()]
    return sorted(outcomes, key=lambda it: (-it.impressions, -it.listed, str(it.group)))


def _outcome(group: Mapping[str, Any], sums: Mapping[bool, Sequence[int]]) -> ListOutcome:
    cold = dict(zip(COUNTS, sums.get(True, [0] * len(COUNTS)), strict=True))
    warm = dict(zip(COUNTS, sums.get(False, [0] * len(COUNTS)), strict=True))
    total = {name: cold[name] + warm[name] for name in COUNTS}
    shown = "impressions" if total["impressions"] else "listed"
    return ListOutcome(
        group=group,
        **total,
        click_through=interval(total["clicks"], total["impressions"]),
        add_to_cart=interval(total["carts"], total["impressions"]),
        cold=cold[shown] / total[shown] if total[shown] else None,
    )


def interval(hits: int, total: int) -> tuple[float, float, float] | None:
    """Return a share and its 95% interval (Wilson 1927), at most 1; None of nothing."""
    if not total:
        return None
    share, z = min(1.0, hits / total), 1.96
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    width = z * sqrt(share * (1 - share) / total + z * z / (4 * total**2)) / (1 + z * z / total)
    return share, max(0.0, middle - width), min(1.0, middle + width)
