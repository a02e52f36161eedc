"""Networks of timm and open_clip: found by name, loaded from a file, told apart when wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.image_files import GARMENTS, garment
from torch.nn.functional import normalize

from backend.embedders import Compute, load
from backend.embedders.cnn import Preprocessing
from backend.embedders.pca import Pca
from backend.embedders.untraced_network import UntracedEmbedder
from backend.errors import UnknownEmbedder, WeightsUnavailable

CPU = Compute(device="cpu")
NETWORKS = ("timm/test_resnet?weights=random", "timm/test_vit?weights=random&pool=avg")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The hub out of reach and its cache empty; it tries for a minute where it is not told so."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("spec", NETWORKS)
def test_vectors_are_unit_vectors_in_input_order(spec: str) -> None:
    embedder = load(spec, compute=CPU)

    vectors = embedder.embed(GARMENTS)

    assert vectors.shape == (12, embedder.size)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    alone = np.concatenate([embedder.embed([image]) for image in GARMENTS])
    assert (vectors * alone).sum(axis=1).min() >= 0.9999
    assert embedder.embed([]).shape == (0, embedder.size)
    assert load(embedder.name, compute=CPU).fingerprint == embedder.fingerprint


@pytest.mark.parametrize("spec", NETWORKS)
def test_in_bf16_a_vector_is_nearly_the_same_and_the_fingerprint_is(spec: str) -> None:
    exact = load(spec, compute=Compute(device="cpu", precision="fp32"))
    fast = load(spec, compute=Compute(device="cpu", precision="bf16"))

    assert exact.fingerprint == fast.fingerprint
    assert (exact.embed(GARMENTS) * fast.embed(GARMENTS)).sum(axis=1).min() >= 0.99


# --- timm ------------------------------------------------------------------------------------


@pytest.fixture
def vit_file(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    path = tmp_path / "vit.safetensors"
    save_file(timm.create_model("test_vit").state_dict(), path)
    return path


def test_a_square_image_is_treated_as_timm_itself_does(vit_file: Path) -> None:
    embedder = load(f"timm/test_vit?weights={vit_file}", compute=CPU)
    model = timm.create_model("test_vit")
    model.load_state_dict(load_file(vit_file))
    model.reset_classifier(0)
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config)
    square = [garment(seed, *embedder.input_size) for seed in range(3)]

    with torch.inference_mode():
        expected = normalize(model.eval()(torch.stack([transform(one) for one in square])))

    assert embedder.embed(square) == pytest.approx(expected.numpy(), abs=1e-4)


def test_a_checkpoint_of_torch_does_as_well_and_a_classifier_does_not_matter(
    vit_file: Path, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "vit.pth")
    plain, safe = (load(f"timm/test_vit?weights={p}") for p in (tmp_path / "vit.pth", vit_file))

    assert plain.fingerprint == safe.fingerprint


def test_pooling_and_weights_are_part_of_the_fingerprint() -> None:
    specs = [f"timm/test_vit?weights=random{more}" for more in ("", "&pool=max", "&seed=1")]

    assert len({load(spec).fingerprint for spec in specs}) == 3


def test_random_weights_leave_other_dice_alone() -> None:
    torch.manual_seed(42)
    expected = torch.rand(1)
    torch.manual_seed(42)

    load("timm/test_resnet?weights=random&seed=3")

    assert torch.equal(torch.rand(1), expected)


def test_a_pca_of_its_features_projects_them(tmp_path: Path) -> None:
    plain = load("timm/test_resnet?weights=random", compute=CPU)
    half = np.float16
    pca = Pca(
        mean=np.zeros(plain.size, half), components=np.eye(4, plain.size, dtype=half), provenance={}
    )
    pca.save(tmp_path / "pca.npz")

    projected = load(f"timm/test_resnet?weights=random&pca={tmp_path / 'pca.npz'}", compute=CPU)

    expected = plain.embed(GARMENTS)[:, :4]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert projected.size == 4
    assert projected.embed(GARMENTS) == pytest.approx(expected, abs=1e-5)
    assert projected.fingerprint != plain.fingerprint


@pytest.mark.usefixtures("offline")
def test_weights_that_cannot_be_downloaded_name_the_way_out() -> None:
    with pytest.raises(WeightsUnavailable, match=r"timm/test_vit\?weights=/path/to"):
        load("timm/test_vit")


def test_weights_of_another_network_are_refused(vit_file: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("hello")

    with pytest.raises(WeightsUnavailable, match="do not fit timm/test_resnet"):
        load(f"timm/test_resnet?weights={vit_file}")
    for name in ("absent.pth", "text.pth"):
        with pytest.raises(WeightsUnavailable, match=name):
            load(f"timm/test_resnet?weights={tmp_path / name}")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("timm/resnet1", "it has .*resnet18"),
        ("timm/resnet18.nonsense", "nonsense"),
        ("timm/test_resnet?pool=sum", "allowed are own, avg, max"),
        ("timm/test_resnet?colour=1", "no option 'colour'"),
    ],
)
def test_a_name_that_means_nothing_is_refused(spec: str, reason: str) -> None:
    with pytest.raises(UnknownEmbedder, match=reason):
        load(spec)


# --- open_clip -------------------------------------------------------------------------------

TOWER = {
    "embed_dim": 32,
    "vision_cfg": {
        "image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8
    },
    "text_cfg": {
        "context_length": 16, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as FashionCLIP and SigLIP are published, of a very small network."""
    open_clip = pytest.importorskip("open_clip")
    folder = tmp_path_factory.mktemp("clip")
    (folder / "tiny-clip.json").write_text(json.dumps(TOWER))
    open_clip.add_model_config(folder)
    torch.manual_seed(5)
    model = open_clip.create_model("tiny-clip")
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    mean_and_std = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    config = {"model_cfg": TOWER, "preprocess_cfg": {**mean_and_std, "resize_mode": "squash"}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def test_a_checkpoint_gives_what_clip_itself_gives(clip_folder: Path) -> None:
    open_clip = pytest.importorskip("open_clip")
    path = clip_folder / "open_clip_pytorch_model.bin"
    embedder = load(f"open-clip/tiny-clip?weights={path}", compute=CPU)
    model, _, transform = open_clip.create_model_and_transforms("tiny-clip", pretrained=str(path))
    square = [garment(seed, 32, 32) for seed in range(4)]

    with torch.inference_mode():
        images = torch.stack([transform(one) for one in square])
        expected = model.eval().encode_image(images, normalize=True)

    assert embedder.embed(square) == pytest.approx(expected.numpy(), abs=1e-4)
    assert load(embedder.name).fingerprint == embedder.fingerprint


def test_a_published_folder_brings_its_weights_and_its_preprocessing(clip_folder: Path) -> None:
    path = clip_folder / "open_clip_pytorch_model.bin"
    folder = load(f"open-clip/local-dir:{clip_folder}", compute=CPU)
    checkpoint = load(f"open-clip/tiny-clip?weights={path}", compute=CPU)

    assert folder.embed(GARMENTS).shape == (12, 32)
    assert folder.fingerprint != checkpoint.fingerprint  # another mean, another deviation
    assert load(folder.name).fingerprint == folder.fingerprint


def test_random_towers_can_be_drawn_again(clip_folder: Path) -> None:
    one, same, other = (
        load(f"open-clip/tiny-clip?weights=random&seed={seed}", compute=CPU) for seed in (1, 1, 2)
    )

    assert np.array_equal(one.embed(GARMENTS), same.embed(GARMENTS))
    assert len({one.fingerprint, same.fingerprint, other.fingerprint}) == 2


@pytest.mark.usefixtures("offline")
def test_what_open_clip_cannot_load_is_refused_with_what_it_can(
    clip_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.pt").write_text("hello")

    with pytest.raises(WeightsUnavailable, match="neither a file nor one of openai"):
        load("open-clip/ViT-B-32")
    with pytest.raises(WeightsUnavailable, match="not on disk"):
        load("open-clip/hf-hub:nobody/nothing")
    with pytest.raises(WeightsUnavailable, match="local-dir:/path"):
        load(f"open-clip/local-dir:{tmp_path / 'absent'}")
    with pytest.raises(WeightsUnavailable, match="not on disk"):
        load(f"open-clip/tiny-clip?weights={tmp_path / 'text.pt'}")
    with pytest.raises(UnknownEmbedder, match="begins with hf-hub:"):
        load("open-clip/ViT-Z")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)

    with pytest.raises(UnknownEmbedder, match=r"pip install 'lookalike\[clip\]'"):
        load("open-clip/ViT-B-32?weights=random")


# --- memory ----------------------------------------------------------------------------------


class Greedy(torch.nn.Module):
    """A network that, once it stands, has memory for a few images."""

    room = 8

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.room:
            raise torch.OutOfMemoryError
        return images.mean(dim=(2, 3))


def test_a_batch_that_does_not_fit_is_halved_and_one_image_is_an_error() -> None:
    model = Greedy()
    preprocessing = Preprocessing(input_size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1))
    embedder = UntracedEmbedder(
        model, name="greedy", recipe={}, preprocessing=preprocessing, compute=CPU
    )
    expected = embedder.embed(GARMENTS)

    model.room = 3
    assert embedder.embed(GARMENTS) == pytest.approx(expected)
    model.room = 0
    with pytest.raises(torch.OutOfMemoryError):
        embedder.embed([Image.new("RGB", (8, 8))])
