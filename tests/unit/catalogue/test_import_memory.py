"""An import collects garbage more rarely, and leaves the process as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from backend.catalogue.import_memory import YOUNG_OBJECTS, rare_collections


@pytest.fixture(autouse=True)
def _thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_within_collections_are_rare_and_afterwards_as_before() -> None:
    before = gc.get_threshold()
    with rare_collections():
        assert gc.get_threshold() == (YOUNG_OBJECTS, *before[1:])
    assert gc.get_threshold() == before


def test_a_process_that_collects_more_rarely_still_goes_on_so() -> None:
    gc.set_threshold(2 * YOUNG_OBJECTS, 10, 10)
    with rare_collections():
        assert gc.get_threshold()[0] == 2 * YOUNG_OBJECTS


def test_an_error_brings_the_collections_back() -> None:
    before = gc.get_threshold()
    with pytest.raises(ValueError, match="unreadable"), rare_collections():
        raise ValueError("unreadable")
    assert gc.get_threshold() == before
