"""Trace a network with torch.fx, and find its last feature map."""

from __future__ import annotations

from itertools import takewhile

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp


class _Tracer(fx.Tracer):
    """Does not trace into convolutions and batch norms, nor into timm's subclasses of them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = isinstance(m, (nn.Conv2d, nn.BatchNorm2d))
        return own or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module, input_size: tuple[int, int]) -> fx.GraphModule:
    """Trace a network in eval mode, and run it once, so that the shape of every output is known."""
    graph = fx.GraphModule(model, _Tracer().trace(model.eval()))
    with torch.inference_mode():
        ShapeProp(graph).propagate(torch.zeros(1, 3, *input_size))
    return graph


def cut_at_last_map(model: nn.Module, input_size: tuple[int, int]) -> fx.GraphModule:
    """Trace a classifier and end it at its last feature map: the last output of several pixels.

    It is found by running `model` once, so that no architecture has to be known by name.
    """
    graph = trace(model, input_size)
    # SqueezeNet's classifier is a convolution, whose output is a map, too
    features = takewhile(lambda n: not str(n.target).startswith("classifier"), graph.graph.nodes)
    maps = [node for node in features if _is_map(node)]
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    output.args = (maps[-1],)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


def last_map_shape(graph: fx.GraphModule) -> tuple[int, int, int]:
    """Return the channels, height and width of a graph's output for one image."""
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    _, channels, height, width = _shape(output.args[0])
    return channels, height, width


def _is_map(node: fx.Node) -> bool:
    shape = _shape(node)
    return len(shape) == 4 and shape[2] > 1 and node.op not in ("placeholder", "output")


def _shape(node: fx.Node) -> tuple[int, ...]:
    """Return the shape that a node's output had in the run of `trace`."""
    shape: tuple[int, ...] = getattr(node.meta.get("tensor_meta"), "shape", ())
    return shape
