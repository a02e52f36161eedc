"""Rows of Markdown tables from texts that were not written for them."""

from __future__ import annotations

import re
from typing import Final

_CODE: Final = re.compile(r"(`[^`]*`)")


def row(*cells: str) -> str:
    """Return one row: line ends, bars and angle brackets in a cell stay text."""
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    parts = _CODE.split(" ".join(text.split()).replace("|", "\\|"))
    return "".join(it if it.startswith("`") else it.replace("<", "&lt;") for it in parts)
