"""`make prove-compose`: the compose file is built, started, used, damaged, restarted and upgraded.

It needs a Docker engine (DOCKER_HOST) and a compose tool. Where the Qdrant image is neither here
nor can be pulled, it takes `docker-compose.embedded.yml`. Variables:

- PROVE_COMPOSE_FORMER: the image of the release before, from which is upgraded
- PROVE_COMPOSE_CONTEXT: the folder that the image is built from, by default this checkout; empty:
  `lookalike:0.1.0` is there already
- PROVE_COMPOSE_BUILD: further arguments of `docker build`
- PROVE_COMPOSE_OVERRIDE: one more compose file, such as for limits that this host does not allow
- PROVE_COMPOSE_ENV: further lines of `.env`, such as another embedder

With cgroups of the first version, all containers together have the share of one process. Where
other programs use the processors, give them more: `/sys/fs/cgroup/cpu/docker/cpu.shares`.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.catalogue import draw_catalogue
from support.compose import ComposeStack, docker, has_engine, has_image
from support.places import ROOT
from support.servers import free_port

PRODUCTS = 200
IMAGE = "lookalike:0.1.0"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(7200),  # a busy machine builds the image for half an hour
    pytest.mark.skipif(
        os.environ.get("PROVE_COMPOSE") != "1" or not has_engine(),
        reason="make prove-compose, with a Docker engine",
    ),
]


def say(what: str, started: float | None = None) -> None:
    """Print what has been done, and how long it took."""
    took = "" if started is None else f" ({time.monotonic() - started:.0f} s)"
    print(f"- {what}{took}", flush=True)


def images_of(file: Path) -> list[str]:
    """Return the images of the stores that a compose file names."""
    services = yaml.safe_load(file.read_text())["services"].values()
    names = [it["image"] for it in services if "profiles" not in it and "build" not in it]
    return [name for name in names if not name.startswith("lookalike:")]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[ComposeStack]:
    """An installation that is not started yet; all of it is removed at the end."""
    build_image()
    whole = ROOT / "docker-compose.yml"
    file = whole if has_image(images_of(whole)) else ROOT / "docker-compose.embedded.yml"
    say(f"{file.name}, with {', '.join(images_of(file))}")
    override = os.environ.get("PROVE_COMPOSE_OVERRIDE")
    files = [file, *([Path(override)] if override else [])]
    port = free_port()
    passwords = [f"{name}_PASSWORD={secrets.token_hex(8)}" for name in ("POSTGRES", "REDIS")]
    lines = [
        *passwords,
        f"QDRANT_PASSWORD={secrets.token_hex(8)}",
        f"API_PORT=127.0.0.1:{port}",
        f"CATALOGUE={draw_catalogue(tmp_path / 'catalogue', PRODUCTS)}",
        *os.environ.get("PROVE_COMPOSE_ENV", "").split(),
    ]
    (tmp_path / ".env").write_text("\n".join(lines) + "\n")
    for path in (tmp_path / "catalogue", *(tmp_path / "catalogue").rglob("*")):
        path.chmod(0o755)  # the containers' user reads it
    name = f"prove{secrets.token_hex(4)}"
    made = ComposeStack(tmp_path, *files, project=name, port=port)
    try:
        yield made
    finally:
        made.run("down", "--volumes", "--timeout", "5", check=False)
        docker("tag", "lookalike:proved", IMAGE)  # not the release before, if the test failed
        say("taken down, with its volumes")


def build_image() -> None:
    """Build the image, and let the installation begin with the one of the release before."""
    started = time.monotonic()
    if context := os.environ.get("PROVE_COMPOSE_CONTEXT", str(ROOT)):
        options = shlex.split(os.environ.get("PROVE_COMPOSE_BUILD", ""))
        docker("build", "--quiet", "--tag", IMAGE, *options, context)
        say(f"{IMAGE} is built", started)
    docker("tag", IMAGE, "lookalike:proved")
    if former := os.environ.get("PROVE_COMPOSE_FORMER"):
        docker("tag", former, IMAGE)
        say(f"begins with {former}")


def test_the_compose_file_holds_what_it_promises(stack: ComposeStack) -> None:
    started = time.monotonic()
    stack.run("up", "--detach", "--no-build")
    stack.wait_until_healthy()
    say(f"{len(stack.containers())} containers are healthy", started)

    assert stack.get("/v1/status").status_code == 401
    stack.key = stack.lookalike("api", "keys", "create", "proof", "--scope", "admin").split()[-1]
    started = time.monotonic()
    stack.lookalike("api", "import", "/catalogue")
    status = stack.wait_until_indexed()
    assert (status["products"], status["quarantined"]) == (PRODUCTS, 0)
    say(f"{PRODUCTS} products are imported and indexed", started)
    similar = "/v1/products/7/similar?attributes.any_not=x"
    assert len(stack.get(similar).json()["items"]) == 10
    say("a query with a key is answered, one without is refused")

    for name, id_ in stack.containers().items():
        started = time.monotonic()
        docker("kill", id_)
        docker("start", id_)
        stack.wait_until_answered(similar)
        stack.wait_until_healthy()
        say(f"{name} was killed: all are healthy again", started)

    started = time.monotonic()
    stack.run("restart")
    stack.wait_until_healthy()
    say("all were restarted", started)

    started = time.monotonic()
    docker("tag", "lookalike:proved", IMAGE)
    stack.run("up", "--detach", "--no-build", "--force-recreate")
    stack.wait_until_healthy()
    stack.wait_until_answered(similar)
    say("upgraded" if "PROVE_COMPOSE_FORMER" in os.environ else "made anew", started)

    stack.lookalike("api", "import", "/catalogue")
    stack.wait_until_indexed()
    found = json.loads(stack.lookalike("worker", "verify", "--full", "--json"))
    say(f"verify --full: {found['compared']} vectors compared, {found['drift']} differences")
    assert (found["checked"], found["drift"]) == (PRODUCTS, 0)
    assert not lines_that_are_no_json(stack)
    say("all log lines of our processes are JSON")


def lines_that_are_no_json(stack: ComposeStack) -> list[str]:
    """Log lines of our processes that a log store could not read; `migrate` speaks to people."""
    found = []
    for line in stack.run("logs", "--no-color").splitlines():
        container, bar, text = line.partition("|")
        ours = any(name in container for name in ("api", "worker", "beat"))
        if bar and ours and text.strip() and not text.strip().startswith("{"):
            found.append(line)
    return found
