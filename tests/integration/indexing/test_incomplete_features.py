"""An index of an earlier release, which kept less of each image, is completed beside a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update
from support.image_files import colour_image
from support.shop import Shop
from typer.testing import Result

from backend import generations
from backend.catalogue import image_vectors
from backend.database.models import ImageVector, Product
from backend.embedders import KeepsFeatures
from backend.embedders.kept_features import SIZE
from backend.indexing import incomplete_features
from backend.settings import Settings

COLOURS = ("red", "green", "blue", "white", "black")


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    """A shop of the real embedder, whose features are as short as earlier releases kept them."""
    with Shop(settings, embedder="lookalike-blocks", adapt="off") as one:
        for colour in COLOURS:
            one.save_in_place(colour, colour_image(colour))
        one.run("index")
        shorten(one)
        yield one


def shorten(shop: Shop) -> None:
    """Keep of the features what the former release did: the numbers before those of rows."""
    for digest, vector in stored(shop).items():
        which = ImageVector.image_digest == digest, ImageVector.fingerprint == features_of(shop)
        content = image_vectors.pack(vector[:SIZE])
        shop.execute(update(ImageVector).where(*which).values(vector=content))


def features_of(shop: Shop) -> str:
    with shop.db.read() as session:
        return generations.active(session).features or ""


def stored(shop: Shop) -> dict[str, image_vectors.Vector]:
    with shop.db.read() as session:
        digests = [it for it in session.scalars(select(Product.image_digest)) if it]
        return image_vectors.load(session, features_of(shop), digests)


def embedder_of(shop: Shop) -> KeepsFeatures:
    embedder = shop.services.embedders.of(shop.generation)
    assert isinstance(embedder, KeepsFeatures)
    return embedder


def complete(shop: Shop, **options: Callable[[int, int], None]) -> incomplete_features.Completion:
    opener = shop.services.image_opener
    return incomplete_features.complete(
        shop.db, shop.generation, embedder_of(shop), opener, **options
    )


def test_what_is_missing_is_embedded_and_nothing_else_changes(shop: Shop) -> None:
    before, short = shop.history(), stored(shop)
    done: list[tuple[int, int]] = []
    found = complete(shop, report=lambda *counts: done.append(counts))
    assert (found.embedded, found.failed) == (5, 0)
    assert done[0] == (0, 5)
    assert done[-1] == (5, 5)
    assert shop.history() == before  # no product is requested, and no point is written
    after = stored(shop)
    assert {len(each) for each in after.values()} == {embedder_of(shop).features_size}
    assert all((after[digest][:SIZE] == each).all() for digest, each in short.items())
    assert complete(shop).embedded == 0


def test_an_interrupted_run_goes_on_with_what_is_left(shop: Shop) -> None:
    embedder_of(shop).batch_size = 2

    def interrupt(done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        complete(shop, report=interrupt)
    assert complete(shop).embedded == 3


def test_an_image_that_is_gone_or_another_one_keeps_what_it_has(shop: Shop) -> None:
    folder = Path(shop.settings.data_dir).parent
    (folder / "red.png").unlink()
    (folder / "blue.png").write_bytes(colour_image("yellow"))
    found = complete(shop)
    assert (found.embedded, found.failed) == (3, 2)
    assert sorted(len(each) for each in stored(shop).values())[:3] == [SIZE, SIZE, 1632]
    assert shop.progress().quarantined == 0


def test_longer_features_take_the_place_of_shorter_ones_alone(shop: Shop) -> None:
    vectors = stored(shop)
    digest = next(iter(vectors))
    longer = vectors[digest].repeat(2)
    write = image_vectors.store
    for kept in (vectors[digest], longer, vectors[digest]):
        shop.db.write(lambda s, v=kept: write(s, "features", {digest: v}, may_replace=True))
    with shop.db.read() as session:
        assert len(image_vectors.load(session, "features", [digest])[digest]) == len(longer)


def test_the_command_completes_first_and_says_so(
    shop: Shop, run_command: Callable[..., Result]
) -> None:
    tried = run_command("adapt", "--try", "--features")
    assert "5 images were embedded for their features" in tried.output
    assert "1,000 are needed" in tried.output
    assert complete(shop).embedded == 0
