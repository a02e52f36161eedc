"""The tree of categories above the offers of a feed, as Yandex Market's YML has it.

`<category id="2" parentId="1">Shoes</category>` stands above the offers, which name it by its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

CATEGORY_IDS: Final = ("categoryId", "classification-category")  # of Yandex, of Salesforce
PATH: Final = "category_path"
DEEPEST: Final = 10
MOST: Final = 100_000  # categories in memory


class CategoryTree:
    """The categories read so far."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str | None]] = {}  # id -> name, id of the parent
        self._attributes: Mapping[str, str] | None = None  # of the category that is open
        self._text = ""

    def begin(self, attributes: Mapping[str, str]) -> None:
        """Begin a category."""
        self._attributes, self._text = attributes, ""

    def add(self, text: str) -> None:
        """Add text to the name of the category that is open."""
        if self._attributes is not None and len(self._text) < 1_000:
            self._text += text

    def end(self) -> None:
        """End the category that is open, if there is one."""
        if self._attributes is None:
            return
        number = self._attributes.get("id", self._attributes.get("category-id"))
        name = self._text.strip()
        if number and name and len(self._known) < MOST:
            self._known[number] = name, self._attributes.get("parentId")
        self._attributes = None

    def path(self, number: Any) -> dict[str, str]:
        """Return the path of a category as the value `PATH`; nothing if it is not known."""
        names: list[str] = []
        while isinstance(number, str) and number in self._known and len(names) < DEEPEST:
            name, number = self._known[number]
            names.append(name)
        return {PATH: " > ".join(reversed(names))} if names else {}
