"""The compose tool of this host, and an installation that it starts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from support.servers import load_per_processor

WAIT_SECONDS = 420 * load_per_processor()


def compose_tool() -> list[str]:
    """The compose tool of this host; the test is skipped where there is none."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    plugin = ["docker", "compose"]
    if shutil.which("docker"):
        tried = subprocess.run([*plugin, "version"], capture_output=True, check=False)
        if tried.returncode == 0:
            return plugin
    pytest.skip("neither docker-compose nor docker's compose plugin is installed")


def environment(home: Path) -> dict[str, str]:
    """Return the variables under which the tool runs with another home.

    Docker finds its plugins in its configuration's folder, which is in the user's own home.
    """
    own = os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker"))
    kept = {"PATH": os.environ["PATH"], "HOME": str(home), "DOCKER_CONFIG": own}
    return kept | {name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ}


class ComposeStack:
    """An installation of the compose file, under a project name of its own."""

    def __init__(self, folder: Path, *files: Path, project: str, port: int) -> None:
        self._folder = folder
        self._base = [*compose_tool(), "--project-name", project]
        for file in files:
            self._base += ["--file", str(file)]
        self._base += ["--project-directory", str(folder)]
        self.url = f"http://127.0.0.1:{port}"
        self.key = ""

    # --- the tool ---

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run the compose tool and return what it prints; its errors are shown."""
        done = subprocess.run(
            [*self._base, *arguments],
            cwd=self._folder,
            env=environment(self._folder),
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def lookalike(self, service: str, *arguments: str) -> str:
        """Run a command of ours in a container."""
        return self.run("exec", "-T", service, "lookalike", *arguments)

    def containers(self) -> dict[str, str]:
        """Return {name: id} of the containers that stay up."""
        ids = self.run("ps", "--quiet").split()
        shown = {it["Name"].lstrip("/"): it for it in docker_json("inspect", *ids)} if ids else {}
        return {
            name: it["Id"]
            for name, it in sorted(shown.items())
            if it["HostConfig"]["RestartPolicy"]["Name"] != "no"
        }

    def wait_until_healthy(self) -> float:
        """Wait until every container says that it is healthy; return the seconds."""
        started = time.monotonic()
        while True:
            states = self.states()
            if states and set(states.values()) == {"healthy"}:
                return time.monotonic() - started
            if time.monotonic() - started > WAIT_SECONDS:
                raise AssertionError(f"{states}\n{self.run('logs', '--tail', '30', check=False)}")
            time.sleep(1)

    def states(self) -> dict[str, str]:
        """Return the health of each container, or its state where it does not run."""
        found = docker_json("inspect", *self.containers().values())
        return {
            it["Name"].lstrip("/"): it["State"].get("Health", {}).get("Status", "none")
            if it["State"]["Running"]
            else it["State"]["Status"]
            for it in found
        }

    # --- the API ---

    def get(self, path: str, **query: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return requests.get(self.url + path, params=query, headers=headers, timeout=30)

    def wait_until_indexed(self) -> Mapping[str, Any]:
        """Wait until no product is pending; return the status."""
        started = time.monotonic()
        while time.monotonic() - started < WAIT_SECONDS:
            answer = self.get("/v1/status")
            if answer.ok and not answer.json()["pending"] and answer.json()["products"]:
                found: Mapping[str, Any] = answer.json()
                return found
            time.sleep(1)
        raise AssertionError(answer.text)

    def wait_until_answered(self, path: str) -> float:
        """Wait until a query is answered; return the seconds."""
        started = time.monotonic()
        while time.monotonic() - started < WAIT_SECONDS:
            try:
                if self.get(path).ok:
                    return time.monotonic() - started
            except requests.RequestException:
                pass
            time.sleep(0.5)
        raise AssertionError(f"{path} is not answered")


def docker_json(*arguments: str) -> list[Any]:
    """Return what a command of docker prints as JSON."""
    said = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    found: list[Any] = json.loads(said.stdout)
    return found


def docker(*arguments: str) -> str:
    """Run docker and return what it prints."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def has_engine() -> bool:
    """Tell whether a Docker engine answers here."""
    if not shutil.which("docker"):
        return False
    said = subprocess.run(["docker", "version"], capture_output=True, check=False)
    return said.returncode == 0


def has_image(names: Sequence[str]) -> bool:
    """Tell whether all images are here or can be pulled."""

    def is_here(name: str) -> bool:
        asked = ["docker", "image", "inspect", name]
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return True
        pulled = subprocess.run(["docker", "pull", name], capture_output=True, check=False)
        return pulled.returncode == 0

    return all(map(is_here, names))
