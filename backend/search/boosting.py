"""How much a product is raised in a list by its own fields, whatever the query is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from backend.filters import OPEN_PREFIX

ValueOf: TypeAlias = Callable[[str], Any]
"""Returns a field of a product by name; also `created_at`, and the `attributes` as an object."""

IN_STOCK: Final = "in_stock"
FRESHNESS: Final = "freshness"
"""How many days ago the product was first seen."""

COLUMNS: Final = (IN_STOCK, FRESHNESS, "year", "price")
MOST: Final = 2.0
"""The weights of one list add up to this at most, as amounts: no two similarities differ more."""

USUAL: Final = {IN_STOCK: (0.0, 1.0), FRESHNESS: (30.0, 0.0)}
"""Where a boost begins and where it is whole, for the fields that have such values by default."""

RULE: Final = (
    f"takes {', '.join(COLUMNS)} or {OPEN_PREFIX}<name>; weights from -2 to 2 whose amounts add up "
    "to 2 at most; and two different numbers, `none_at` and `full_at`, which only in_stock and "
    "freshness may lack"
)


@dataclass(frozen=True, kw_only=True)
class Boost:
    """Adds `weight` where a field is at `full_at` or beyond, nothing at `none_at`, else a share."""

    field: str
    weight: float
    none_at: float
    full_at: float

    @classmethod
    def of(
        cls, field: str, weight: float, none_at: float | None = None, full_at: float | None = None
    ) -> Boost:
        """Return a checked boost, raise ValueError with RULE."""
        is_attribute = field.startswith(OPEN_PREFIX) and field != OPEN_PREFIX
        if none_at is None and full_at is None and field in USUAL:
            none_at, full_at = USUAL[field]
        if not (is_attribute or field in COLUMNS) or abs(weight) > MOST:
            raise ValueError(RULE)
        if none_at is None or full_at is None or none_at == full_at:
            raise ValueError(RULE)
        return cls(field=field, weight=weight, none_at=none_at, full_at=full_at)


def check_sum(boosts: Sequence[Boost]) -> None:
    """Raise ValueError if the weights are too large together."""
    if sum(abs(it.weight) for it in boosts) > MOST + 1e-9:
        raise ValueError(RULE)


def adding(boosts: Sequence[Boost], *, now: datetime) -> Callable[[ValueOf], float]:
    """Return what finds how much all boosts add for a product.

    Of one boost that is weight times min(1, max(0, share of the way)), 0 without a number.
    """
    readers = [(boost, _reader(boost.field, now)) for boost in boosts]

    def add(value_of: ValueOf) -> float:
        return sum([_amount(boost, read(value_of)) for boost, read in readers])

    return add


def _amount(boost: Boost, value: float | None) -> float:
    if value is None:
        return 0.0
    share = (value - boost.none_at) / (boost.full_at - boost.none_at)
    return boost.weight * min(1.0, max(0.0, share))


def columns_of_boosts(boosts: Sequence[Boost]) -> set[str]:
    """Return the columns that boosts look at."""
    names = {"created_at" if it.field == FRESHNESS else it.field for it in boosts}
    return {"attributes" if it.startswith(OPEN_PREFIX) else it for it in names}


def _reader(field: str, now: datetime) -> Callable[[ValueOf], float | None]:
    """Return what reads a field as a number; None where the product has none."""
    if field == FRESHNESS:
        return lambda value_of: (now - _as_time(value_of("created_at"))) / timedelta(days=1)
    if field == IN_STOCK:
        return lambda value_of: float(bool(value_of(IN_STOCK)))
    if field.startswith(OPEN_PREFIX):
        name = field.removeprefix(OPEN_PREFIX)
        return lambda value_of: _as_number((value_of("attributes") or {}).get(name))
    return lambda value_of: _as_number(value_of(field))


def _as_number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _as_time(value: datetime | str) -> datetime:
    """Read a time as the driver gives it: SQLite's gives a text in UTC."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found if found.tzinfo else found.replace(tzinfo=UTC)
