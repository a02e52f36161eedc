"""A package that is not installed is named in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = """
import sys
sys.modules[{missing!r}] = None  # importing it raises what a missing package raises
sys.argv = ["lookalike", "train", "autoencoder", "run"]
from backend.cli import main
main()
"""


def run_without(missing: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(missing=missing)],
        env={**os.environ, "LOOKALIKE_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("torch", "lookalike: the package torch is not installed, and this command needs it"),
        ("backend.lab.training", "ModuleNotFoundError"),
    ],
)
def test_a_missing_package_is_named_and_a_fault_of_the_program_shown(
    tmp_path: Path, missing: str, says: str
) -> None:
    ended = run_without(missing, tmp_path)

    assert ended.returncode == 1
    assert says in ended.stderr
    assert ("Traceback" in ended.stderr) == (missing != "torch")
