"""Let a traced network compute in bf16 from some layer on."""

from __future__ import annotations

from itertools import takewhile
from operator import attrgetter

import torch
from torch import Tensor, fx, nn


def cast_to_bf16(graph: fx.GraphModule, *, start: str = "") -> None:
    """Let a network compute in bf16 from the layer `start…` on, in place. Fold its norms first.

    A network without such a layer stays as it is.
    """
    layers = [node for node in graph.graph.nodes if node.op == "call_module"]
    named = (i for i, node in enumerate(layers) if str(node.target).startswith(start))
    first = next(named, None)
    if first is None:  # nothing here computes in a precision of its own
        return
    with graph.graph.inserting_before(layers[first]):
        source = layers[first].args[0]
        cast = graph.graph.call_method("to", (source, torch.bfloat16))
    source.replace_all_uses_with(cast, delete_user_cb=lambda user: user is not cast)
    for node in takewhile(lambda node: node is not cast, reversed(graph.graph.nodes)):
        if node.op == "call_module":
            module = graph.get_submodule(node.target)
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                module.weight.data = round_diffusing(module.weight.data)
            module.to(torch.bfloat16)
        if node.op == "get_attr":
            parameter = attrgetter(node.target)(graph)
            parameter.data = parameter.data.to(torch.bfloat16)
    graph.recompile()


def round_diffusing(weights: Tensor) -> Tensor:
    """Round filters (filters, …) to bf16 and keep their sums: an error is added to the next weight.

    A depthwise filter mostly sees smooth maps, on which an error of the sum shifts the whole
    channel. Rounding each weight by itself caused most of the loss of accuracy in bf16.
    """
    filters = weights.flatten(1).double()
    order = filters.abs().argsort(dim=1, descending=True)  # the last error is the smallest
    rounded = torch.empty_like(filters)
    error = torch.zeros(len(filters), 1, dtype=torch.float64)
    for rank in range(order.shape[1]):
        position = order[:, rank : rank + 1]
        wanted = filters.gather(1, position) + error
        nearest = wanted.to(torch.bfloat16).double()
        rounded.scatter_(1, position, nearest)
        error = wanted - nearest
    return rounded.reshape(weights.shape).to(torch.bfloat16)
