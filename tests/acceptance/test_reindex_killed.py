"""A server that is killed while it builds another index goes on with it, and so do the commands."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from support.installation import COMMAND, draw_catalogue
from support.servers import wait_for

from backend import generations
from backend.database.engine import Database
from backend.database.models import ACTIVE, BUILDING, Generation
from backend.queue.progress import Progress, progress
from backend.vectors.edge.owner import Owner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PRODUCTS = 500
PATIENCE = 240


class Server:
    """`lookalike serve` in an environment of its own, and commands beside it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "OMP_NUM_THREADS": "1",
            "LOOKALIKE_DATA_DIR": str(self.data),
            "LOOKALIKE_EMBEDDER": "mean-colour?grid=1",
            "LOOKALIKE_BATCH_SIZE": "4",
            "LOOKALIKE_POLL_SECONDS": "0.1",
        }
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [COMMAND, "serve", "--port", "0"],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: Owner(self.data).url, seconds=PATIENCE)

    def kill(self) -> None:
        """Kill master and worker at once; nothing is told that it ends."""
        assert self._process
        master = psutil.Process(self._process.pid)
        for process in [*master.children(recursive=True), master]:
            process.kill()
        self._process.wait(60)
        (self.data / "owner.json").unlink(missing_ok=True)

    def run(self, *arguments: str, status: int = 0) -> str:
        found = subprocess.run(
            [COMMAND, *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert found.returncode == status, found.stdout + found.stderr
        return found.stdout if status == 0 else found.stderr

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path)
    found.run("import", str(draw_catalogue(tmp_path / "shop", PRODUCTS)))
    found.run("index")
    found.start()
    yield found
    found.kill()
    print((tmp_path / "server.log").read_text())


def test_a_build_whose_server_was_killed_goes_on_and_is_promoted(server: Server) -> None:
    db = Database(f"sqlite:///{server.data / 'lookalike.sqlite'}")

    def how_far(state: str) -> tuple[Generation, Progress] | None:
        with db.read() as session:
            found = generations.in_state(session, state)
            return (found, progress(session, found.id)) if found else None

    def is_half_built() -> bool:
        found = how_far(BUILDING)
        return found is not None and found[1].indexed > 10

    job = server.json("reindex", "--embedder", "mean-colour?grid=4", "--no-wait")["job"]
    wait_for(is_half_built, seconds=PATIENCE, every=0.01)
    server.kill()
    at_kill = how_far(BUILDING)
    assert at_kill is not None
    assert 10 < at_kill[1].indexed < PRODUCTS
    refused = server.run("reindex", status=1)
    assert "is building already" in refused or "is a re-index that has not ended" in refused

    server.start()
    wait_for(lambda: how_far(BUILDING) is None, seconds=PATIENCE)
    active = how_far(ACTIVE)
    assert active is not None
    assert (active[0].id, active[1].indexed) == (2, PRODUCTS)
    url = Owner(server.data).url
    answer = requests.get(f"{url}/v1/products/7/similar", timeout=60).json()
    assert answer["generation"] == 2
    assert requests.get(f"{url}/v1/admin/jobs/{job}", timeout=60).json()["state"] == "done"

    assert server.json("generations", "rollback")["id"] == 1  # by the server, which has the index
    answer = requests.get(f"{url}/v1/products/7/similar", timeout=60).json()
    assert answer["generation"] == 1
    assert server.json("generations", "drop", "2")["state"] == "retired"
    assert [one["id"] for one in server.json("generations", "list")["items"]] == [2, 1]
    assert server.json("generations", "show", "2")["quality"]["checks"]["counts"]["passed"]
    assert server.json("verify")["drift"] == 0
    db.close()
