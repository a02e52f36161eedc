"""Drawings: files beside the text, so that a code host shows them; parts of the page in the manual.

A file has a style of its own for readers of the file. In the manual assets/manual.css has the same
classes in the colours of the page, which a reader can change.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from manual.places import ROOT

_FIGURE: Final = re.compile(r'<p><img alt="([^"]*)" src="(figures/[\w-]+\.svg)" ?/?></p>')
_STYLE: Final = re.compile(r"<style>.*?</style>\s*", re.DOTALL)


def inline(html: str, place: str) -> str:
    """Return a page with its drawings in place of the images that name them."""
    folder = ROOT / "docs" / PurePosixPath(place).parent

    def drawn(image: re.Match[str]) -> str:
        drawing = _STYLE.sub("", (folder / image[2]).read_text(encoding="utf-8"))
        return f"<figure>{drawing}<figcaption>{image[1]}.</figcaption></figure>"

    return _FIGURE.sub(drawn, html)
