"""Which group a product is in that says none itself, by what other rows of the file say.

Variants name their product (`parent_sku`), which itself names nothing; or the product names its
variants, as Salesforce's masters do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.column_names import plain

MOST: Final = 500_000
"""Skus in memory."""
_OF_PARENT: Final = re.compile(r".*(?:parent|master|vaterartikel|mainnumber|childof|subitemof).*")
"""Columns that name the group by its product; a number of a group is no sku."""
_IDS: Final = ("id", "productid", "itemid")
_NAMING: Final = ("variations",)
"""Columns in which a product names its variants by `product-id`."""
_ID: Final = "product-id"


@dataclass(frozen=True)
class ProductGroups:
    """The groups that were seen in a first pass over the rows."""

    sku: int
    group: int | None  # the column that names the parent by its sku
    naming: Sequence[int]  # columns of `_NAMING`
    _known: dict[str, str] = field(default_factory=dict)  # sku -> its group

    @classmethod
    def find(cls, names: Sequence[str], fields: Mapping[str, int]) -> ProductGroups | None:
        """Find the columns that say it; None for a table that has none."""
        naming = [at for at, name in enumerate(names) if plain(name) in _NAMING]
        group = fields.get("group_id")
        if group is not None and not _names_skus(names, group, fields["sku"]):
            group = None
        if group is None and not naming:
            return None
        return cls(fields["sku"], group, naming)

    def see(self, values: Sequence[Any]) -> None:
        """Note what a row says."""
        if len(self._known) >= MOST:
            return
        if self.group is not None and (group := as_text(values[self.group])):
            self._known.setdefault(group, group)
        for at in self.naming:
            if skus := [*_skus_in(values[at])]:
                own = as_text(values[self.sku])
                self._known.update(dict.fromkeys([own, *skus], own))

    def of(self, sku: str) -> str | None:
        """Return the group of a sku; None if no row says it."""
        return self._known.get(sku)


def _names_skus(names: Sequence[str], group: int, sku: int) -> bool:
    """Tell whether a column names parents by their sku, and not by an id in another column."""
    name = plain(names[group])
    ids = [at for at, each in enumerate(names) if plain(each) in _IDS and at != group]
    return bool(_OF_PARENT.fullmatch(name)) and not (name.endswith("id") and ids and sku not in ids)


def _skus_in(cell: Any) -> Iterator[str]:
    """Yield the skus of variants in a cell of an XML feed, at any depth.

    An element that holds nothing but its `product-id` is read as that text.
    """
    if not isinstance(cell, Mapping):
        return
    variants = cell.get("variants", cell)
    several = variants.get("variant") if isinstance(variants, Mapping) else None
    for each in several if isinstance(several, list) else [several]:
        found = each.get(_ID) if isinstance(each, Mapping) else each
        if isinstance(found, str) and found:
            yield found
