"""Acts: events whose product is known, as arrays, and what each person did before.

There are very many, so they are compared and summed as arrays (`pairing`), not one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, Table, bindparam, func, select, type_coerce
from sqlalchemy.orm import Session
from sqlalchemy.types import NullType

from backend.database.models import Event
from backend.database.reader import rows_within
from backend.events.decay import EPOCH, HALF_LIFE, LANDMARK
from backend.events.kinds import STRENGTH

Numbers: TypeAlias = NDArray[np.int64]

_EVENTS: Final = cast("Table", Event.__table__).c
_COLUMNS: Final = (
    _EVENTS.id,
    _EVENTS.product_id,
    _EVENTS.kind,
    type_coerce(_EVENTS.at, NullType()).label("at"),  # all are converted at once, by `Acts`
    _EVENTS.shopper,
    _EVENTS.session,
    _EVENTS.basket,
)
_KINDS: Final = {kind.value: place for place, kind in enumerate(STRENGTH)}
_STRENGTHS: Final = np.array(list(STRENGTH.values()))
_MICROSECOND: Final = timedelta(microseconds=1)
DAY: Final = timedelta(days=1) // _MICROSECOND


def moment_of(micros: int) -> datetime:
    """Return the time so many microseconds after the beginning of 1970."""
    return EPOCH + int(micros) * _MICROSECOND


def micros(time: datetime) -> int:
    """Return the microseconds since 1970."""
    return (time - EPOCH) // _MICROSECOND


@dataclass(frozen=True, eq=False)
class Acts:
    """Acts as arrays of one length. Shoppers, sessions and baskets are numbers, 0 for none."""

    id: Numbers
    product: Numbers
    kind: Numbers  # its place in STRENGTH
    at: Numbers  # microseconds since 1970
    shopper: Numbers
    session: Numbers
    basket: Numbers

    def __len__(self) -> int:
        return len(self.id)

    def where(self, wanted: NDArray[Any]) -> Acts:
        """Return some of the acts, by a mask or by their places."""
        return Acts(*(getattr(self, it.name)[wanted] for it in fields(self)))

    def followed_by(self, others: Acts) -> Acts:
        """Return these acts, then others."""
        both = ((getattr(self, it.name), getattr(others, it.name)) for it in fields(self))
        return Acts(*map(np.concatenate, both))

    @property
    def day(self) -> Numbers:
        """The day of each act in UTC, 0 for the first of 1970."""
        return self.at // DAY

    @property
    def strength(self) -> NDArray[np.float64]:
        """How strong each act is."""
        found: NDArray[np.float64] = _STRENGTHS[self.kind]
        return found

    @property
    def growth(self) -> NDArray[np.float64]:
        """The factor of each act, as `decay.growth` of its time."""
        found: NDArray[np.float64] = np.exp2(self.since_landmark(HALF_LIFE))
        return found

    def since_landmark(self, unit: timedelta) -> NDArray[np.float64]:
        """Return how long after `decay.LANDMARK` each act was."""
        found: NDArray[np.float64] = (self.at - micros(LANDMARK)) / (unit / _MICROSECOND)
        return found

    @property
    def person(self) -> Numbers:
        """A number of who did each act: the shopper, else the session, else somebody else."""
        visit = np.where(self.session > 0, 2 * self.session + 1, -self.id)
        return np.where(self.shopper > 0, 2 * self.shopper, visit)


NONE: Final = Acts(*(np.zeros(0, np.int64) for _ in fields(Acts)))


class ActReader:
    """Reads acts in one database session. What it numbers is the same in all that it reads."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._numbers = {name: _Numbering() for name in ("shopper", "session", "basket")}

    def due(self, pending: int, *, limit: int) -> list[Any]:
        """Return the first events that wait in a state, with their `recommendation`."""
        return rows_within(
            self._session, _due(), {"pending": pending, "limit": limit}, at_once=True
        )

    def acts(self, rows: Sequence[Any]) -> Acts:
        """Return those of the rows whose kinds are acts."""
        rows = [row for row in rows if row[2] in _KINDS]
        if not rows:
            return NONE
        id_, product, kind, at, shopper, session, basket = list(zip(*rows, strict=True))[:7]
        return Acts(
            np.array(id_),
            np.array(product),
            np.array([_KINDS[it] for it in kind]),
            times_of(at),
            self._numbers["shopper"].of(shopper),
            self._numbers["session"].of(session),
            self._numbers["basket"].of(basket),
        )

    def history(self, who: str, names: Sequence[str], *, since: datetime, most: int) -> Acts:
        """Return up to `most` newest counted acts of each of some shoppers, or sessions.

        `who` is the column of their names. The oldest come first.
        """
        if not names:
            return NONE
        given = {"names": names, "since": since, "most": most}
        return self.acts(rows_within(self._session, _newest(who), given))


class _Numbering:
    """Numbers for names, from 1 on, and 0 for None."""

    def __init__(self) -> None:
        self._known: dict[str | None, int] = {None: 0}

    def of(self, names: Sequence[str | None]) -> Numbers:
        known = self._known
        for name in set(names) - known.keys():
            known[name] = len(known)
        return np.fromiter(map(known.__getitem__, names), np.int64, len(names))


def times_of(values: Sequence[Any]) -> Numbers:
    """Return times as microseconds since 1970.

    They are as a database's driver gives them: texts in UTC, or datetimes with a zone.
    """
    if not values:
        return np.zeros(0, np.int64)
    if isinstance(values[0], str):
        return np.array(values, "datetime64[us]").astype(np.int64)
    return np.array([micros(it) for it in values], np.int64)


@cache
def _due() -> Select[Any]:
    wanted = select(*_COLUMNS, _EVENTS.recommendation)
    is_due = _EVENTS.pending == bindparam("pending")
    return wanted.where(is_due).order_by(_EVENTS.id).limit(bindparam("limit"))


@cache
def _newest(who: str) -> Select[Any]:
    """Return the query for the `most` newest counted events of each name."""
    column = _EVENTS[who]
    newest_first = func.row_number().over(partition_by=column, order_by=_EVENTS.at.desc())
    inner = (
        select(*_COLUMNS, newest_first.label("rank"))
        .where(
            column.in_(bindparam("names", expanding=True)),
            _EVENTS.at >= bindparam("since"),
            _EVENTS.pending.is_(None),
            _EVENTS.product_id.is_not(None),
            _EVENTS.kind.in_(list(_KINDS)),
        )
        .subquery()
    )
    columns = [inner.c[it.key] for it in _COLUMNS]
    return select(*columns).where(inner.c.rank <= bindparam("most")).order_by(inner.c.at)
