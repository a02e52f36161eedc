"""What a shopper, or a visitor in a session, did lately: examples for and against, with weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, cast

import numpy as np
from sqlalchemy import Select, Table, bindparam, or_, select, type_coerce
from sqlalchemy.types import NullType

from backend.database.models import Event
from backend.database.reader import Reader
from backend.events.acts import micros, times_of
from backend.events.kinds import BOUGHT, SEEN, TASTE, Kind

_EVENTS: Final = cast("Table", Event.__table__).c

_TASTE: Final[dict[str, float]] = {kind.value: it for kind, it in TASTE.items()}
_KINDS: Final = {kind.value: kind for kind in Kind}
_MICROSECOND: Final = timedelta(microseconds=1)

MOST_EVENTS: Final = 200
"""The newest events that are read of a shopper."""

HALF_LIFE: Final = timedelta(days=14)
"""An event counts half after this time: tastes last longer than a visit, and seasons end."""


@dataclass(frozen=True)
class Example:
    """A product that a shopper did something with. A weight below 0 speaks against it."""

    product_id: int
    weight: float
    kind: Kind  # what counted most


@dataclass(frozen=True, kw_only=True)
class History:
    """The examples, the heaviest first, and the products that the shopper knows or has bought."""

    examples: Sequence[Example] = ()
    seen: frozenset[int] = frozenset()
    bought: frozenset[int] = frozenset()

    @property
    def likes(self) -> list[Example]:
        """The examples that speak for something."""
        return [it for it in self.examples if it.weight > 0]

    @property
    def dislikes(self) -> list[Example]:
        """The examples that speak against something."""
        return [it for it in self.examples if it.weight < 0]


NO_HISTORY: Final = History()


def history_of(reader: Reader, *, user: str | None, visit: str | None, now: datetime) -> History:
    """Return what a shopper did, or somebody in a visit; nothing if neither is known."""
    who = {name: it for name, it in (("shopper", user), ("session", visit)) if it is not None}
    rows = reader.rows(_newest(*who), who) if who else []
    if not rows:
        return NO_HISTORY
    ages = (micros(now) - times_of([row[2] for row in rows])) / (HALF_LIFE / _MICROSECOND)
    factors = np.exp2(-np.maximum(0.0, ages)).tolist()
    return _weighed([(row[0], row[1], it) for row, it in zip(rows, factors, strict=True)])


@cache
def _newest(*who: str) -> Select[Any]:
    """Return the query for the newest events of a shopper, a session, or both."""
    return (
        select(_EVENTS.product_id, _EVENTS.kind, type_coerce(_EVENTS.at, NullType()).label("at"))
        .where(
            or_(*(_EVENTS[name] == bindparam(name) for name in who)),
            _EVENTS.product_id.is_not(None),
            _EVENTS.kind != Kind.IMPRESSION.value,
        )
        .order_by(_EVENTS.at.desc())
        .limit(MOST_EVENTS)
    )


def weigh(acts: Sequence[tuple[int, Kind, datetime]], *, now: datetime) -> History:
    """Return the examples that acts (product id, kind, time) are.

    The weight of a product is the sum over its acts of TASTE, halved after each HALF_LIFE. What was
    returned or disliked after all speaks against, whatever came before.
    """
    ages = [max(timedelta(0), now - at) / HALF_LIFE for *_, at in acts]
    return _weighed([(it[0], it[1], 2.0**-age) for it, age in zip(acts, ages, strict=True)])


def _weighed(acts: Sequence[tuple[int, str, float]]) -> History:
    """Return the examples that acts are: product id, kind, what is left of the weight by its age.

    A kind is the text of a `Kind`, which is found in its tables as well.
    """
    weights: dict[int, float] = {}
    strongest: dict[int, tuple[float, str]] = {}
    for product, kind, factor in acts:
        weight = _TASTE[kind] * factor
        weights[product] = weights.get(product, 0.0) + weight
        if abs(weight) >= abs(strongest.get(product, (0.0, kind))[0]):
            strongest[product] = (weight, kind)
    against = {product for product, kind, _ in acts if _TASTE[kind] < 0}
    examples = [
        Example(
            product,
            -abs(weight) if product in against else weight,
            _KINDS[strongest[product][1]],
        )
        for product, weight in weights.items()
    ]
    return History(
        examples=sorted(examples, key=lambda it: -abs(it.weight)),
        seen=frozenset(product for product, kind, _ in acts if kind in SEEN),
        bought=frozenset(product for product, kind, _ in acts if kind in BOUGHT),
    )
