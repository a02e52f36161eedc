"""Find out whether this processor computes layers of a network faster in bf16 than in fp32."""

from __future__ import annotations

import time
from functools import cache
from typing import Any, Final

import numpy as np
import openvino as ov
from openvino import opset13 as operations

from backend.embedders.processors import is_fast_in_bf16

SHAPE: Final = (8, 192, 14, 11)
"""A batch of maps as late layers of a network have them."""

WIDE: Final = 1152
ROUNDS: Final = 3


@cache
def is_faster_in_bf16() -> bool:
    """Tell whether bf16 is the faster precision here. Tried once in a process, in 0.2 s.

    The processor's flags do not tell: with AVX-512 alone a product in bf16 may take longer than
    one in fp32. Processor time of this thread is compared, so other work does not matter.
    """
    if not is_fast_in_bf16():
        return False
    requests = {precision: _request(precision) for precision in ("f32", "bf16")}
    seconds: dict[str, list[float]] = {precision: [] for precision in requests}
    maps = np.ones(SHAPE, np.float32)
    for _ in range(ROUNDS):
        for precision, request in requests.items():
            began = time.thread_time()
            request.infer([maps], share_inputs=True)
            seconds[precision].append(time.thread_time() - began)
    return min(seconds["bf16"]) < min(seconds["f32"])


def _request(precision: str) -> ov.InferRequest:
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": 1,  # with one stream, the calling thread computes
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    return ov.Core().compile_model(_block(), "CPU", options).create_infer_request()


def _block() -> ov.Model:
    """Return a block as in EfficientNet: widen, filter each channel, narrow."""
    maps = operations.parameter(SHAPE, ov.Type(np.float32))
    wide = operations.relu(_convolution(maps, SHAPE[1], WIDE))
    filters = operations.constant(np.full((WIDE, 1, 1, 5, 5), 0.04, np.float32))
    filtered = operations.group_convolution(wide, filters, [1, 1], [2, 2], [2, 2], [1, 1])
    narrow = _convolution(operations.relu(filtered), WIDE, SHAPE[1])
    return ov.Model([operations.result(narrow)], [maps])


def _convolution(maps: Any, inputs: int, outputs: int) -> Any:
    weights = operations.constant(np.full((outputs, inputs, 1, 1), 1 / inputs, np.float32))
    return operations.convolution(maps, weights, [1, 1], [0, 0], [0, 0], [1, 1])
