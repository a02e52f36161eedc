"""`lookalike fashion-mnist`, and the benchmark that reads what it has indexed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.fashion_mnist import write_fashion_mnist
from support.places import ROOT
from typer.testing import CliRunner

from backend.cli import app


def test_one_command_goes_from_the_files_to_a_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usual_logs: None
) -> None:
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LOOKALIKE_EMBEDDER", "raw-pixels?height=28&width=28&grey=yes")
    monkeypatch.setattr("backend.cli.projector.find_spec", lambda name: None)  # half a minute
    files = write_fashion_mnist(tmp_path / "files")
    command = ["fashion-mnist", str(files), "--sample", "30"]

    done = CliRunner().invoke(app, command, catch_exceptions=False)

    assert done.exit_code == 0, done.output
    assert "added 60" in done.stdout
    labels = (tmp_path / "data" / "projector" / "metadata.tsv").read_text().splitlines()
    assert len(labels) == 31
    assert (tmp_path / "data" / "projector" / "scatter.html").is_file()
    told = subprocess.run(
        [sys.executable, "benchmarks/fashion_mnist.py", "--data-dir", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    assert told.count("| 784 | 100.00% ± 0.00 | 100.00% ± 0.00 |") == 2
