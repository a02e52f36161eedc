"""The commands that documents show exist, with their options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import typer
from support.places import ROOT

from backend.cli import app

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md")
    for path in ROOT.glob(pattern)
    if path.name not in ("CHANGELOG.md", "DECISIONS.md")
)
BLOCK = re.compile(r"^ *```(?:sh|console)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"\s#\s.*$")
TARGET = re.compile(r"^([a-z-]+)(?: [a-z-]+)*:(?!=)", re.MULTILINE)
SHELL = {"|", ">", "<", "&", "&&", ";"}


def lines(document: str) -> Iterator[str]:
    """Yield each command of a document's blocks as one line, without its comment."""
    for block in BLOCK.findall((ROOT / document).read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            if not line.startswith((">", "#")):
                yield COMMENT.sub("", line.removeprefix("$ "))


def words_after(program: str, line: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of a program in a line, up to what the shell reads."""
    try:
        words = shlex.split(line)
    except ValueError:
        return  # a text over several lines
    for place, word in enumerate(words):
        first = all("=" in before for before in words[:place]) or words[place - 1] in SHELL
        if first and word.rpartition("/")[2] == program:
            after = words[place + 1 :]
            end = next((at for at, it in enumerate(after) if it in SHELL), len(after))
            yield after[:end]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_lookalike_command_and_its_options_exist(document: str) -> None:
    for line in lines(document):
        for words in words_after("lookalike", line):
            assert not fault_in(words), line


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_target_of_make_exists(document: str) -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    targets |= {f"test-{tier}" for tier in ("unit", "integration", "acceptance", "migration")}
    for line in lines(document):
        if line.startswith("make "):
            assert line.split()[1] in targets, line


def fault_in(words: Sequence[str]) -> str | None:
    """Return the word that the command line would not understand, if there is one."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while getattr(command, "commands", None) and rest and not rest[0].startswith(("-", "…")):
        if rest[0] not in command.commands:
            return rest[0]
        command = command.commands[rest.pop(0)]
    known = {"--help"} | {name for it in command.params for name in (*it.opts, *it.secondary_opts)}
    options = [word.partition("=")[0] for word in rest if word.startswith("--")]
    return next((name for name in options if name not in known), None)


@pytest.mark.parametrize("words", [["improt", "x"], ["import", "x", "--mapp", "y"], ["keys", "ls"]])
def test_a_wrong_command_is_seen(words: Sequence[str]) -> None:
    assert fault_in(words)


def test_the_readme_shows_commands() -> None:
    found = list(lines("README.md"))
    assert {"make demo", "make test"} <= {line.strip() for line in found}
    assert any(line.startswith("lookalike import") for line in found)
