"""The TypeScript client: its types are generated, it is compiled, and used on a live server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.http_server import http_server
from support.image_files import colour_image
from support.keys import make_key
from support.places import ROOT
from support.shop import Shop, stock

from backend.access.scope import Scope
from backend.api import create_app

CLIENT = Path(ROOT) / "clients" / "typescript"
USE = Path(ROOT) / "tests" / "support" / "typescript_client" / "use.ts"
NOT_REACHED = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed"),
]


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of Node's in a folder, without our own environment."""
    kept = ("PATH", "HOME", "HTTPS_PROXY", "NODE_EXTRA_CA_CERTS")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def output(*command: str | Path, folder: Path) -> str:
    ran = run(*command, folder=folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package with exactly the dependencies of its lock file, in a folder of the test's own."""
    folder = tmp_path / "client"
    left_out = shutil.ignore_patterns("node_modules", "dist", "schema.ts")
    shutil.copytree(CLIENT, folder, ignore=left_out)
    ran = run("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", folder=folder)
    if ran.returncode and any(code in ran.stderr for code in NOT_REACHED):
        pytest.skip("the registry of npm cannot be reached")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


def test_the_typescript_client_changes_uploads_searches_and_pages(
    wardrobe: Shop, package: Path, tmp_path: Path
) -> None:
    image = tmp_path / "red.png"
    image.write_bytes(colour_image("#d02020"))
    shutil.copy(USE, package / "src")
    key = make_key(wardrobe.services, Scope.INGEST)
    with http_server(create_app(wardrobe.services, locked=True)) as server:
        address = f"http://localhost:{server.port}"
        output("npm", "run", "generate", "--", f"{address}/openapi.json", folder=package)
        output("npm", "run", "build", folder=package)
        found = json.loads(output("node", "dist/use.js", address, key, image, folder=package))
        wardrobe.empty()
        stock(wardrobe.db, wardrobe.generation, 1001)
        wardrobe.apply()
        many = json.loads(output("node", "dist/use.js", address, key, folder=package))
    assert found["changed"] == {"price": [30.0, 24.5]}
    assert found["searched"] == {
        "sku": ["0002", "0003"],
        "json": ["0002", "0003"],
        "json and query": ["0002", "0003"],
        "image": ["0001", "0002"],
        "region": ["0001", "0002"],
        "examples": ["0002"],
    }
    assert found["paged"] == {
        "all": ["0001", "0002", "0003", "0004", "0005"],
        "stopped": ["0003"],
        "similar": ["0002", "0003", "0005", "0004"],
        "image": ["0001", "0002", "0003", "0005", "0004"],
        "json": ["0002", "0003", "0005", "0004"],
        "examples": ["0002", "0003", "0005", "0004"],
    }
    assert (found["state"], found["refused"]) == ("pending", [412, "precondition-failed", True])
    assert found["retried"] == [200, [7000, 1000], 1, False, ["{}", "{}", "{}"], 503, 1]
    assert len(many["all"]) == len(set(many["all"])) == 1001
    assert (len(many["similar"]), set(many["similar"])) == (1000, set(many["all"]) - {"s1"})
