"""Export a traced network to OpenVINO's representation. Needs torch."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from warnings import catch_warnings, simplefilter

import numpy as np
import openvino as ov
import torch
from openvino.frontend import (
    FrontEndManager,
    GeneralFailure,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
)
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from backend.embedders.batch_norms import fold_batch_norms
from backend.embedders.exports import About, Export
from backend.embedders.network import pooled
from backend.embedders.padding import fold_padding
from backend.embedders.traced import TracedNetwork

FAILURES: Final = (
    RuntimeError,
    GeneralFailure,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
)
"""What is raised for a network that cannot be exported."""


class _Whole(nn.Module):
    """From pixels to pooled features, as `network.Network` computes them."""

    mean: Tensor
    std: Tensor

    def __init__(self, traced: TracedNetwork) -> None:
        super().__init__()
        self.graph = traced.graph
        self._pool = traced.pool
        self.register_buffer("mean", torch.tensor(traced.mean).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(traced.std).reshape(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        colours = pixels.permute(0, 3, 1, 2).float()
        return pooled(self.graph((colours - self.mean) / self.std), self._pool)


def export(traced: TracedNetwork) -> Export:
    """Export a network; its graph is changed. Raises one of FAILURES."""
    crop = traced.crop or traced.input_size
    fold_batch_norms(traced.graph)
    fold_padding(traced.graph)
    whole, example = _Whole(traced).eval(), torch.zeros(2, *crop, 3, dtype=torch.uint8)
    model = _convert(whole, example)
    with torch.inference_mode():
        size = whole(example).shape[1]  # OpenVINO does not know it where maps are flattened
    with TemporaryDirectory() as folder:
        xml, weights = Path(folder, "model.xml"), Path(folder, "model.bin")
        ov.serialize(model, str(xml), str(weights))
        files = xml.read_bytes(), weights.read_bytes()
    about = About(
        fingerprint=traced.fingerprint,
        size=size,
        input_size=traced.input_size,
        crop=crop,
        bf16_from=_first_operation(model, traced.bf16_from) if traced.bf16_from else "",
    )
    return Export(about=about, model=files[0], weights=files[1])


def _convert(whole: nn.Module, example: Tensor) -> ov.Model:
    """Convert by the frontend itself: `ov.convert_model` would report its use to Intel."""
    with torch.no_grad(), catch_warnings():
        # torch advises torch.export, whose graphs do not keep the names of layers.
        simplefilter("ignore", FutureWarning)
        traced: Any = torch.jit.trace(whole, example, check_trace=False)  # type: ignore[no-untyped-call]
        scripted = torch.jit.freeze(traced)
    frontend: Any = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(scripted, example_input=(example,))
    model: ov.Model = frontend.convert(frontend.load(decoder))
    pixels = model.inputs[0].get_node()
    pixels.set_partial_shape(ov.PartialShape([-1, *example.shape[1:]]))
    pixels.set_element_type(ov.Type(np.uint8))
    model.validate_nodes_and_infer_types()
    return model


def _first_operation(model: ov.Model, layer: str) -> str:
    """Return the name of a layer's first convolution; empty if there is none."""
    for operation in model.get_ordered_ops():
        name: str = operation.get_friendly_name()
        is_convolution = operation.get_type_name() in ("Convolution", "GroupConvolution")
        if is_convolution and f".graph.{layer}." in name:
            return name
    return ""
