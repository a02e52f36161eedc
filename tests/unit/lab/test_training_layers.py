"""The parts of a network that learns: cut where it is said, folded, and with the right slopes."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (as everywhere)

from backend.embedders.backbones import load_backbone
from backend.embedders.batch_norms import fold_batch_norms
from backend.errors import UnknownEmbedder
from backend.lab.training.layers import FoldedConvolution, folded_state, make_trainable
from backend.lab.training.tuned_network import Head

LITE0 = load_backbone("efficientnet-lite0", input_size=(96, 64))
RESNET = load_backbone("torchvision/resnet18?weights=random", input_size=(64, 64))


def random_images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 96, 64, generator=torch.Generator().manual_seed(1))


def whole_map(pixels: Tensor) -> Tensor:
    """What the uncut network gives."""
    return LITE0.model.forward_features(pixels)  # type: ignore[operator, no-any-return]


@pytest.mark.parametrize("layer", ["blocks.2", "blocks.4", "blocks.5.2", "conv_head"])
@torch.inference_mode()
def test_stem_and_tail_together_are_the_network(layer: str) -> None:
    stem, tail = LITE0.split(layer)

    assert torch.allclose(tail(stem(random_images())), whole_map(random_images()), atol=1e-4)
    assert any(name.startswith(layer) for name in tail.state_dict())
    assert not any(name.startswith(f"{layer}.") for name in stem.state_dict())


def test_a_residual_network_is_cut_between_its_stages() -> None:
    stem, tail = RESNET.split(RESNET.tune_from)

    assert {name.split(".")[0] for name in tail.state_dict()} == {"layer4"}
    assert tail(stem(torch.zeros(1, 3, 64, 64))).shape == (1, 512, 2, 2)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [("blocks.9", "no layer 'blocks.9'"), ("blocks.4.1.bn1", "maps cross"), ("", "name the layer")],
)
def test_an_impossible_cut_is_refused_with_its_reason(layer: str, reason: str) -> None:
    with pytest.raises(UnknownEmbedder, match=reason):
        LITE0.split(layer)


@pytest.mark.parametrize(
    "spec", ["raw-pixels", "efficientnet-lite0?pool=max", "torchvision/resnet18?pool=max"]
)
def test_only_a_plain_network_is_tuned(spec: str) -> None:
    with pytest.raises(UnknownEmbedder, match="cannot be tuned"):
        load_backbone(spec)


def test_a_trainable_tail_gives_what_it_gave_before() -> None:
    stem, tail = LITE0.split("blocks.4")
    maps = stem(random_images()).detach()
    before = deepcopy(tail)(maps)

    make_trainable(tail)

    assert torch.allclose(tail(maps), before, atol=1e-3)
    assert all(parameter.requires_grad for parameter in tail.parameters())


def test_its_state_fits_a_tail_with_folded_norms() -> None:
    stem, tail = LITE0.split("blocks.5")
    maps = stem(random_images()).detach()
    folded = deepcopy(tail)
    make_trainable(tail)
    with torch.no_grad():
        for parameter in tail.parameters():
            parameter.mul_(1.01)  # as if it had learned something

    fold_batch_norms(folded)
    folded.load_state_dict(folded_state(tail))

    assert torch.allclose(folded(maps), tail(maps), atol=1e-3)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_slopes_of_a_depthwise_layer_in_bf16_are_those_in_float32(stride: int) -> None:
    def slopes(dtype: torch.dtype) -> list[Tensor]:
        torch.manual_seed(0)
        convolution = nn.Conv2d(8, 8, 5, stride=stride, padding=2, groups=8, bias=False)
        layer = FoldedConvolution(convolution, nn.BatchNorm2d(8))
        maps = torch.randn(6, 8, 14, 11).contiguous(memory_format=torch.channels_last)
        maps.requires_grad_()
        wave = torch.sin(torch.arange(6 * 8 * 14 * 11 // stride**2 + 999.0))
        found = layer(maps.to(dtype)).float()
        (found * wave[: found.numel()].reshape(found.shape)).sum().backward()
        return [
            part.grad for part in (maps, convolution.weight, layer.norm.weight, layer.norm.bias)
        ]  # type: ignore[misc]

    for fast, exact in zip(slopes(torch.bfloat16), slopes(torch.float32), strict=True):
        assert F.cosine_similarity(fast.flatten(), exact.flatten(), dim=0) > 0.999
        assert fast.norm() == pytest.approx(float(exact.norm()), rel=0.02)


def test_a_part_of_a_large_batch_estimates_the_slope_of_all() -> None:
    maps = torch.randn(2, 4, 9, 9).repeat(64, 1, 1, 1)  # any part of it is like the whole
    slopes = []
    for dtype in (torch.bfloat16, torch.float32):
        torch.manual_seed(0)
        convolution = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        layer = FoldedConvolution(convolution, nn.BatchNorm2d(4))
        layer(
            maps.to(dtype).contiguous(memory_format=torch.channels_last)
        ).float().square().sum().backward()
        slopes.append(convolution.weight.grad)

    assert slopes[0] == pytest.approx(slopes[1], rel=0.05, abs=0.05 * float(slopes[1].abs().max()))


def test_a_folded_head_gives_the_same_direction() -> None:
    torch.manual_seed(0)
    head = Head(20, 8, dropout=0.5)
    head(torch.randn(64, 20) + 1)  # gathers statistics
    pooled = torch.randn(5, 20)

    weights, bias = (torch.from_numpy(part).float() for part in head.folded())
    found = F.normalize(pooled @ weights.T + bias)

    assert torch.allclose(found, head.eval()(pooled), atol=2e-3)
