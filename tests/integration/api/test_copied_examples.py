"""The programs of docs/examples.md, as they stand there, against a live server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.http_server import http_server
from support.image_files import colour_image
from support.keys import make_key
from support.places import ROOT
from support.shop import Shop

from backend.access.scope import Scope
from backend.api import create_app

PAGE = (Path(ROOT) / "docs" / "examples.md").read_text(encoding="utf-8")
CLIENT = Path(ROOT) / "clients" / "python"
LINES = [
    "price: 24.9",
    "similar: 0002 0005",
    "image: 0001",
    "region: 0001",
    "json: 0002 0003",
    "list: 0002 0003",
    "all: 0001 0002 0003 0004 0005 shirt-1",
    "refused: 404 unknown-product",
]


def programs(language: str) -> list[str]:
    """The blocks of a language on the page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def environment(wardrobe: Shop, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the programs read, while the server runs; the photograph lies in `tmp_path`."""
    (tmp_path / "photo.jpg").write_bytes(colour_image("#d02020", format="JPEG"))
    key = make_key(wardrobe.services, Scope.INGEST)
    with http_server(create_app(wardrobe.services, locked=True)) as server:
        yield {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CLIENT),
            "LOOKALIKE_URL": f"http://localhost:{server.port}",
            "LOOKALIKE_KEY": key,
        }


def run(*command: str | Path, environment: dict[str, str], folder: Path) -> str:
    """Run a program in a folder; return what it prints."""
    ran = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def shown(answer: Any) -> Any:
    """What one answer of the commands says."""
    if "items" in answer:
        return [item["sku"] for item in answer["items"]]
    return answer["code"] if "code" in answer else answer["price"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_for_curl_work(environment: dict[str, str], tmp_path: Path) -> None:
    answers = [
        json.loads(run("sh", "-c", command, environment=environment, folder=tmp_path))
        for command in programs("sh")
    ]
    assert list(map(shown, answers)) == [
        *(19.9, 19.9, 24.9),
        *(["0002", "0005"], ["0001"], ["0001"], ["0002", "0003"], ["0002", "0003"]),
        *(["0001", "0002"], "unknown-product"),
    ]
    assert answers[-2]["next_cursor"]


@pytest.mark.parametrize(
    ("language", "program", "suffix"),
    [("python", sys.executable, "py"), ("js", "node", "mjs"), ("php", "php", "php")],
    ids=["python", "javascript", "php"],
)
def test_each_program_works_as_it_stands(
    environment: dict[str, str], tmp_path: Path, language: str, program: str, suffix: str
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    (source,) = programs(language)
    script = tmp_path / f"example.{suffix}"
    script.write_text(source, encoding="utf-8")
    printed = run(program, script, environment=environment, folder=tmp_path)
    assert printed.splitlines() == LINES
