"""`make prove-gpu` as far as a host without a GPU can try it."""

from __future__ import annotations

import argparse
import importlib
import sys
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image
from support.places import ROOT

from backend.embedders import Compute, load

SMALL = "torchvision/squeezenet1_1?weights=random"


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return importlib.import_module("gpu")


def test_without_a_gpu_it_refuses_in_one_sentence(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == gpu.NO_GPU
    said = capsys.readouterr().out.splitlines()
    assert said == ["there is no NVIDIA GPU here that torch can use: nothing was checked"]


def test_vectors_are_compared_and_what_fails_is_counted(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = gpu.Proof()
    gpu.check_vectors(proof, SMALL, "cpu", count=2)
    assert proof.failed == 0
    monkeypatch.setattr(gpu, "NEAR", 1.1)
    gpu.check_vectors(proof, SMALL, "cpu", count=2)
    assert proof.failed == 1


def test_the_pure_pass_is_measured_on_the_network_s_own_batches(gpu: ModuleType) -> None:
    embedder = load(SMALL, compute=Compute(device="cpu", engine="torch", batch_size=8))
    options = argparse.Namespace(rehearse=True)
    assert gpu.crop_of(embedder) == (224, 224)
    assert gpu.pure_rate(gpu.network_of(embedder), gpu.crop_of(embedder), options) > 0


def test_each_drawn_image_is_a_file_of_its_own(gpu: ModuleType, tmp_path: Path) -> None:
    catalogue = gpu.draw_catalogue(tmp_path / "shop", 202)
    files = sorted((catalogue / "images").iterdir())
    assert len({sha256(file.read_bytes()).digest() for file in files}) == 202
    with Image.open(files[-1]) as image:
        image.load()
        assert image.size == (gpu.SIDE, gpu.SIDE)
