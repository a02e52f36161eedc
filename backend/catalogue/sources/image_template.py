"""Where a row's image lies: a path with the row's own values in it."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.columns import Columns
from backend.catalogue.sources.csv_dialect import Header
from backend.errors import ConfigurationError


class Template:
    """The path of a row's image, as a format string over our fields and the shop's columns.

    Only plain names with a format are allowed: `{sku.__class__}` would give access to Python.
    """

    def __init__(self, text: str, header: Header, columns: Columns) -> None:
        start = text.partition("{")[0]
        self.base = start.rpartition("/")[0]
        self._text = text[len(self.base) + 1 :] if self.base else text
        self._positions = {name: at for at, name in enumerate(header.columns)}
        self._positions |= columns.fields
        self._check()
        self._one_cell = self._find_one_cell()

    def fill(self, values: Sequence[Any]) -> str:
        """Return the path of a row's image, below `base`."""
        if self._one_cell is not None:
            before, position, behind = self._one_cell
            return f"{before}{as_text(values[position])}{behind}"
        return self._text.format_map(_Values(values, self._positions))

    def _find_one_cell(self) -> tuple[str, int, str] | None:
        """Return the parts of a template such as `{sku}.jpg`, as most are; None for any other."""
        parts = list(string.Formatter().parse(self._text))
        named = [(text, name) for text, name, spec, _ in parts if name is not None and not spec]
        if len(named) != 1 or parts[0][1] is None or len(parts) > 2:
            return None
        behind = parts[1][0] if len(parts) > 1 else ""
        if len(parts) > 1 and parts[1][1] is not None:
            return None
        ((before, name),) = named
        return before, self._positions[name], behind

    def _check(self) -> None:
        try:
            names = list(string.Formatter().parse(self._text))
        except ValueError as error:
            raise ConfigurationError(f"the image template: {error}") from None
        for _, name, spec, conversion in names:
            if name is not None and (name not in self._positions or "{" in (spec or "")):
                known = ", ".join(self._positions)
                raise ConfigurationError(f"the image template has {{{name}}}; there are: {known}")
            if conversion:
                raise ConfigurationError("the image template takes no conversions such as !r")


class _Values(dict[str, Any]):
    """The values of one record by name, stripped when they are read."""

    def __init__(self, values: Sequence[Any], positions: Mapping[str, int]) -> None:
        super().__init__()
        self._values, self._positions = values, positions

    def __missing__(self, name: str) -> str:
        return as_text(self._values[self._positions[name]])
