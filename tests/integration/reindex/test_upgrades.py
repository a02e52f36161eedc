"""Another embedder, by the settings or by a newer package: the shop goes on, and is re-indexed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.reindexed_shop import BETTER, REINDEX_SETTINGS, ReindexedShop, photograph

from backend import generations
from backend import reindex as reindexing
from backend.database.models import (
    ACTIVE,
    BUILDING,
    STANDBY,
)
from backend.embedders.mean_colour import MeanColour
from backend.errors import ModelMismatch
from backend.reindex import ReindexPlan
from backend.search.query import Query
from backend.settings import Settings


@pytest.fixture
def shop(settings: Settings) -> Iterator[ReindexedShop]:
    """A shop on SQLite."""
    with ReindexedShop(settings, **REINDEX_SETTINGS) as found:
        yield found


def test_an_index_of_a_former_default_goes_on_where_no_embedder_is_set(
    shop: ReindexedShop, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.fill(9)
    shop.close()
    unset = {name: value for name, value in REINDEX_SETTINGS.items() if name != "embedder"}
    shop.settings = settings.model_copy(update=unset)
    assert shop.settings.embedder != REINDEX_SETTINGS["embedder"]
    shop.start()
    assert shop.unfinished_reindex() is None
    shop.add("new", "Red", 9)
    shop.work()
    assert shop.states() == {1: ACTIVE}
    assert shop.similar("new").generation.embedder == REINDEX_SETTINGS["embedder"]
    assert f"lookalike reindex --embedder {shop.settings.embedder}" in capsys.readouterr().out
    # naming another one is still a wish for another index
    shop.restart(embedder=BETTER)
    job = shop.unfinished_reindex()
    assert job is not None
    assert job.arguments["embedder"] == BETTER


def test_another_embedder_in_the_settings_is_built_by_itself(shop: ReindexedShop) -> None:
    shop.fill(12)
    shop.restart(embedder=BETTER)
    assert shop.similar("s0").generation.id == 1  # stored vectors answer meanwhile
    job = shop.unfinished_reindex()
    assert job is not None
    assert shop.follow(job.id).error is None
    assert shop.similar("s0").generation.embedder == BETTER
    shop.restart()
    assert shop.unfinished_reindex() is None


def test_a_rollback_from_the_settings_embedder_is_respected_by_the_next_start(
    shop: ReindexedShop,
) -> None:
    shop.fill(9)
    shop.restart(embedder=BETTER)
    job = shop.unfinished_reindex()
    assert job is not None
    shop.follow(job.id)
    shop.roll_back()
    generations.drop(shop.db, 2)
    shop.restart()
    assert shop.unfinished_reindex() is None


def test_an_embedder_chosen_on_the_command_line_stays_after_a_restart(shop: ReindexedShop) -> None:
    shop.fill(9)
    shop.reindex(embedder=BETTER)
    generations.drop(shop.db, 1)
    shop.restart()
    assert shop.unfinished_reindex() is None


@pytest.fixture
def upgrade(shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Restart with a package in which the same name means another network."""

    def make() -> None:
        init = MeanColour.__init__

        def newer(self: MeanColour, grid: int, **options: Any) -> None:
            init(self, grid, **options)
            self.fingerprint = f"newer {self.fingerprint}"[:64]

        monkeypatch.setattr(MeanColour, "__init__", newer)
        shop.restart()

    return make


def test_an_upgrade_reindexes_by_itself_and_meanwhile_refuses_only_images(
    shop: ReindexedShop, upgrade: Callable[[], None]
) -> None:
    shop.fill(12)
    upgrade()
    job = shop.unfinished_reindex()
    assert job is not None
    assert shop.similar("s0").generation.id == 1
    services = shop.services
    with pytest.raises(ModelMismatch):
        services.similar.to_image(
            services.query_encoder.encode,
            photograph("Red", 1),
            Query(),
        )
    shop.add("new", "Red", 72)
    assert shop.follow(job.id).error is None
    assert shop.states() == {1: STANDBY, 2: ACTIVE}
    shop.work()
    assert shop.worker.problem is None
    answer = services.similar.to_image(services.query_encoder.encode, photograph("Red", 1), Query())
    assert answer.generation.id == 2
    assert shop.similar("new").generation.id == 2


def test_a_checkpoint_that_was_trained_anew_is_another_embedder(
    shop: ReindexedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.fill(12)
    init = MeanColour.__init__

    def retrained(self: MeanColour, grid: int, **options: Any) -> None:
        init(self, grid, **options)
        self.fingerprint = "retrained"

    monkeypatch.setattr(MeanColour, "__init__", retrained)
    job = reindexing.request(shop.db, ReindexPlan(embedder=shop.settings.embedder))
    while BUILDING not in shop.states().values():
        shop.worker.work_once()
    services = shop.services
    image = photograph("Red", 1)
    old = services.similar.to_image(services.query_encoder.encode, image, Query())
    assert old.generation.id == 1  # by the network that this process still holds
    shop.follow(job.id)
    assert shop.generation_in(ACTIVE).fingerprint == "retrained"
