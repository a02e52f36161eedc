"""The categories of a table's rows: a path in one cell, or columns of levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.catalogue.sources.categories import category_fields
from backend.catalogue.sources.category_levels import CategoryLevels
from backend.catalogue.sources.column_names import plain
from backend.catalogue.sources.presets import Preset


@dataclass(frozen=True)
class RowCategories:
    """How the categories of a table's rows are found."""

    preset: Preset
    levels: CategoryLevels | None
    may_be_paths: bool  # the category's cells

    @classmethod
    def find(
        cls,
        preset: Preset,
        names: Sequence[str],
        fields: Mapping[str, int],
        given: Mapping[str, str],
    ) -> RowCategories:
        """Find them by the names of the columns.

        `fields` are the columns of our fields, `given` those that the operator has named.
        """
        if not preset.is_any_shops:
            return cls(preset, None, may_be_paths=True)
        levels = CategoryLevels.find(names, fields, given)
        at = fields.get("article_type")
        is_our_name = at is not None and plain(names[at]) == "articletype"
        is_there = at is not None or levels is not None
        is_free = not is_our_name and "article_type" not in given
        return cls(preset, levels, may_be_paths=is_there and is_free)

    def described(self) -> dict[str, int]:
        """Return which of our fields is read from which column of levels."""
        return self.levels.described() if self.levels else {}

    def apply(self, values: Sequence[Any], fields: dict[str, Any]) -> dict[str, Any]:
        """Return a row's fields with its category path divided, or with its levels."""
        if self.levels and (path := self.levels.deepest_path(values)):
            fields = {**fields, "article_type": path}
        if self.may_be_paths:
            fields = category_fields(self.preset, fields)
        return self.levels.apply(values, fields) if self.levels else fields
