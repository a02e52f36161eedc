"""Category paths, such as `Clothing > Tops > Shirts`, and several of them in one cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from backend.catalogue.sources.presets import NAMES, Preset

_ARROW: Final = re.compile(r"[>›→]|->|=>|&gt;")  # noqa: RUF001 - as shops write it
_SLASH: Final = re.compile(r"[>/]")
_SIGNS: Final = re.compile(r"[>›»→|]|->|=>|&gt;|::|\s[/\\]\s")  # noqa: RUF001
"""What divides a path in any shop's table."""
_SLASHES: Final = re.compile(r"/|\\")
PATH: Final = re.compile(r"[>›»→]|->|=>|&gt;")  # noqa: RUF001
"""What stands in paths and hardly in a name."""
_DIVIDERS: Final = {
    **dict.fromkeys(("magento", "magento1", "ceneo"), _SLASH),
    "zencart": re.compile(r"[>^]"),
    "table": _SIGNS,
}
_KINDS: Final = frozenset(
    [
        *("product", "simple", "variable", "variation", "variant", "configurable", "physical"),
        *("product_variation", "parent", "child"),
    ]
)
"""What a column `type` says of a row, and is no category."""
_DIVIDER: Final = re.compile(r"[>/,|»›→\\^]|::")  # noqa: RUF001
"""What a path has between its categories, in every preset."""
_BETWEEN_PATHS: Final = ("\n", ";", "|", ",")
_ROOTS: Final = {
    *("default category", "root", "root catalog", "heureka.cz", "heureka.sk", "heureka"),
    *(
        "glami.cz",
        "glami.sk",
        "zbozi.cz",
        "all",
        "all products",
        "catalog",
        "catalogue",
        "каталог",
        "katalog",
    ),
}
"""The top of a shop's tree, which is no category of a product."""


def category_fields(preset: Preset, fields: dict[str, Any]) -> dict[str, Any]:
    """Split a category path into our three categories.

    Of several paths in one cell the deepest is taken.
    """
    text = fields.get("article_type")
    if not isinstance(text, str):
        return fields
    if preset.is_any_shops and text.lower() in _KINDS:
        return {**fields, "article_type": None}
    if not _is_divided(text):
        return fields
    names = _names(preset.name, preset.paths_end, text)
    if not names:
        return fields
    above = {
        "master_category": names[0] if len(names) > 1 else None,
        "sub_category": names[-2] if len(names) > 2 else None,
    }
    given = {name: value for name, value in above.items() if value and not fields.get(name)}
    return {**fields, **given, "article_type": names[-1]}


@lru_cache(maxsize=10_000)
def _is_divided(text: str) -> bool:
    return _DIVIDER.search(text) is not None


@lru_cache(maxsize=10_000)
def _names(preset: str, paths_end: str | None, text: str) -> Sequence[str]:
    """Return the categories of the deepest path, the uppermost first; the same cell comes often."""
    divider = _divider_of(preset, text)
    paths = _split_paths(text, paths_end) if paths_end else _paths(text, divider)
    split = [[part for part in map(str.strip, divider.split(path)) if part] for path in paths]
    return without_root(max(split, key=len))


def without_root(names: Sequence[str]) -> Sequence[str]:
    """Return the categories of a path without the top of the shop's tree."""
    return names[1:] if len(names) > 1 and names[0].lower() in _ROOTS else names


def _divider_of(preset: str, text: str) -> re.Pattern[str]:
    """Return what divides the path. In any shop's table a slash does if it divides three names.

    A slash between two names (`T-Shirts/Tops`) is usually part of one category.
    """
    divider = _DIVIDERS.get(preset, _ARROW if preset in NAMES else _SIGNS)
    if divider is _SIGNS and not _SIGNS.search(text):
        names = [name for name in _SLASHES.split(text) if name.strip()]
        return _SLASHES if len(names) > 2 or text.startswith(("/", "\\")) else _SIGNS
    return divider


def _paths(text: str, divider: re.Pattern[str]) -> Sequence[str]:
    """Return the paths in a cell: it has several if each part of it is a path.

    A comma stands in names too (`Coats, jackets > Parkas`), so it divides only paths that begin
    with the same category.
    """
    text = text.rstrip(";|, ")
    for sign in _BETWEEN_PATHS:
        parts = [part.strip() for part in text.split(sign) if part.strip()]
        if sign == "|" and len(parts) > 1 and any(map(PATH.search, parts)):
            return parts  # `Men > Tops | Sale`: the arrows divide the paths' names
        if len(parts) > 1 and all(map(divider.search, parts)):
            roots = {divider.split(part)[0].strip() for part in parts}
            if sign != "," or len(roots) == 1:
                return parts
    return [text]


def _split_paths(text: str, end: str) -> list[str]:
    """Split several category paths; a backslash stands before a comma within a name."""
    parts = re.split(rf"(?<!\\){re.escape(end)}", text)
    return [part.replace(f"\\{end}", end) for part in parts]
