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
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import func, literal, select
from sqlalchemy.orm import Session

from backend.database.models import Event, ListedAnswer, ListedArm, ListedDay
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


class Listing(NamedTuple):
    """Where and why a product was listed."""

    list_name: str
    reason: str
    generation_id: int
    cold: bool


class ListArm(NamedTuple):
    """By which placement, and in which arm of an experiment, a list was made; empty: in none."""

    list_name: str
    placement: str
    experiment: str
    arm: str


NOWHERE: Final = Listing(UNKNOWN, UNKNOWN, 0, False)


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
    sums: _Sums = defaultdict(Counter)
    for act in acts:
        what = ACTS[Kind(act.kind)]
        key = (act.recommendation, act.product_id, what)
        if key not in counted:
            counted.add(key)
            place, side = places.get((act.recommendation, act.product_id), (None, None))
            sums[day_of(act.at), place or _place_of_id(act.recommendation)][what] += 1
            if side is not None:
                sums[day_of(act.at), side][what] += 1
    _add(session, sums)


def add_listed(session: Session, answers: Iterable[Mapping[str, Any]], *, day: int) -> None:
    """Add what answers list: rows of ListedAnswer."""
    sums: _Sums = defaultdict(Counter)
    for answer in answers:
        side = _side(answer)
        for item in answer["items"]:
            sums[day, _place(answer["list_name"], answer["generation_id"], item)]["listed"] += 1
            if side is not None:
                sums[day, side]["listed"] += 1
    _add(session, sums)


_Sums: TypeAlias = dict[tuple[int, Listing | ListArm], Counter[str]]
_TABLES: Final[Mapping[type, type[ListedDay] | type[ListedArm]]] = {
    Listing: ListedDay,
    ListArm: ListedArm,
}


def _add(session: Session, sums: _Sums) -> None:
    for kind, table in _TABLES.items():
        of_kind = [it for it in sums.items() if type(it[0][1]) is kind]
        rows = [
            {"day": day, **where._asdict(), **{name: counts[name] for name in COUNTS}}
            for (day, where), counts in sorted(of_kind)
        ]
        if rows:
            insert = upsert(session, table)
            summed = {name: getattr(table, name) + insert.excluded[name] for name in COUNTS}
            keys = [name for name in rows[0] if name not in COUNTS]
            session.execute(insert.on_conflict_do_update(index_elements=keys, set_=summed), rows)


def _places(
    session: Session, ids: Sequence[str]
) -> dict[tuple[str, int], tuple[Listing, ListArm | None]]:
    names = ("id", "list_name", "generation_id", "items", "placement", "experiment", "arm")
    columns = [getattr(ListedAnswer, name) for name in names]
    found = {}
    for row in session.execute(select(*columns).where(ListedAnswer.id.in_(ids))):
        answer = row._asdict()
        for item in row.items:
            place = _place(row.list_name, row.generation_id, item)
            found[row.id, item["product_id"]] = (place, _side(answer))
    return found


def _side(answer: Mapping[str, Any]) -> ListArm | None:
    names = ("placement", "experiment", "arm")
    if answer["placement"] is None and answer["experiment"] is None:
        return None
    return ListArm(answer["list_name"], *(answer[name] or "" for name in names))


def _place(list_name: str, generation_id: int, item: Mapping[str, Any]) -> Listing:
    return Listing(list_name, item["reason"], generation_id, item["cold"])


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


def _place_of_id(recommendation: str) -> Listing:
    name, _, rest = recommendation.partition("-")
    generation = rest.partition("-")[0]
    if name == SIMILAR and generation.isdecimal() and len(generation) < 10:
        return Listing(SIMILAR, LOOK, int(generation), False)
    return NOWHERE


# --- the report ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ListOutcome:
    """What became of products that were listed in some way.

    `click_through` and `add_to_cart` are shares of the impressions, with 95% intervals (Wilson
    1927); None without an impression. `cold` is the share of the impressions (of what was listed,
    if nobody sends impressions) that nobody had done anything with; None where it is not counted.
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
SIDES: Final = ("list_name", "placement", "experiment", "arm", "day")


def report(session: Session, *, since: int, by: Sequence[str]) -> list[ListOutcome]:
    """Return what became of listed products since a day, the largest first.

    `by` are some of GROUPS, or some of SIDES: then only lists that name a placement, or that an
    experiment has split, are reported, without what was cold. Raises ValueError for both at once.
    """
    is_of_sides = not set(by) <= set(GROUPS)
    if is_of_sides and not set(by) <= set(SIDES):
        raise ValueError("reason and generation are not counted by placement or arm")
    table: Any = ListedArm if is_of_sides else ListedDay
    cold = literal(value=False) if is_of_sides else ListedDay.cold
    columns = [getattr(table, name) for name in by]
    sums = [func.sum(getattr(table, name)) for name in COUNTS]
    query = select(*columns, cold.label("cold"), *sums).where(table.day >= since)
    groups = columns if is_of_sides else [*columns, cold]
    found: dict[tuple[Any, ...], dict[bool, list[int]]] = defaultdict(dict)
    for row in session.execute(query.group_by(*groups)):
        counts = [int(it) for it in row[len(by) + 1 :]]
        found[tuple(row[: len(by)])][bool(row[len(by)])] = counts
    outcomes = [
        _outcome(dict(zip(by, key, strict=True)), each, knows_cold=not is_of_sides)
        for key, each in found.items()
    ]
    return sorted(outcomes, key=lambda it: (-it.impressions, -it.listed, str(it.group)))


def _outcome(
    group: Mapping[str, Any], sums: Mapping[bool, Sequence[int]], *, knows_cold: bool
) -> ListOutcome:
    cold = dict(zip(COUNTS, sums.get(True, [0] * len(COUNTS)), strict=True))
    warm = dict(zip(COUNTS, sums.get(False, [0] * len(COUNTS)), strict=True))
    total = {name: cold[name] + warm[name] for name in COUNTS}
    shown = "impressions" if total["impressions"] else "listed"
    return ListOutcome(
        group=group,
        **total,
        click_through=interval(total["clicks"], total["impressions"]),
        add_to_cart=interval(total["carts"], total["impressions"]),
        cold=cold[shown] / total[shown] if total[shown] and knows_cold else None,
    )


def interval(hits: int, total: int) -> tuple[float, float, float] | None:
    """Return a share and its 95% interval (Wilson 1927), at most 1; None of nothing."""
    if not total:
        return None
    share, z = min(1.0, hits / total), 1.96
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    width = z * sqrt(share * (1 - share) / total + z * z / (4 * total**2)) / (1 + z * z / total)
    return share, max(0.0, middle - width), min(1.0, middle + width)
