"""Columns whose names hold more than a name: hints, such as `sku (required)`, and languages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from backend.catalogue.sources.column_names import match, plain
from backend.catalogue.sources.further_names import FURTHER_NAMES
from backend.catalogue.sources.image_columns import columns_of_images, is_numbered
from backend.catalogue.sources.mapping import FeedMapping
from backend.errors import UnreadableCatalogue

_MOST_LANGUAGES: Final = 5
_HINT: Final = re.compile(r"\s*\([^()]*\)|（[^（）]*）|\[\w+=[^\[\]]*\]|\s\[[^\[\]]*\]")  # noqa: RUF001 - Chinese
_WITHOUT_TAX: Final = re.compile(
    r"税抜|\((?:[^()]*\b)?"
    r"(?:excl?|exkl|ex|without|net|netto|hors|ht|sin|senza|bez|ohne)\b",
    re.IGNORECASE,
)
_LANGUAGE: Final = re.compile(
    r"[-_.:@# \[(](?:en|de|fr|es|it|nl|pl|cs|sk|sv|da|fi|nb|pt|ro|hu|bg|el|tr|ru|uk|ja|zh|ko|ar|he)"
    r"(?:[-_][A-Za-z]{2})?[\])]?(?:-[a-z]+)?$"
)
"""A language, maybe with a country and a channel, at the end of a name."""
_LANGUAGE_BEFORE: Final = re.compile(
    r"^(?:EN|DE|FR|ES|IT|NL|PL|CS|SK|SV|DA|FI|NB|PT|RO|HU|US|UK)_(?=[A-Z][a-z])"
)
"""A language or a country before a name, as `NL_Title_Short`."""


def columns_by_bare_names(
    names: Sequence[str], mapping: FeedMapping, *, is_any_shops: bool
) -> dict[str, str]:
    """Find columns whose names hold more than a name (`_bare_names`), and columns of images."""
    found: dict[str, str] = {}
    for bare in _bare_names(names):
        found = _by_names(names, bare, found, is_any_shops=is_any_shops)
    found |= _by_languages(names, {**found, **mapping.columns}, is_any_shops=is_any_shops)
    bare = next(_bare_names(names), list(names))
    images = next(columns_of_images(names, bare), None)
    if images and "image_uri" not in found and not mapping.image:
        known = _fields(names, {"sku": names[0]}, is_any_shops and is_numbered(images))
        if "image_uri" not in known:
            found["image_uri"] = images
    taken = set(mapping.columns.values())
    return {field: column for field, column in found.items() if column not in taken}


def _bare_names(names: Sequence[str]) -> Iterator[list[str]]:
    """Yield names without hints in parentheses, `sku (required)`, then by each of their languages.

    That is for headers such as `Artikelnummer / SKU`; nothing is yielded where all names are bare.
    """
    bare = _without_hints(names)
    if bare != list(names):
        yield bare
    parts = [re.split(r"\s+[/|]\s+", name) for name in bare]
    for at in range(min(max(map(len, parts), default=1), _MOST_LANGUAGES)):
        if any(len(each) > 1 for each in parts):
            yield [each[min(at, len(each) - 1)] for each in parts]


def _without_hints(names: Sequence[str]) -> list[str]:
    """Return names without what stands in parentheses.

    Of `Price (tax excl.)` and `Price (tax incl.)` only the second becomes `Price`.
    """
    bare = [_HINT.sub("", name) for name in names]
    with_tax = {
        short for name, short in zip(names, bare, strict=True) if not _WITHOUT_TAX.search(name)
    }
    return [
        name if _WITHOUT_TAX.search(name) and short in with_tax else short
        for name, short in zip(names, bare, strict=True)
    ]


def _by_languages(
    names: Sequence[str], found: Mapping[str, str], *, is_any_shops: bool
) -> dict[str, str]:
    """Find columns that say their language, `name-en_US`, for fields that have no other column.

    Of several languages the first counts.
    """
    bare = [_LANGUAGE.sub("", _LANGUAGE_BEFORE.sub("", name)) for name in names]
    if bare == list(names):
        return {}
    known = _fields(names, found, is_any_shops)
    added = _fields(bare, {}, is_any_shops)
    return {
        field: names[at]
        for field, at in added.items()
        if field not in known and at not in known.values()
    }


def _by_names(
    names: Sequence[str], bare: Sequence[str], found: Mapping[str, str], *, is_any_shops: bool
) -> dict[str, str]:
    """Add to `found` the columns that bare names tell; a column that its own name tells stays."""
    here = {field: names[at] for field, at in _fields(bare, {}, False).items()}
    added = {**here, **found}
    if is_any_shops:
        there = _fields(names, added, True)
        further = _fields(bare, {}, True)
        if "sku" not in added and _is_rather(bare, further, names, there):
            there = {field: at for field, at in there.items() if field != "sku"}
        added |= {field: names[at] for field, at in further.items() if field not in there}
    return added


def _is_rather(
    bare: Sequence[str], further: Mapping[str, int], names: Sequence[str], there: Mapping[str, int]
) -> bool:
    """Tell whether the sku of the bare names is rather one: `code[unique=true]` beside `ean`."""
    known = [*map(plain, FURTHER_NAMES["sku"])]
    found = [
        known.index(name)
        for each, fields in ((bare, further), (names, there))
        if "sku" in fields and (name := plain(each[fields["sku"]])) in known
    ]
    return len(found) == 2 and found[0] < found[1]


def _fields(
    names: Sequence[str], given: Mapping[str, str], is_any_shops: bool
) -> Mapping[str, int]:
    """Return where the columns of our fields are; nothing for a table without a sku."""
    with suppress(UnreadableCatalogue):
        return match(names, given, is_any_shops=is_any_shops).fields
    return {}
