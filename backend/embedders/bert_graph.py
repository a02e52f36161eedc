"""The encoder of BERT as a graph of OpenVINO, on the weights of a Hugging Face file.

Devlin et al. 2018, https://arxiv.org/abs/1810.04805. OpenVINO computes it without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from backend.embedders import FloatArray


@dataclass(frozen=True, kw_only=True)
class BertGraph:
    """Builds the graph; `weights` are those of the file, by their names."""

    weights: Mapping[str, FloatArray]
    layers: int
    heads: int
    epsilon: float = 1e-12

    def compiled(self) -> Any:
        """Compile token ids (texts, tokens) -> the mean of each text's tokens, (texts, size).

        The ids of one call have no padding. One thread computes a call: with few tokens, several
        would wait for each other for longer than they compute.
        """
        ids = ops.parameter([-1, -1], np.int64, name="ids")
        x = self._embedded(ids)
        for number in range(self.layers):
            x = self._layer(x, f"encoder.layer.{number}.")
        model = ov.Model([ops.reduce_mean(x, np.array([1]), keep_dims=False)], [ids], "bert")
        options = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        return ov.Core().compile_model(model, "CPU", options)

    def _embedded(self, ids: Any) -> Any:
        words = self.weights["embeddings.word_embeddings.weight"]
        types = self.weights["embeddings.token_type_embeddings.weight"]
        positions = self.weights["embeddings.position_embeddings.weight"] + types[0]
        length = ops.gather(ops.shape_of(ids), np.array(1), np.array(0))
        places = ops.range(np.array(0), length, np.array(1), "i64")
        x = ops.add(
            ops.gather(ops.constant(words), ids, np.array(0)),
            ops.gather(ops.constant(positions), places, np.array(0)),
        )
        return self._normalised(x, "embeddings.LayerNorm.")

    def _layer(self, x: Any, name: str) -> Any:
        attended = self._dense(self._attention(x, name), f"{name}attention.output.dense.")
        x = self._normalised(ops.add(x, attended), f"{name}attention.output.LayerNorm.")
        inner = ops.gelu(self._dense(x, f"{name}intermediate.dense."), "erf")
        output = self._dense(inner, f"{name}output.dense.")
        return self._normalised(ops.add(x, output), f"{name}output.LayerNorm.")

    def _attention(self, x: Any, name: str) -> Any:
        queries, keys, values = (
            self._by_head(self._dense(x, f"{name}attention.self.{part}."))
            for part in ("query", "key", "value")
        )
        attended = ops.scaled_dot_product_attention(queries, keys, values)
        joined = ops.transpose(attended, np.array([0, 2, 1, 3]))
        return ops.reshape(joined, np.array([0, 0, -1]), special_zero=True)

    def _by_head(self, x: Any) -> Any:
        size = self.weights["embeddings.LayerNorm.bias"].shape[0] // self.heads
        split = ops.reshape(x, np.array([0, 0, self.heads, size]), special_zero=True)
        return ops.transpose(split, np.array([0, 2, 1, 3]))

    def _dense(self, x: Any, name: str) -> Any:
        product = ops.matmul(
            x, ops.constant(self.weights[f"{name}weight"]), transpose_a=False, transpose_b=True
        )
        return ops.add(product, ops.constant(self.weights[f"{name}bias"]))

    def _normalised(self, x: Any, name: str) -> Any:
        unit = ops.mvn(
            x, np.array([2]), normalize_variance=True, eps=self.epsilon, eps_mode="inside_sqrt"
        )
        scaled = ops.multiply(unit, ops.constant(self.weights[f"{name}weight"]))
        return ops.add(scaled, ops.constant(self.weights[f"{name}bias"]))
