"""OpenVINO runs exported networks without torch; its vectors are those of torch."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from support.image_files import GARMENTS

from backend.embedders import Compute, Embedder, load
from backend.embedders.bf16_speed import is_faster_in_bf16
from backend.embedders.cnn import CnnEmbedder
from backend.embedders.engines import NetworkPlan, by_openvino, open_network
from backend.embedders.exports import key_of
from backend.embedders.lookalike_blocks import BlocksEmbedder
from backend.embedders.tuned import TunedEmbedder
from backend.errors import WeightsUnavailable

SMALL = "torchvision/resnet18?weights=random"
NEAR = 0.9995
"""Least cosine of two vectors that count as the same; see DECISIONS 67."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the small network, exported."""
    found = tmp_path_factory.mktemp("networks")
    embed_in(found)
    return found


def embed_in(folder: Path, spec: str = SMALL) -> np.ndarray:
    return load(spec, compute=Compute(device="cpu", networks_dir=folder)).embed(GARMENTS)


def exported(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def precision(embedder: Embedder) -> str:
    assert isinstance(embedder, BlocksEmbedder | CnnEmbedder | TunedEmbedder)
    return embedder.precision


@pytest.mark.parametrize(
    "spec",
    ["lookalike-blocks", "lookalike-fashion", "efficientnet-lite0", SMALL, f"{SMALL}&pool=max"],
)
@pytest.mark.parametrize("wanted", ["fp32", "auto"])
def test_both_engines_make_the_same_vectors_under_one_fingerprint(spec: str, wanted: str) -> None:
    by_torch = load(spec, compute=Compute(device="cpu", precision="fp32", engine="torch"))
    ours = load(spec, compute=Compute(device="cpu", precision=wanted))

    assert ours.fingerprint == by_torch.fingerprint
    assert (ours.embed(GARMENTS) * by_torch.embed(GARMENTS)).sum(axis=1).min() >= NEAR
    assert (ours.size, ours.input_size) == (by_torch.size, by_torch.input_size)


@pytest.mark.parametrize("spec", ["lookalike-blocks", "lookalike-fashion", "efficientnet-lite0"])
def test_bf16_stays_near_fp32_where_it_is_taken_by_itself(spec: str) -> None:
    """Also on a processor without bf16, which OpenVINO then imitates."""
    exact = load(spec, compute=Compute(device="cpu", precision="fp32"))
    rough = load(spec, compute=Compute(device="cpu", precision="bf16"))

    assert precision(rough) == "bf16"
    assert (exact.embed(GARMENTS) * rough.embed(GARMENTS)).sum(axis=1).min() >= NEAR


def test_auto_takes_the_precision_that_is_faster_here() -> None:
    chosen = load("efficientnet-lite0", compute=Compute(device="cpu"))
    not_judged = load(SMALL, compute=Compute(device="cpu"))

    assert precision(chosen) == ("bf16" if is_faster_in_bf16() else "fp32")
    assert precision(not_judged) == "fp32"  # nobody has measured what bf16 does to it


def test_an_exported_network_is_found_again_without_torch(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from PIL import Image\n"
        "from backend.embedders import Compute, load\n"
        f"compute = Compute(device='cpu', networks_dir=Path({str(folder)!r}))\n"
        f"vector = load({SMALL!r}, compute=compute).embed([Image.new('RGB', (60, 80), 'red')])\n"
        "print(vector.shape, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert told.stdout.decode().strip() == "(1, 512) False"


@pytest.mark.parametrize("damage", ["cut off", "changed", "emptied", "of another kind"])
def test_a_damaged_export_is_made_again(folder: Path, tmp_path: Path, damage: str) -> None:
    file = tmp_path / exported(folder).name
    whole = exported(folder).read_bytes()
    middle = len(whole) // 2
    file.write_bytes(
        {
            "cut off": whole[:middle],
            "changed": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "emptied": b"",
            "of another kind": b"PK no such thing",
        }[damage]
    )

    vectors = embed_in(tmp_path)

    assert np.array_equal(vectors, embed_in(folder))
    with ZipFile(exported(tmp_path)) as again, ZipFile(io.BytesIO(whole)) as before:
        assert again.testzip() is None
        assert again.namelist() == before.namelist()


def test_a_folder_that_cannot_be_written_costs_only_the_export(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    assert embed_in(tmp_path / "file" / "networks").shape == (12, 512)


def test_another_file_of_weights_is_another_network(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    keys = []
    for content in (b"one", b"two", b"one"):
        weights.write_bytes(content)
        keys.append(key_of("module:make", {"pool": "avg"}, [weights]))
    other = key_of("module:make", {"pool": "max"}, [weights])

    assert keys[0] == keys[2]
    assert len({*keys, other}) == 3
    assert key_of("module:make", {}, [tmp_path / "missing"]) is None


def test_missing_weights_are_told_by_the_family(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="nowhere"):
        embed_in(tmp_path, "torchvision/resnet18?weights=nowhere.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_be_exported_is_run_by_torch(tmp_path: Path) -> None:
    plan = NetworkPlan(maker="support.odd_network:make")

    opened = open_network(plan, Compute(device="cpu", networks_dir=tmp_path))

    assert opened.run(np.zeros((3, 8, 8, 3), np.uint8)).shape == (3, 3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (Compute(device="cpu"), True),
        (Compute(device="cpu", engine="torch"), False),
        (Compute(device="cuda"), False),
        (Compute(device="mps"), False),
    ],
    ids=["a CPU", "torch by request", "CUDA", "Apple's GPU"],
)
def test_the_engine_follows_from_the_device_and_the_setting(
    compute: Compute, expected: bool
) -> None:
    assert by_openvino(compute) is expected


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_of_several_streams_stay_in_order(folder: Path, threads: int) -> None:
    compute = Compute(device="cpu", networks_dir=folder, threads=threads, batch_size=2)

    vectors = load(SMALL, compute=compute).embed(GARMENTS)

    assert (vectors * embed_in(folder)).sum(axis=1).min() >= 0.99999


@pytest.mark.parametrize("attempt", range(3))
def test_the_first_inferences_of_a_process_may_come_at_once(attempt: int) -> None:
    """Two threads that made OpenVINO's first conversion waited for each other, one time of two."""
    program = """
import os, sys, threading
import backend.embedders.openvino_network
import openvino as ov
sys.setswitchinterval(1e-6)
together = threading.Barrier(8)
def convert():
    together.wait()
    ov.Type.f32.to_dtype()
threads = [threading.Thread(target=convert) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    ran = subprocess.run([sys.executable, "-c", program], timeout=100, check=False)
    assert ran.returncode == 0
