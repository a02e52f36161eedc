"""The linter of Dockerfiles, where it is installed."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from support.places import ROOT


@pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint is not installed")
def test_hadolint_has_nothing_to_say() -> None:
    said = subprocess.run(
        ["hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout
