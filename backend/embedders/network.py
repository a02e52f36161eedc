"""Run a convolutional network: from pixels to the pooled features of its last feature map."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn.utils.fusion import fuse_conv_bn_eval

from backend.embedders import Compute, FloatArray
from backend.embedders.padding import fold_padding
from backend.embedders.pixels import Pixels
from backend.embedders.uploading import CopyStream, Send, in_turn, stay

Pool: TypeAlias = Literal["avg", "max", "none"]
"""What becomes of the last map: its means, its maxima, or all of it, channel by channel."""

BATCH_SIZES: Final = {"cpu": 8, "mps": 64, "cuda": 128}  # 8: maps that stay in the CPU's cache
SMALLEST_CALL: Final = 32
"""Images of one call: below, what surrounds the network, such as a transaction, begins to show."""

FAST_BF16: Final = ("avx512_bf16", "amx_bf16")  # as /proc/cpuinfo spells them


class Network:
    """A network without its classifier, ready to run. Safe to call from several threads."""

    def __init__(
        self,
        graph: fx.GraphModule,
        *,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        pool: Pool,
        compute: Compute,
        bf16_from: str = "",
    ) -> None:
        """Take over `graph`, from `trace` or `cut_at_last_map`; it expects (RGB - mean) / std.

        RGB is from 0 to 255, and so are `mean` and `std`.

        In bf16, layers before the one whose name begins with `bf16_from` still compute in fp32.
        """
        channels, height, width = _last_map(graph)
        self.size = channels * height * width if pool == "none" else channels
        self._device = choose_device(compute.device)
        self.precision = choose_precision(compute.precision, self._device)
        self.batch_size = compute.batch_size or BATCH_SIZES.get(self._device.type, 8)
        self.call_size = compute.batch_size or max(SMALLEST_CALL, self.batch_size)
        self._send: Send = stay
        if self._device.type == "cpu" and compute.threads:
            torch.set_num_threads(compute.threads)
        if self._device.type == "cuda":
            self.call_size = 2 * self.batch_size  # so that there is one to copy meanwhile
            self._send = CopyStream(self._device)
        fold_batch_norms(graph)
        fold_padding(graph)
        if self.precision == "bf16":
            cast_to_bf16(graph, start=bf16_from)
        self._graph = graph.to(self._device).to(memory_format=torch.channels_last)
        self._mean = torch.tensor(mean, device=self._device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(std, device=self._device).reshape(1, 3, 1, 1)
        self._pool = pool

    def __call__(self, pixels: Pixels) -> FloatArray:
        """Return the pooled features, (n, size) float32, not normalised.

        A GPU is sent the next batch while it computes one (not run on any: there was none). A batch
        that does not fit into its memory is halved, and so are those that follow.
        """
        done = [np.empty((0, self.size), np.float32)]
        for batch in in_turn(self._batches(pixels), self._send):
            done += self._computed(batch)
        return np.concatenate(done)

    def _batches(self, pixels: Pixels) -> Iterator[Pixels]:
        start = 0
        while start < len(pixels):
            batch = pixels[start : start + self.batch_size]
            start += len(batch)
            yield batch

    def _computed(self, batch: Tensor) -> list[FloatArray]:
        """Compute a batch, in halves of halves if need be."""
        try:
            return [self._forward(batch)]
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
        # Not in the handler: the error holds on to what was computed so far.
        half = len(batch) // 2
        self.batch_size = min(self.batch_size, half)
        torch.cuda.empty_cache()
        return self._computed(batch[:half]) + self._computed(batch[half:])

    @torch.inference_mode()
    def _forward(self, batch: Tensor) -> FloatArray:
        colours = batch.to(self._device).permute(0, 3, 1, 2).float()  # channels_last as it lies
        maps = self._graph((colours - self._mean) / self._std).float()
        return np.asarray(_pooled(maps, self._pool).cpu().numpy(), np.float32)


def _pooled(maps: Tensor, pool: Pool) -> Tensor:
    if pool == "none":
        return maps.flatten(1)
    return maps.mean(dim=(2, 3)) if pool == "avg" else maps.amax(dim=(2, 3))


class _Tracer(fx.Tracer):
    """Keep every convolution and batch norm whole, also those that timm derives from torch's."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = isinstance(m, (nn.Conv2d, nn.BatchNorm2d))
        return own or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module, input_size: tuple[int, int]) -> fx.GraphModule:
    """Trace a network as it predicts, and run it once, so that every output's shape is known."""
    graph = fx.GraphModule(model, _Tracer().trace(model.eval()))
    with torch.inference_mode():
        ShapeProp(graph).propagate(torch.zeros(1, 3, *input_size))
    return graph


