"""The loss of a tuning run, compared with its formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (as everywhere)

from backend.lab.training.objective import MISSING, Aim, Objective, Weights, supervised_contrast

AIMS = (Aim(by="type", weight=0.5), Aim(by="colour+type", weight=2))


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)))


def objective(**weights: float) -> Objective:
    torch.manual_seed(0)
    return Objective(8, AIMS, (3, 4), Weights(**weights)).requires_grad_(False)


def test_the_contrast_is_the_mean_log_share_of_the_positives() -> None:
    cosines = unit(4, 8) @ unit(4, 8).T
    targets = torch.tensor([0, 0, 1, 0])

    by_hand = []
    for i, positives in ((0, (1, 3)), (1, (0, 3)), (3, (0, 1))):  # 2 is alone
        powers = {j: math.exp(float(cosines[i, j]) / 0.1) for j in range(4) if j != i}
        logs = [math.log(powers[j] / sum(powers.values())) for j in positives]
        by_hand.append(-sum(logs) / len(logs))

    found = supervised_contrast(cosines, targets, 0.1)
    assert float(found) == pytest.approx(sum(by_hand) / 3, rel=1e-4)


def test_products_without_a_label_have_no_positives() -> None:
    cosines = unit(3, 8) @ unit(3, 8).T

    assert float(supervised_contrast(cosines, torch.full((3,), MISSING), 0.1)) == 0


def test_a_missing_label_teaches_nothing_about_it() -> None:
    vectors, starting = unit(4, 8), unit(4, 5, seed=1)
    whole = torch.tensor([[0, 0], [1, 1], [2, 2], [0, 3]])
    lacking = whole.clone()
    lacking[3, 0] = MISSING

    of_three = objective()(vectors[:3], whole[:3], starting[:3])
    of_four = objective()(vectors, lacking, starting)

    assert float(of_four["type"]) == pytest.approx(float(of_three["type"]))


def test_the_softmax_is_that_of_scaled_cosines() -> None:
    made = objective(smoothing=0)
    vectors, targets = unit(4, 8), torch.tensor([[0, 0], [1, 1], [2, 2], [0, 3]])

    logits = 16 * vectors @ F.normalize(made.directions[1]).T

    found = made(vectors, targets, unit(4, 5))["colour+type"]
    assert float(found) == pytest.approx(2 * float(F.cross_entropy(logits, targets[:, 1])))


def test_who_keeps_all_cosines_has_not_drifted() -> None:
    vectors, targets = unit(4, 8), torch.zeros(4, 2, dtype=torch.long)
    turned = vectors @ torch.linalg.qr(torch.randn(8, 8)).Q

    assert float(objective()(turned, targets, vectors)["distillation"]) == pytest.approx(
        0, abs=1e-5
    )
    assert float(objective()(unit(4, 8, seed=2), targets, vectors)["distillation"]) > 0.1
