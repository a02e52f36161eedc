"""What the documents say about the code's places has to be true."""

from __future__ import annotations

import re

import pytest
from support.places import ROOT

from manual.places import GENERATED

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"
)
PLACE = re.compile(
    r"(?<![\w/])(?:backend|workers|migrations|tests|benchmarks|examples|docs)(?:/[\w.-]+)+/?"
)
DOTTED = re.compile(r"`((?:backend|workers)(?:\.\w+)+)")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
MAP_LINE = re.compile(r"^\| `((?:backend/)?\w+/)`[^|]*\|[^|]*\| ([^|]+) \|$", re.MULTILINE)
IN_BRACKETS = re.compile(r"\([^)]*\)")
MODULE = re.compile(r"`([a-z_/]+)`")
SHORT = re.compile(r"`([a-z_]+/[a-z_/]*[a-z_])`")
ROW = re.compile(r"^\| .+? \| (.+) \|$", re.MULTILINE)
FILE = re.compile(r"`([\w/-]+/|[\w/-]*\w\.(?:py|js|yml))`")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    missing = {place for place in PLACE.findall(text) if not (ROOT / place).exists()}
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_module_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    missing = {name for name in DOTTED.findall(text) if not _is_in_a_module(name)}
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_between_documents_leads_somewhere(document: str) -> None:
    folder = (ROOT / document).parent
    links = LINK.findall((ROOT / document).read_text())
    made = {(ROOT / "docs" / place).resolve() for place in GENERATED}  # with the manual
    missing = {link for link in links if not (folder / link).exists()}
    assert not {link for link in missing if (folder / link).resolve() not in made}


def test_every_module_in_a_reading_order_of_the_map_exists() -> None:
    lines = MAP_LINE.findall((ROOT / "ARCHITECTURE.md").read_text())
    assert len(lines) > 10
    named = [
        folder + name
        for folder, order in lines
        for name in MODULE.findall(IN_BRACKETS.sub("", order))
    ]
    assert not [name for name in named if not _is_module(name)]


def test_every_module_that_a_walk_names_without_backend_exists() -> None:
    walks = (ROOT / "ARCHITECTURE.md").read_text().partition("\n## The walk of one product\n")[2]
    named = SHORT.findall(walks)
    assert len(named) > 20
    assert not [name for name in named if not (_is_module(name) or _is_module(f"backend/{name}"))]


def test_every_file_in_the_rows_that_say_where_to_change_what_exists() -> None:
    rows = ROW.findall((ROOT / "ARCHITECTURE.md").read_text().partition("I want to change")[2])
    named = [_places(row) for row in rows]
    assert sum(map(len, named)) > 200
    assert not [place for places in named for place in places if not (ROOT / place).exists()]
    assert not [places for places in named if len(places) > 5]


def _places(row: str) -> list[str]:
    """Return the paths in a row: a name without a folder lies in the folder named before it."""
    places: list[str] = []
    folder = ""
    for name in FILE.findall(row):
        beside = "/" not in name and (ROOT / folder / name).exists()
        places.append(folder + name if beside else name)
        folder = places[-1].rpartition("/")[0] + "/" * ("/" in places[-1])
    return places


def _is_module(name: str) -> bool:
    """Tell whether a path without a suffix is a module or a folder."""
    return (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file()


def _is_in_a_module(name: str) -> bool:
    """Tell whether a dotted name is a module, or stands in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        module = place.with_suffix(".py")
        if place.is_dir() and length == len(parts):
            return True
        if module.is_file():
            return length == len(parts) or parts[length] in module.read_text()
    return False
