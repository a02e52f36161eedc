"""What `pyproject.toml` declares is used and locked, and what is used is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest
from support.places import ROOT

SHIPPED = ("backend", "workers", "migrations")
TRIED = (*SHIPPED, "tests", "examples", "benchmarks", "docs")
OURS = {
    *SHIPPED,
    "sample_catalogue",
    "support",
    "shop_client",
    "lookalike_client",
    "product_page",
    "manual",
} | {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
NEVER_IMPORTED: Mapping[str, str] = {
    "build": "run as a program by a test",
    "check-jsonschema": "run as a program by a test",
    "coverage": "run by `make test`",
    "hatchling": "what `build` builds with",
    "import-linter": "run by `make check`",
    "mkdocs-material": "the theme of the manual, and what colours its code",
    "mypy": "run by `make check`",
    "openapi-python-client": "run as a program by a test, and writes `shop_client`",
    "pytest-timeout": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "slipcover": "run by `make test`",
    "ruff": "run by `make check`",
    "types-requests": "read by mypy",
    "uvloop": "the event loop that uvicorn runs",
}


def test_the_program_imports_what_is_declared_for_it() -> None:
    assert imported(*SHIPPED) <= declared(*extras() - {"test", "dev", "docs"})


def test_the_tests_import_what_is_declared() -> None:
    assert imported(*TRIED) <= declared(*extras())


def test_what_is_declared_is_used() -> None:
    assert declared(*extras()) - imported(*TRIED) == set(NEVER_IMPORTED)


def test_what_is_declared_is_locked() -> None:
    """`make lock` makes the file anew, after a change of the dependencies."""
    assert declared(*extras()) <= set(locked())


def test_what_is_locked_can_be_installed_with_the_oldest_python_that_is_promised() -> None:
    """Debian 12 has 3.11.2: a release that wants 3.11.5 makes `make demo` fail there."""
    floor = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    oldest = tuple(map(int, f"{floor.removeprefix('>=')}.0".split(".")))
    demanded = {
        found.metadata["Name"]: tuple(map(int, lower.split(".")))
        for found in distributions()
        for lower in re.findall(r">=?\s*(\d+(?:\.\d+)+)", found.metadata["Requires-Python"] or "")
    }
    assert len(demanded) > 50
    assert {name: it for name, it in demanded.items() if it > oldest and name != "lookalike"} == {}


def test_the_lock_holds_exact_releases_that_every_platform_has() -> None:
    assert all(re.fullmatch(r"\d[\w.]*", version) for version in locked().values())
    assert not [name for name in locked() if name.startswith(("nvidia-", "cuda-", "triton"))]


def test_the_image_and_the_virtual_environment_are_installed_by_the_lock() -> None:
    for name in ("Makefile", "Dockerfile"):
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        installs = re.findall(r"pip install (?!.*--no-deps|.*--dry-run|.*uv==).*", text)
        installs += re.findall(r"\(PIP\) install (?!.*--dry-run).*", text)
        assert installs
        assert all(re.search(r"--constraints? constraints\.txt", line) for line in installs)


def locked() -> Mapping[str, str]:
    """Release of each package in the lock."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def project() -> dict[str, dict[str, list[str]]]:
    loaded: dict[str, dict[str, list[str]]] = tomllib.loads(
        (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )["project"]
    return loaded


def extras() -> set[str]:
    return set(project()["optional-dependencies"])


def declared(*extras: str) -> set[str]:
    """The packages of the project and of some of its extras, without the project itself."""
    lines = [*project()["dependencies"]]
    for extra in extras:
        lines += project()["optional-dependencies"][extra]
    return {plain(re.split(r"[^\w.-]", line)[0]) for line in lines} - {"lookalike"}


def imported(*folders: str) -> set[str]:
    """The packages whose modules are imported anywhere in some folders."""
    modules: set[str] = set().union(*map(modules_of, folders))
    return {plain(packages().get(module, [module])[0]) for module in modules}


@cache
def modules_of(folder: str) -> set[str]:
    """The foreign modules that a folder imports."""
    names = {
        name.partition(".")[0] for path in (ROOT / folder).rglob("*.py") for name in imports(path)
    }
    return names - OURS - set(sys.stdlib_module_names)


@cache
def packages() -> Mapping[str, list[str]]:
    """The packages of each module that is installed."""
    return packages_distributions()


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield module
            case ast.Call(
                func=ast.Attribute(attr="importorskip" | "import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module


def plain(name: str) -> str:
    """A package's name as all indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("line", "module"),
    [("import a.b", "a.b"), ("from a.b import c", "a.b"), ("pytest.importorskip('a')", "a")],
)
def test_every_way_to_import_is_seen(tmp_path: Path, line: str, module: str) -> None:
    (tmp_path / "some.py").write_text(line)
    assert list(imports(tmp_path / "some.py")) == [module]
