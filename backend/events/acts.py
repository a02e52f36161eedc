"""Acts: events whose product is known, and what each person did before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from math import sqrt
from typing import Any, Final, TypeAlias, cast

from sqlalchemy import Select, Table, func, select
from sqlalchemy.orm import Session

from backend.database.models import Event
from backend.events.decay import day_of, growth
from backend.events.kinds import STRENGTH, Kind

_EVENTS: Final = cast("Table", Event.__table__).c
COLUMNS: Final = (
    _EVENTS.id,
    _EVENTS.product_id,
    _EVENTS.kind,
    _EVENTS.at,
    _EVENTS.shopper,
    _EVENTS.session,
    _EVENTS.basket,
)
_ROOTS: Final = {kind.value: sqrt(strength) for kind, strength in STRENGTH.items()}


class Act:
    """An event whose product is known, with what is computed of it once: there are very many."""

    __slots__ = ("at", "basket", "grown", "key", "kind", "people", "product_id", "root", "session")

    def __init__(self, row: Sequence[Any]) -> None:
        id_, self.product_id, kind, at, shopper, self.session, self.basket = row[:7]
        self.kind = Kind(kind)
        self.at: datetime = at
        self.root = _ROOTS[kind]  # of the strength
        self.grown = growth(at)
        self.people: list[tuple[str, str]] = []
        if shopper is not None:
            self.people.append(("shopper", shopper))
        if self.session is not None:
            self.people.append(("session", self.session))
        who = self.people[0] if self.people else ("event", str(id_))
        self.key = (who, kind, self.product_id, day_of(at))
        """What is equal for acts of which one counts: who, what, with which product, which day."""


History: TypeAlias = dict[tuple[str, str], list[Act]]
"""The acts of each person, the oldest first: {("shopper", name): acts}."""


def history_of(session: Session, acts: Sequence[Act], *, since: datetime, most: int) -> History:
    """Return the newest counted acts of each person who did one of `acts`, the oldest first."""
    found: History = defaultdict(list)
    for column in (_EVENTS.shopper, _EVENTS.session):
        names = sorted({name for act in acts for what, name in act.people if what == column.key})
        if names:
            for row in session.execute(_newest(column, names, since, most)):
                found[column.key, row[-1]].append(Act(row))
    return found


def _newest(column: Any, names: Sequence[str], since: datetime, most: int) -> Select[Any]:
    """Return a query for the newest counted events of each name, the name being the last column."""
    newest_first = func.row_number().over(partition_by=column, order_by=_EVENTS.at.desc())
    inner = (
        select(*COLUMNS, newest_first.label("rank"))
        .where(
            column.in_(names),
            _EVENTS.at >= since,
            _EVENTS.pending.is_(None),
            _EVENTS.product_id.is_not(None),
            _EVENTS.kind.in_(list(_ROOTS)),
        )
        .subquery()
    )
    columns = [inner.c[it.key] for it in COLUMNS]
    return (
        select(*columns, inner.c[column.key].label("name"))
        .where(inner.c.rank <= most)
        .order_by(inner.c.at)
    )
