"""The `Dockerfile` copies what exists, runs what exists, and not as root."""

from __future__ import annotations

import json
import re
import tomllib

import typer
import yaml
from support.places import ROOT

from backend.cli import app
from manual.places import COPIED

FILE = ROOT / "Dockerfile"


def stages() -> list[list[tuple[str, str]]]:
    """Each stage's instructions with their arguments; lines that go on are joined."""
    text = re.sub(r"(?m)^\s*#.*\n", "", FILE.read_text(encoding="utf-8")).replace("\\\n", " ")
    found: list[list[tuple[str, str]]] = []
    for line in filter(None, text.splitlines()):
        instruction, _, arguments = line.strip().partition(" ")
        if instruction == "FROM":
            found.append([])
        found[-1].append((instruction, " ".join(arguments.split())))
    return found


def of(stage: list[tuple[str, str]], instruction: str) -> list[str]:
    """The arguments of every such instruction of a stage."""
    return [arguments for name, arguments in stage if name == instruction]


def let_in() -> set[str]:
    """What `.dockerignore`, which shuts out everything first, lets into the build."""
    first, *rest = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n*\n")
    assert first.startswith("#")
    return {line.removeprefix("!") for line in rest[0].splitlines() if line.startswith("!")}


def test_every_file_that_is_copied_exists_and_is_let_in() -> None:
    build, manual, final = stages()
    copies = of(build, "COPY") + of(manual, "COPY")
    copied = {source for line in copies for source in line.split()[:-1]}
    assert copied == let_in()
    assert all((ROOT / source).exists() for source in copied)
    assert {line.split()[0] for line in of(final, "COPY")} == {"--from=build", "--from=manual"}


def test_the_wheel_finds_all_it_is_made_of() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    project = pyproject["project"]
    needed = {*packages, project["readme"], *project["license-files"], "pyproject.toml"}
    needed |= {"constraints.txt"}  # which releases are installed beside it
    assert needed == let_in() - {"docs", *COPIED}


def test_the_manual_is_built_from_all_its_pages_and_served_from_where_it_is_copied_to() -> None:
    _, manual, final = stages()
    assert {"docs", *(name for name in COPIED if not name.startswith("backend/"))} == {
        source for line in of(manual, "COPY") for source in line.split()[:-1]
    }
    (place,) = (line.split()[-1] for line in of(final, "COPY") if "--from=manual" in line)
    assert f"LOOKALIKE_MANUAL_DIR={place} " in of(final, "ENV")[0] + " "


def test_the_image_starts_a_command_that_exists() -> None:
    *_, final = stages()
    (entrypoint,), (command,) = of(final, "ENTRYPOINT"), of(final, "CMD")
    init, _, program = json.loads(entrypoint)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert program in scripts["project"]["scripts"]
    assert f"--no-install-recommends {init} " in of(final, "RUN")[0]
    name, *arguments = json.loads(command)
    typer.main.get_command(app).commands[name].make_context(  # type: ignore[attr-defined]
        name, arguments
    )


def test_the_image_serves_as_a_numbered_user_and_is_probed_as_compose_does() -> None:
    *_, final = stages()
    user = of(final, "USER")[-1]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    uid, gid = user.split(":")
    (setup,) = of(final, "RUN")
    assert re.search(rf"useradd .*--uid {uid} --gid {gid} .*lookalike", setup)
    assert re.search(rf"groupadd .*--gid {gid} lookalike", setup)  # else the group has no name
    probe = json.loads(of(final, "HEALTHCHECK")[0].partition(" CMD ")[2])
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert ["CMD", *probe] == compose["services"]["api"]["healthcheck"]["test"]


def test_the_image_is_labelled_with_the_version_and_holds_no_secret() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    *_, final = stages()
    assert f"VERSION={project['version']}" in of(final, "ARG")
    assert 'org.opencontainers.image.version="${VERSION}"' in of(final, "LABEL")[0]
    given = [line for stage in stages() for line in of(stage, "ARG") + of(stage, "ENV")]
    assert not [line for line in given if re.search(r"(?i)password|secret|token|key", line)]


def test_first_and_last_stage_start_from_the_same_pinned_python() -> None:
    build, manual, final = (of(stage, "FROM")[0].split(" AS ")[0] for stage in stages())
    assert manual == "build"
    (image,) = {build, final}
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", image)
