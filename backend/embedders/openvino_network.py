"""Run an exported network by OpenVINO on a CPU. Does not import torch."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import LifoQueue
from typing import Any, Final, TypeAlias

import numpy as np
import openvino as ov
from openvino import opset13 as operations

from backend.embedders import Compute, FloatArray
from backend.embedders.bf16_speed import is_faster_in_bf16
from backend.embedders.exports import Export
from backend.embedders.pixels import Pixels
from backend.embedders.processors import usable_processors

BATCH: Final = 16
"""Images of one request: with fewer, weights are read more often than maps fill the cache."""

EARLY_BATCH: Final = 1
"""Images of one request to the early layers: maps of more images leave the processor's cache."""

CALL: Final = 64
"""Images of one call: with fewer, the work around it, such as a transaction, costs more."""

Requests: TypeAlias = Sequence[ov.InferRequest]
"""One request for each part of a network; one thread uses them at a time."""

# The first call fills a variable of OpenVINO's binding. Two threads that make it at once wait for
# each other for ever, one of them with Python's lock; an import runs in one thread.
ov.Type.f32.to_dtype()


class OpenVinoNetwork:
    """A network without its classifier, ready to run. Safe to call from several threads.

    Each of `compute.threads` streams computes a batch on a thread of its own. So none waits for
    another, as threads that share a batch would where a core has other work.
    """

    def __init__(self, export: Export, compute: Compute) -> None:
        self._streams = compute.threads or usable_processors()
        self._batch = compute.batch_size or BATCH
        self.call_size = compute.batch_size or max(CALL, BATCH * self._streams)
        core = ov.Core()
        model = core.read_model(export.model, export.weights)
        self.size = export.about.size
        self.precision = _precision(compute.precision, export)
        parts = _parts(model, self.precision, export.about.bf16_from)
        self._sizes = (EARLY_BATCH, self._batch) if len(parts) > 1 else (self._batch,)
        compiled = [self._compile(core, part, precision) for part, precision in parts]
        self._idle: LifoQueue[Requests] = LifoQueue()
        for _ in range(self._streams):
            self._idle.put([each.create_infer_request() for each in compiled])
        self._threads = ThreadPoolExecutor(self._streams, thread_name_prefix="forward")

    def _compile(self, core: ov.Core, part: ov.Model, precision: str) -> ov.CompiledModel:
        return core.compile_model(
            part,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[precision],
                "INFERENCE_NUM_THREADS": self._streams,
                "NUM_STREAMS": self._streams,
                # Several processes would pin their threads to the same cores.
                "ENABLE_CPU_PINNING": False,
            },
        )

    def __call__(self, pixels: Pixels) -> FloatArray:
        """Return the pooled features, (n, size) float32, not normalised."""
        batches = [
            np.ascontiguousarray(pixels[start : start + self._batch])
            for start in range(0, len(pixels), self._batch)
        ]
        several = self._streams > 1 and len(batches) > 1
        computed = (self._threads.map if several else map)(self._forward, batches)
        return np.concatenate([np.empty((0, self.size), np.float32), *computed])

    def _forward(self, batch: Pixels) -> FloatArray:
        requests = self._idle.get()
        try:
            values: Any = batch
            for request, size in zip(requests, self._sizes, strict=True):
                values = _infer(request, values, size)
            return np.asarray(values, np.float32)
        finally:
            self._idle.put(requests)


def _infer(request: ov.InferRequest, values: Pixels | FloatArray, size: int) -> FloatArray:
    """Return what a request makes of some images, `size` of them at a time."""
    made = []
    for start in range(0, len(values), size):
        request.infer([values[start : start + size]], share_inputs=True)
        made.append(np.array(request.get_output_tensor().data, np.float32))  # overwritten later
    return made[0] if len(made) == 1 else np.concatenate(made)


def _precision(wanted: str, export: Export) -> str:
    """Return bf16 or fp32; for `auto` bf16 where it is faster, and near enough for this network."""
    if wanted != "auto":
        return wanted
    return "bf16" if export.about.bf16_from and is_faster_in_bf16() else "fp32"


def _parts(model: ov.Model, precision: str, bf16_from: str) -> list[tuple[ov.Model, str]]:
    """Return the parts of a network that run one after the other, and the precision of each.

    Where a network may turn to bf16 its maps are small, so in fp32 it is cut there, too.
    """
    if not bf16_from:
        return [(model, precision)]
    first = next(each for each in model.get_ops() if each.get_friendly_name() == bf16_from)
    maps = first.input_value(0)
    start = ov.Model([operations.result(maps)], model.get_parameters(), "start")
    handed_over = operations.parameter(maps.get_partial_shape(), ov.Type(np.float32))
    for place in maps.get_target_inputs():
        if place.get_node().get_type_name() != "Result":
            place.replace_source_output(handed_over.output(0))
    rest = ov.Model(model.get_results(), [handed_over], "rest")
    return [(start, "fp32"), (rest, precision)]
