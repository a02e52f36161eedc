"""A client that is generated from the description, type-checked, and used against a live server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.http_server import http_server
from support.image_files import colour_image
from support.keys import make_key
from support.shop import Shop, stock

from backend.access.scope import Scope
from backend.api import create_app

USE = Path(__file__).parents[2] / "support" / "generated_client" / "use.py"

pytestmark = pytest.mark.slow


def run(*arguments: str | Path, folder: Path) -> str:
    """Run a Python program in a folder of its own; return what it prints."""
    found = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PATH": str(Path(sys.executable).parent), "HOME": str(folder), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def test_a_generated_client_changes_uploads_and_searches(wardrobe: Shop, tmp_path: Path) -> None:
    described = tmp_path / "openapi.json"
    image = tmp_path / "red.png"
    image.write_bytes(colour_image("#d02020"))
    app = create_app(wardrobe.services, locked=True)
    with http_server(app) as server:
        described.write_bytes(server.get("/openapi.json").body)
        generator = ("-m", "openapi_python_client", "generate", "--meta", "none")
        target = ("--path", described, "--output-path", tmp_path / "shop_client")
        said = run(*generator, *target, folder=tmp_path)
        left_out = [line for line in said.splitlines() if line.startswith("WARNING parsing")]
        assert all("image" in line or "/v1/similar" in line for line in left_out), said

        script = tmp_path / "use.py"
        script.write_text(USE.read_text())
        ours_alone = "--follow-imports=silent"  # the generator's own template is not strict
        run("-m", "mypy", "--strict", ours_alone, script, folder=tmp_path)

        address, key = f"http://localhost:{server.port}", make_key(wardrobe.services, Scope.INGEST)
        found = json.loads(run(script, address, key, image, folder=tmp_path))
        wardrobe.empty()
        stock(wardrobe.db, wardrobe.generation, 1001)
        wardrobe.apply()
        many = json.loads(run(script, address, key, folder=tmp_path))
    assert found["changed"] == {"price": [30.0, 24.5]}
    assert found["searched"] == {
        "sku": ["0002", "0003"],
        "json": ["0002", "0003"],
        "json and query": ["0002", "0003"],
        "octets": ["0001", "0002"],
        "form": ["0001", "0002"],
    }
    assert found["paged"] == ["0001", "0002", "0003", "0004", "0005"]
    assert (found["state"], found["code"]) == ("pending", "unknown-product")
    assert len(many["all"]) == len(set(many["all"])) == 1001
    assert (len(many["similar"]), set(many["similar"])) == (1000, set(many["all"]) - {"s1"})
