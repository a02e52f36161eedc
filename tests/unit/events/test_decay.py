"""Sums of events that count less with time, as logarithms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce
from random import Random

import pytest

from backend.events.decay import POPULAR, TRENDING, Decay, added

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("decay", [POPULAR, TRENDING], ids=["popular", "trending"])
def test_a_level_holds_the_sum_in_which_old_events_count_half(decay: Decay) -> None:
    random = Random(7)
    events = [
        (random.choice([0.2, 0.6, 1.0]), NOW - timedelta(hours=random.randrange(2000)))
        for _ in range(50)
    ]
    plain = sum(amount * 2 ** (-((NOW - at) / decay.half_life)) for amount, at in events)
    levels = [decay.level(amount, at) for amount, at in events]
    assert decay.amount(reduce(added, levels), NOW) == pytest.approx(plain)
    assert decay.amount(reduce(added, reversed(levels)), NOW) == pytest.approx(plain)


def test_what_is_very_old_or_of_a_far_year_is_still_a_number() -> None:
    far = NOW + timedelta(days=365 * 300)
    assert TRENDING.amount(TRENDING.level(1.0, NOW), far) == 0.0
    assert TRENDING.amount(TRENDING.level(1.0, far), far) == pytest.approx(1.0)
    old, new = TRENDING.level(1.0, NOW), TRENDING.level(1.0, far)
    assert added(old, new) == new
