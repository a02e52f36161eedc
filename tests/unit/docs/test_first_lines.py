"""Each page of the manual says first, in a sentence, what it is for."""

from __future__ import annotations

import re

import pytest
from support.places import ROOT

PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
TITLE = re.compile(r"# .+\n\n")
NO_PROSE = ("```", "|", "- ", "* ", "#", "!", ">", "1. ", "    ")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_begins_with_a_title_and_then_a_sentence(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    title = TITLE.match(text)
    assert title
    assert not text[title.end() :].startswith(NO_PROSE)
    assert re.search(r"[.:?]\*{0,2}$", text[title.end() :].partition("\n")[0])
