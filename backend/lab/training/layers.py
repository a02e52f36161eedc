"""Layers to train a tail whose batch norms keep their statistics; fast on a CPU too."""

from __future__ import annotations

from typing import Any, Final, cast

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, fx, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812  (as everywhere)

from backend.embedders.batch_norms import normed_convolutions

ESTIMATING: Final = 4
"""If the gradient of depthwise weights is slow, it is estimated from one image in four."""

FEWEST_ESTIMATING: Final = 32
"""The fewest images of that estimate. Batches are random, so the first images are used."""


class FoldedConvolution(nn.Module):
    """A convolution and its batch norm as one layer: both learn, the norm's statistics do not.

    Weights are float32; the folded weights are cast to the dtype of the maps.
    """

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = norm

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve maps (n, channels, height, width) that are stored channels last."""
        weight, bias = self.folded()
        return _convolve(maps, weight.to(maps.dtype), bias.to(maps.dtype), self.convolution)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return weights (out, in, height, width) and bias (out,) of one convolution for both."""
        norm, convolution = self.norm, self.convolution
        mean, deviation = statistics(norm)
        scale = norm.weight / deviation
        shift = 0 if convolution.bias is None else convolution.bias
        bias = norm.bias + (shift - mean) * scale
        return convolution.weight * scale.reshape(-1, 1, 1, 1), bias


def statistics(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return the running mean and standard deviation of a batch norm, each (channels,)."""
    mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
    return mean, torch.sqrt(variance + norm.eps)


def make_trainable(tail: fx.GraphModule) -> None:
    """Replace each convolution and its batch norm by one FoldedConvolution, in place."""
    for name, convolution, norm_name, norm in normed_convolutions(tail):
        tail.set_submodule(name, FoldedConvolution(convolution, norm))
        tail.set_submodule(norm_name, getattr(norm, "act", nn.Identity()))
    for module in tail.modules():
        if isinstance(module, nn.ReLU | nn.ReLU6):
            module.inplace = False  # in place on a view, autograd would copy it
    tail.recompile()


def folded_state(tail: fx.GraphModule) -> dict[str, Tensor]:
    """Return the state dict that a trained tail has after its batch norms are folded."""
    pairs = {n: m for n, m in tail.named_modules() if isinstance(m, FoldedConvolution)}
    state = {
        name: tensor
        for name, tensor in tail.state_dict().items()
        if not any(name.startswith(f"{pair}.") for pair in pairs)
    }
    for name, pair in pairs.items():
        state[f"{name}.weight"], state[f"{name}.bias"] = (part.detach() for part in pair.folded())
    return state


def _convolve(maps: Tensor, weight: Tensor, bias: Tensor, like: nn.Conv2d) -> Tensor:
    if weight.shape[2:] == (1, 1) and like.stride == (1, 1) and like.groups == 1:
        # A matrix product: in bf16 on a CPU more than twice as fast as conv2d.
        product = F.linear(maps.permute(0, 2, 3, 1), weight.flatten(1), bias)
        return product.permute(0, 3, 1, 2)
    padding = like.padding
    if isinstance(like, Conv2dSame):
        kernel, stride, dilation = list(like.kernel_size), list(like.stride), list(like.dilation)
        maps, padding = pad_same(maps, kernel, stride, dilation), (0, 0)
    depthwise = like.groups == len(weight) == maps.shape[1] and like.dilation == (1, 1)
    if depthwise and maps.dtype == torch.bfloat16 and maps.device.type == "cpu":
        return _Depthwise.apply(maps, weight, bias, like.stride, padding)  # type: ignore[no-any-return]
    return F.conv2d(maps, weight, bias, like.stride, padding, like.dilation, like.groups)


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution in bf16; its gradients are computed in float32 where bf16 is slow.

    On a CPU, PyTorch's bf16 kernel for the weights' gradient takes four to six times as long as the
    float32 kernel; so does the one for the maps' gradient if there is a stride. Even in float32 the
    weights' gradient would be half of a step, for 1% of all weights: so a part of the batch
    estimates it.
    """

    @staticmethod
    def forward(
        ctx: Any,
        maps: Tensor,
        weight: Tensor,
        bias: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(maps, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        cast_to = maps.dtype if max(ctx.stride) == 1 else torch.float32
        by_maps = (part.to(cast_to) for part in (gradient, maps, weight))
        to_maps = _backward(ctx, *by_maps, wanted=0).to(maps.dtype)
        count = min(len(maps), max(FEWEST_ESTIMATING, len(maps) // ESTIMATING))
        by_weight = (part.float() for part in (gradient[:count], maps[:count], weight))
        to_weight = _backward(ctx, *by_weight, wanted=1) * (len(maps) / count)
        return to_maps, to_weight.to(weight.dtype), gradient.sum(dim=(0, 2, 3)), None, None


def _backward(ctx: Any, gradient: Tensor, maps: Tensor, weight: Tensor, *, wanted: int) -> Tensor:
    """Return the gradient of the maps (`wanted` 0) or of the weights (1)."""
    channels = len(weight)
    mask = (wanted == 0, wanted == 1, False)
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        gradient, maps, weight, None, ctx.stride, ctx.padding, (1, 1), False, (0, 0), channels, mask
    )
    return found[wanted]
