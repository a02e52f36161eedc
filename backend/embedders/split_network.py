"""Split a network in two: a stem that stays as it is, and a tail that can be tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, fx, nn

from backend.errors import UnknownEmbedder


class StemWithTails(nn.Module):
    """One stem with several tails, whose last maps are concatenated along the channels."""

    def __init__(self, stem: nn.Module, tails: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stem = stem
        self.tails = nn.ModuleList(tails)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (n, channels of all tails, height, width)."""
        maps = self.stem(pixels)
        return torch.cat([tail(maps) for tail in self.tails], dim=1)


def split_before(graph: fx.GraphModule, layer: str) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Return stem and tail of a network, split before the first layer within `layer`.

    The two share no parameter with `graph`. Raises UnknownEmbedder where there is no such layer, or
    where more than one map goes from the stem to the tail.
    """
    nodes = list(graph.graph.nodes)
    first = next((i for i, node in enumerate(nodes) if _is_within(node, layer)), None)
    if first is None:
        parts = ", ".join(name for name, _ in graph.named_children())
        raise UnknownEmbedder(f"the network has no layer {layer!r}; its parts are: {parts}")
    before, after = nodes[:first], nodes[first:]
    crossing = [node for node in before if set(node.users) & set(after)]
    if len(crossing) != 1:
        raise UnknownEmbedder(
            f"the network cannot be split before {layer!r}: {len(crossing)} maps cross there"
        )
    return _part(graph, before, {}, crossing[0]), _tail(graph, after, crossing[0])


def also_output(graph: fx.GraphModule, layer: str) -> None:
    """Let a graph return two maps: the one that the first layer within `layer` takes, and its own.

    Raises UnknownEmbedder where there is no such layer.
    """
    first = next((node for node in graph.graph.nodes if _is_within(node, layer)), None)
    if first is None:
        raise UnknownEmbedder(f"the network has no layer {layer!r}")
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    output.args = ((first.args[0], output.args[0]),)
    graph.recompile()


def _is_within(node: fx.Node, layer: str) -> bool:
    return node.op == "call_module" and f"{node.target}.".startswith(f"{layer}.")


def _tail(graph: fx.GraphModule, nodes: Sequence[fx.Node], entry: fx.Node) -> fx.GraphModule:
    output = nodes[-1].args[0]
    assert isinstance(output, fx.Node)  # noqa: S101  (`cut_at_last_map` has made it so)
    return _part(graph, nodes[:-1], {entry: "maps"}, output)


def _part(
    graph: fx.GraphModule,
    nodes: Sequence[fx.Node],
    inputs: Mapping[fx.Node, str],
    output: fx.Node,
) -> fx.GraphModule:
    part = fx.Graph()
    copies = {node: part.placeholder(name) for node, name in inputs.items()}
    for node in nodes:
        copies[node] = part.node_copy(node, copies.__getitem__)
    part.output(copies[output])
    return fx.GraphModule(deepcopy(graph), part)
