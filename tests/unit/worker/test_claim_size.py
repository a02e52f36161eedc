"""A claim grows while it is short and shrinks when a single write would wait too long."""

from __future__ import annotations

from backend.worker.claim_size import FIRST, LONG_SECONDS, MOST, SHORT_SECONDS, ClaimSize


def test_short_claims_grow_up_to_a_bound() -> None:
    pace = ClaimSize()
    sizes = [pace.batches]
    for _ in range(MOST):
        pace.learn(SHORT_SECONDS / 2)
        sizes.append(pace.batches)
    assert sizes == [*range(FIRST, MOST), *[MOST] * (FIRST + 1)]


def test_a_long_claim_is_halved_at_once_but_never_to_nothing() -> None:
    pace = ClaimSize()
    for _ in range(5):
        pace.learn(LONG_SECONDS * 2)
    assert pace.batches == 1


def test_what_lasts_neither_short_nor_long_stays() -> None:
    pace = ClaimSize()
    pace.learn((SHORT_SECONDS + LONG_SECONDS) / 2)
    assert pace.batches == FIRST
