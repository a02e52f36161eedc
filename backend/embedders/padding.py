"""Fold the padding of TensorFlow's strided convolutions into their weights.

TensorFlow's "same" padding, of an even side with a stride of 2, is one pixel wider at the end than
at the start. Torch pads both sides alike, so timm first copies the whole map into a larger one,
which took a sixth of the forward pass. A filter with an extra row and column of zeros at its start
gives the same result without the copy.
"""

from __future__ import annotations

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import get_same_padding
from torch import fx, nn


def fold_padding(graph: fx.GraphModule) -> None:
    """Replace each `Conv2dSame` of a graph by a plain convolution, in place.

    The graph must have been traced with the size of images that it will see.
    """
    for node in graph.graph.nodes:
        if node.op != "call_module":
            continue
        layer = graph.get_submodule(str(node.target))
        if isinstance(layer, Conv2dSame):
            sides = node.args[0].meta["tensor_meta"].shape[2:]
            graph.set_submodule(str(node.target), _plain(layer, sides))
    graph.recompile()


def _plain(layer: nn.Conv2d, sides: tuple[int, int]) -> nn.Conv2d:
    """Return a convolution with the same output as `layer` for an input of these sides."""
    total = [
        get_same_padding(side, kernel, stride, dilation)
        for side, kernel, stride, dilation in zip(
            sides, layer.kernel_size, layer.stride, layer.dilation, strict=True
        )
    ]
    before = [padding // 2 for padding in total]
    after = [padding - padding // 2 for padding in total]
    zeros = [b - a for b, a in zip(after, before, strict=True)]  # 0 or 1
    kernel = [size + extra for size, extra in zip(layer.kernel_size, zeros, strict=True)]
    with torch.device("meta"):
        plain = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            (kernel[0], kernel[1]),
            stride=(layer.stride[0], layer.stride[1]),
            padding=(after[0], after[1]),
            dilation=(layer.dilation[0], layer.dilation[1]),
            groups=layer.groups,
        )
    wide = nn.functional.pad(layer.weight.data, (zeros[1], 0, zeros[0], 0))
    plain.weight = nn.Parameter(wide, requires_grad=False)
    plain.bias = layer.bias
    return plain
