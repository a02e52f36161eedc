"""Documents that are merged line by line keep their order, and say nothing twice."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import pytest
from support.places import ROOT

CLASS = re.compile(r"^class ([A-Z]\w*)", re.MULTILINE)
CELL = re.compile(r"^\| ([^|]+) \|", re.MULTILINE)
ENTRY = re.compile(r"^## (\d+)\. (.+)$", re.MULTILINE)
LISTED = re.compile(r"^- \[(\d+)\. ([^\]]+)\]\(#([^)]+)\)$", re.MULTILINE)
STEP = re.compile(r"^(\d+)\. ", re.MULTILINE)
OFTEN = "I want to change …"  # the header of several tables
HEADERS = ("folder", "failure", "set", "column", OFTEN)


def test_no_line_of_a_table_of_the_architecture_occurs_twice() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    found = Counter(
        (number, cell)
        for number, section in enumerate(text.split("\n## "))
        for cell in CELL.findall(section)
    )
    assert not [cell for cell, count in found.items() if count > 1 and cell[1] != OFTEN]
    assert {cell for _, cell in found} >= set(HEADERS)


def test_the_steps_of_each_walk_are_counted_once() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for section in text.split("\n## ")[1:]:
        steps = [int(step) for step in STEP.findall(section)]
        assert steps == [step + min(steps) for step in range(len(steps))]


def test_every_subject_of_the_code_stands_in_the_map() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = text.partition("## The map")[2].partition("\n## ")[0]
    folders = {path.parent.name for path in (ROOT / "backend").glob("*/*.py")}
    modules = {path.name for path in (ROOT / "backend").glob("*.py")} - {"__init__.py"}
    assert not [name for name in folders if f"`backend/{name}/`" not in table]
    assert not [name for name in modules if name not in table]


def test_a_file_name_occurs_three_times_only_for_a_resource_of_api_and_command_line() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in (ROOT / "backend").rglob("*.py"):
        folder = path.parent.relative_to(ROOT / "backend").as_posix()
        if not folder.startswith("database/models") and path.name != "__init__.py":
            places[path.name].append(folder)
    many = {name: folders for name, folders in places.items() if len(folders) > 2}
    assert "similar.py" in many
    assert not {
        name: folders
        for name, folders in many.items()
        if len(folders) > 3 or "cli" not in folders or not {"api", "api/schemas"} & {*folders}
    }


def test_a_class_of_a_module_has_a_name_of_its_own_but_for_what_clients_see() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in (ROOT / "backend").rglob("*.py"):
        if "schemas" not in path.parts:
            for name in CLASS.findall(path.read_text()):
                places[name].append(path.name)
    assert len(places) > 500
    assert not {name: files for name, files in places.items() if len(files) > 1}


def test_decisions_stand_in_the_order_of_their_numbers_and_all_are_listed() -> None:
    text = (ROOT / "DECISIONS.md").read_text()
    entries = [(int(number), title) for number, title in ENTRY.findall(text)]
    numbers = [number for number, _ in entries]
    assert numbers == sorted(set(numbers))
    listed = LISTED.findall(text)
    assert sorted((int(number), title) for number, title, _ in listed) == entries
    assert [anchor for number, title, anchor in listed] == [
        _anchor(f"{number}. {title}") for number, title, _ in listed
    ]


@pytest.mark.parametrize("document", ["CHANGELOG.md", "docs/glossary.md"])
def test_no_entry_of_a_list_occurs_twice(document: str) -> None:
    lines = re.findall(r"^- .+$", (ROOT / document).read_text(), re.MULTILINE)
    beginnings = Counter(line.split(":")[0][:60] for line in lines)
    assert not [beginning for beginning, count in beginnings.items() if count > 1]


def _anchor(heading: str) -> str:
    """Return what GitHub calls a heading in links."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
