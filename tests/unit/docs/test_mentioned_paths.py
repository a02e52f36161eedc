"""What the documents say about the code's places has to be true."""

from __future__ import annotations

import re

import pytest
from support.places import ROOT

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"
)
PLACE = re.compile(
    r"\b(?:backend|workers|migrations|tests|benchmarks|examples|docs)(?:/[\w.-]+)+/?"
)
DOTTED = re.compile(r"`((?:backend|workers)(?:\.\w+)+)")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


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
    assert not {link for link in links if not (folder / link).exists()}


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