def cut_at_last_map(model: nn.Module, input_size: tuple[int, int]) -> fx.GraphModule:
    """Trace a classifier and end it at its last feature map: the last output of several pixels.

    Finds it by running `model` once, so that no architecture has to be known by name.
    """
    graph = trace(model, input_size)
    # SqueezeNet's classifier is a convolution, and so gives maps, of its classes
    features = takewhile(lambda n: not str(n.target).startswith("classifier"), graph.graph.nodes)
    maps = [node for node in features if _is_map(node)]
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    output.args = (maps[-1],)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


def _is_map(node: fx.Node) -> bool:
    shape = _shape(node)
    return len(shape) == 4 and shape[2] > 1 and node.op not in ("placeholder", "output")


def _last_map(graph: fx.GraphModule) -> tuple[int, int, int]:
    """Return the channels, height and width of what the graph gives for one image."""
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    _, channels, height, width = _shape(output.args[0])
    return channels, height, width


def _shape(node: fx.Node) -> tuple[int, ...]:
    """Return the shape that a node's output had in the run of `cut_at_last_map`."""
    shape: tuple[int, ...] = getattr(node.meta.get("tensor_meta"), "shape", ())
    return shape


def fold_batch_norms(graph: fx.GraphModule) -> None:
    """Work each batch norm that follows a convolution into that convolution's weights, in place.

    The same function with a third of the layers. A timm norm's activation takes its place.
    """
    for name, convolution, norm_name, norm in normed_convolutions(graph):
        graph.set_submodule(name, fuse_conv_bn_eval(convolution, norm))
        graph.set_submodule(norm_name, getattr(norm, "act", nn.Identity()))
    graph.recompile()


def normed_convolutions(
    graph: fx.GraphModule,
) -> list[tuple[str, nn.Conv2d, str, nn.BatchNorm2d]]:
    """Return each convolution that only a batch norm follows, and that norm, with their names."""
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


def cast_to_bf16(graph: fx.GraphModule, *, start: str = "") -> None:
    """Let a network whose norms are folded compute in bf16 from the layer `start…`, in place."""
    layers = [node for node in graph.graph.nodes if node.op == "call_module"]
    first = next(i for i, node in enumerate(layers) if str(node.target).startswith(start))
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
    """Round filters to bf16 so that each keeps its sum: every weight takes over the last's error.

    A depthwise filter mostly sees smooth maps, where an error of its sum is a shift of the whole
    channel. Rounding each weight by itself made up most of what bf16 costs in accuracy.
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


def _module(modules: dict[str, nn.Module], node: Any = None) -> nn.Module | None:
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    return modules.get(str(node.target))


def choose_device(device: str) -> torch.device:
    """Return the device of that name; for `auto` a GPU if there is one."""
    if device != "auto":
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_precision(precision: str, device: torch.device) -> str:
    """Return bf16 or fp32; for `auto` bf16 where the device computes in it."""
    if precision != "auto":
        return precision
    return "bf16" if _is_fast_in_bf16(device) else "fp32"


def _is_fast_in_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # below, bf16 is emulated
    if device.type != "cpu":
        return False
    try:
        described = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return any(flag in described for flag in FAST_BF16)
