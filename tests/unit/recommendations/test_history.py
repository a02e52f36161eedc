"""Histories: what counts, how much, and what speaks against a product."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from backend.events.kinds import Kind
from backend.recommendations.history import weigh

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_newer_and_dearer_acts_weigh_more() -> None:
    found = weigh(
        [(1, Kind.VIEW, NOW), (2, Kind.PURCHASE, NOW - 14 * DAY), (3, Kind.CART, NOW)], now=NOW
    )
    assert [(it.product_id, it.weight) for it in found.examples] == [
        (3, pytest.approx(3)),
        (2, pytest.approx(2.5)),
        (1, pytest.approx(1)),
    ]
    assert found.seen == {1, 2, 3}
    assert found.bought == {2}


def test_what_was_sent_back_speaks_against_its_like() -> None:
    acts = [(1, Kind.RETURN, NOW), (1, Kind.PURCHASE, NOW - DAY), (2, Kind.DISLIKE, NOW)]
    found = weigh(acts, now=NOW)
    assert found.likes == []
    assert {it.product_id for it in found.dislikes} == {1, 2}


def test_a_clock_that_is_ahead_weighs_as_now() -> None:
    (one,) = weigh([(1, Kind.VIEW, NOW + DAY)], now=NOW).examples
    assert one.weight == pytest.approx(1)


def test_repeated_views_add_up() -> None:
    (one,) = weigh([(1, Kind.VIEW, NOW)] * 3, now=NOW).examples
    assert one.weight == pytest.approx(3)
