"""`.env.example` documents every setting, in the order and with the defaults of the code."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from support.env_example import COMPOSE, EXAMPLE, SECTION, VARIABLE, documented, name_of

from backend.settings import Settings

FIELD = re.compile(r"    ([a-z][a-z0-9_]*):")


def in_the_code() -> dict[str, list[str]]:
    """The settings by section, in the order of the source."""
    sections: dict[str, list[str]] = {}
    for line in inspect.getsource(Settings).splitlines():
        if heading := SECTION.match(line):
            sections[heading[1]] = []
        elif (field := FIELD.match(line)) and field[1] in Settings.model_fields:
            sections[list(sections)[-1]].append(name_of(field[1]))
    return sections


def test_the_source_is_read_completely() -> None:
    names = [name for section in in_the_code().values() for name in section]
    assert names == [name_of(field) for field in Settings.model_fields]


def test_the_example_lists_every_setting_and_no_other_under_its_section() -> None:
    sections = documented()
    assert sections.pop(COMPOSE)
    assert list(sections.items()) == list(in_the_code().items())


def test_uncommenting_every_line_changes_no_default(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings whose default is None show an example instead and are left out."""
    monkeypatch.chdir(tmp_path)
    defaults = Settings(_env_file=None)  # type: ignore[call-arg]
    without = {name_of(field) for field, value in defaults if value is None}
    lines = [
        line.removeprefix("#")
        for line in EXAMPLE.read_text(encoding="utf-8").splitlines()
        if (variable := VARIABLE.match(line)) and variable[1] not in without
    ]
    Path(".env").write_text("\n".join(lines), encoding="utf-8")
    assert Settings() == defaults


def test_each_variable_is_explained_above_it() -> None:
    """A comment stands above each variable, or above the run of variables that it begins."""
    paragraph = True
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if VARIABLE.match(line):
            assert paragraph, f"{line} has no explanation"
        elif line.startswith("# ") and not SECTION.match(line):
            paragraph = True
        else:
            paragraph = False
