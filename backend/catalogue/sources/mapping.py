"""How to read a shop's table where its header does not say it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from backend.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class FeedMapping:
    """Which of the shop's columns is which of our fields, and where the images lie."""

    columns: Mapping[str, str] = field(default_factory=dict)  # our field -> the shop's column
    decimal: str | None = None  # the separator of decimals in prices; None: as the column tells
    image: str | None = None  # template over the row, such as images/{sku:.3}/{sku}.jpg
    format: str | None = None  # a preset's name; None: recognised by the header
    delimiter: str | None = None  # of a CSV file; None: recognised
    encoding: str | None = None  # of a text file; None: recognised
    numeric: tuple[str, ...] = ()  # columns of attributes that are numbers
    image_folders: tuple[str, ...] = ("",)  # where the paths of a column begin, tried in order


DEFAULT_MAPPING: Final = FeedMapping()
"""The mapping of a table whose header uses our names, or those of styles.csv."""


def read_mapping(path: Path) -> FeedMapping:
    """Read a mapping from a TOML or JSON file with a table `map`, a list `numeric`, and texts.

    Raises ConfigurationError for any other content.
    """
    try:
        text = path.read_text("utf-8")
        loaded = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the mapping file {path}: {error}") from None
    return _checked(loaded, path)


def _checked(loaded: Any, path: Path) -> FeedMapping:
    texts = ("image", "decimal", "format", "delimiter", "encoding")
    problem = None
    if not isinstance(loaded, dict) or not set(loaded) <= {"map", "numeric", *texts}:
        names = ", ".join(f"`{name}`" for name in ("map", "numeric", *texts))
        problem = f"it can hold {names}, nothing else"
    elif not isinstance(loaded.get("map", {}), dict):
        problem = "`map` must be a table of field = column"
    elif not all(isinstance(column, str) for column in loaded.get("map", {}).values()):
        problem = "a column in `map` must be a string"
    elif not _is_list_of_texts(loaded.get("numeric", [])):
        problem = "`numeric` must be a list of columns"
    elif wrong := [name for name in texts if not isinstance(loaded.get(name, ""), str)]:
        problem = f"`{wrong[0]}` must be a string"
    elif loaded.get("decimal", ".") not in (".", ","):
        problem = "`decimal` must be . or ,"
    if problem:
        raise ConfigurationError(f"the mapping file {path}: {problem}")
    given = {name: loaded[name] for name in texts if name in loaded}
    if "delimiter" in given:
        given["delimiter"] = checked_delimiter(given["delimiter"])
    numeric = tuple(loaded.get("numeric", ()))
    return FeedMapping(columns=loaded.get("map", {}), numeric=numeric, **given)


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(it, str) for it in value)


def checked_delimiter(text: str) -> str:
    """Return a delimiter; `tab` is a tab. Raises ConfigurationError."""
    found = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(found) != 1 or found in '"\r\n\0':
        raise ConfigurationError(f"the delimiter must be one character, or `tab`, not {text!r}")
    return found
