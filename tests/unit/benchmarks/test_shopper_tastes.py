"""The simulated shoppers behind a table of benchmarks/README.md."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from support.places import ROOT

from backend.events.kinds import Kind


@pytest.fixture(scope="module")
def simulated() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return importlib.import_module("shopper_tastes")


@pytest.fixture(scope="module")
def centres(simulated: ModuleType) -> NDArray[np.float32]:
    drawn = np.random.default_rng(0).normal(size=(simulated.LOOKS, simulated.SIZE))
    found: NDArray[np.float32] = simulated.unit(drawn)
    return found


def test_vectors_are_drawn_at_length_one(centres: NDArray[np.float32]) -> None:
    assert np.linalg.norm(centres, axis=1) == pytest.approx(np.ones(len(centres)))


def test_a_shopper_likes_what_is_nearest_to_each_taste(
    simulated: ModuleType, centres: NDArray[np.float32]
) -> None:
    vectors = np.repeat(centres, 5, axis=0)  # five products of each look
    rng = np.random.default_rng(1)
    shoppers = [simulated.draw_shopper(f"u-{n}", centres, vectors, rng) for n in range(20)]
    assert {len(it.tastes) for it in shoppers} == {1, 2}
    many = round(simulated.LIKED * len(vectors))
    for shopper in shoppers:
        assert [len(liked) for liked in shopper.liked] == [many] * len(shopper.tastes)
        for taste, liked in zip(shopper.tastes, shopper.liked, strict=True):
            least = min(float(vectors[it - 1] @ taste) for it in liked)
            others = [float(v @ taste) for at, v in enumerate(vectors, 1) if at not in liked]
            assert least >= max(others) - 1e-6


def test_shoppers_act_on_their_tastes_and_never_on_new_products(
    simulated: ModuleType, centres: NDArray[np.float32]
) -> None:
    rng = np.random.default_rng(2)
    shopper = simulated.draw_shopper("u", centres, centres, rng)
    weights = np.where(np.arange(len(centres)) % 2, 0.0, 1.0)  # of the products that are known
    acts = simulated.events_of(shopper, centres, weights, rng)
    assert len({it.id for it in acts}) == simulated.ACTS
    assert {it.user for it in acts} == {"u"}
    assert {it.kind for it in acts} <= {Kind.VIEW, Kind.CART, Kind.PURCHASE}
    products = [int(it.sku.removeprefix("p-")) for it in acts]
    assert all(weights[at] for at in products)
    near = np.mean([float((shopper.tastes @ centres[at]).max()) for at in products])
    assert near > float((shopper.tastes @ centres.T).max(axis=0).mean())
