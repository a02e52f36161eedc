"""The rows of a feed -> products: each row checked, and all rows of one sku merged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from backend.catalogue.draft_attributes import sift_attributes
from backend.catalogue.draft_images import check_uri, image_ref
from backend.catalogue.drafts import Draft, parse
from backend.catalogue.import_memory import LastLines
from backend.catalogue.sources.feed import (
    FeedRow,
    ImageFile,
    Reject,
    RowWarning,
    Source,
    WarningKind,
    kind_of,
)
from backend.catalogue.texts import normalise_text
from backend.errors import InvalidProduct

Warnings: TypeAlias = tuple[tuple[int, str], ...]
"""The line and the text of each warning."""

MOST_HELD: Final = 20_000
"""Rows that wait in memory for a later row of the same sku."""

_ROW_BYTES: Final = 4_096
"""An image in memory counts as one more row for every so many bytes."""

_SHORTENED: Final = re.compile(r"[0-9]([.,][0-9]+)?[Ee]\+[0-9]+")
_LIKE_A_NUMBER: Final = "probably a number that a spreadsheet has shortened"
_POINT_ZERO: Final = ".0"
_WITH_DECIMALS: Final = re.compile(r"[0-9]+\.0")
_LIKE_A_FLOAT: Final = "probably a whole number that a program has written with decimals"

_KINDS: Final[Mapping[str, WarningKind]] = {
    "price": WarningKind.PRICE,
    "currency": WarningKind.PRICE,
    "in_stock": WarningKind.AVAILABILITY,
    "attributes": WarningKind.ATTRIBUTE,
    "image_uri": WarningKind.IMAGE,
}


@dataclass(kw_only=True, slots=True)  # not frozen, as in `feed`
class CheckedRow:
    """A product of a feed, from one row or from several of the same sku."""

    lines: tuple[int, ...]  # the last one is that of the row that counts most
    draft: Draft
    image: ImageFile | None
    warnings: Warnings
    further: tuple[ImageFile | str, ...] | None = None  # images beyond the first; None: as they are

    @property
    def sku(self) -> str:
        """The product's sku."""
        return self.draft.sku

    @property
    def has_image(self) -> bool:
        """Whether the rows name an image, here or elsewhere."""
        return self.image is not None or self.draft.image is not None


def read_rows(source: Source, last_lines: LastLines) -> Iterator[CheckedRow | Reject]:
    """Yield the products of a feed. Rows of one sku become one product at the last of them.

    A later cell counts more than an earlier one, unless it is empty or was left out. A row of
    which nothing is left is a reject, and so is a row that cannot be checked.
    """
    merger = _Merger(last_lines)
    for row in source.read():
        if isinstance(row, Reject):
            yield row
            continue
        try:
            checked = check_row(row)
        except InvalidProduct as error:
            yield Reject(row.line, row.sku, error.message)
            continue
        if last_lines.last(checked.sku) is None:
            yield checked
        else:
            yield from merger.take(checked)
    yield from merger.rest()


def check_row(row: FeedRow) -> CheckedRow:
    """Check a row's fields. What is wrong is left out with a warning, each attribute for itself.

    An attribute that is left out is also dropped from the stored product. A product that is new
    and whose availability cannot be read is not in stock. Raises InvalidProduct for a wrong sku.
    """
    draft = _checked_draft(row) if row.is_checked else None
    if draft and row.further is None and not (row.warnings or row.sku.endswith(_POINT_ZERO)):
        return CheckedRow(lines=(row.line,), draft=draft, image=row.image, warnings=())
    draft, wrong = (draft, []) if draft else _parse({**row.fields, "sku": row.sku})
    further, wrong_images = _check_further(row.further)
    warnings = [*row.warnings, *wrong, *wrong_images]
    if _SHORTENED.fullmatch(draft.sku):
        warnings.append(RowWarning(WarningKind.SKU, f"the sku {draft.sku}: {_LIKE_A_NUMBER}"))
    if draft.sku.endswith(_POINT_ZERO) and _WITH_DECIMALS.fullmatch(draft.sku):
        warnings.append(RowWarning(WarningKind.SKU, f"the sku {draft.sku}: {_LIKE_A_FLOAT}"))
    if "in_stock" not in draft.values and any(
        kind_of(warning) is WarningKind.AVAILABILITY for warning in warnings
    ):
        draft = replace(draft, if_new={"in_stock": False})
    return CheckedRow(
        lines=(row.line,),
        draft=draft,
        image=row.image,
        warnings=tuple((row.line, warning) for warning in warnings),
        further=further,
    )


def _checked_draft(row: FeedRow) -> Draft | None:
    """Return the draft of a row whose fields are checked; None where the image's address is odd."""
    uri = row.fields.get("image_uri")
    if uri is None:
        return Draft(sku=row.sku, values=row.fields)
    try:
        image = image_ref(check_uri(normalise_text(uri)))
    except ValueError:
        return None
    values = {name: value for name, value in row.fields.items() if name != "image_uri"}
    return Draft(sku=row.sku, values=values, image=image)


def _parse(fields: Mapping[str, Any]) -> tuple[Draft, list[RowWarning]]:
    try:
        return parse(fields), []
    except InvalidProduct as error:
        wrong = {each["field"]: each["reason"] for each in error.context["errors"]}
    if "sku" in wrong:
        raise InvalidProduct(f"sku: {wrong['sku']}")
    warnings: list[RowWarning] = []
    rest = {name: value for name, value in fields.items() if name not in wrong}
    attributes = fields.get("attributes")
    if "attributes" in wrong and isinstance(attributes, Mapping):
        del wrong["attributes"]
        rest["attributes"], reasons = sift_attributes(attributes)
        for name, reason in reasons.items():
            text = f"attribute {name[:80]}: {reason}; left out"
            warnings.append(RowWarning(WarningKind.ATTRIBUTE, text))
    for name, reason in wrong.items():
        kind = _KINDS.get(name, WarningKind.VALUE)
        warnings.append(RowWarning(kind, f"{name}: {reason}; left out"))
    return parse(rest), warnings


def _check_further(
    images: tuple[ImageFile | str, ...] | None,
) -> tuple[tuple[ImageFile | str, ...] | None, list[RowWarning]]:
    """Return the images whose addresses can be stored, and a warning for each other."""
    if not images:
        return images, []
    kept: list[ImageFile | str] = []
    warnings = []
    for image in images:
        try:
            kept.append(check_uri(image) if isinstance(image, str) else image)
        except ValueError as wrong:
            warnings.append(RowWarning(WarningKind.IMAGE, f"{image}: {wrong}; left out"))
    return tuple(kept), warnings


class _Merger:
    """Holds rows whose sku comes again, until its last row."""

    def __init__(self, last_lines: LastLines) -> None:
        self._last_lines = last_lines
        self._held: dict[str, CheckedRow] = {}
        self._weight = 0

    def take(self, row: CheckedRow) -> Iterator[CheckedRow | Reject]:
        """Yield the row, merged with what was held, if no other row of its sku follows."""
        last = self._last_lines.last(row.sku)
        if (earlier := self._held.pop(row.sku, None)) is not None:
            self._weight -= _weight(earlier)
            if _gives_nothing(earlier, row):
                yield from _rejects(earlier, f"line {last} has the same sku")
            else:
                row = merge_rows(earlier, row)
        if row.lines[-1] == last:
            yield row
            return
        self._held[row.sku] = row
        self._weight += _weight(row)
        while self._weight > MOST_HELD:
            yield from self._forget_oldest()

    def rest(self) -> Iterator[CheckedRow]:
        """Yield the products whose last row turned out to be a reject."""
        yield from self._held.values()

    def _forget_oldest(self) -> Iterator[Reject]:
        row = self._held.pop(next(iter(self._held)))
        self._weight -= _weight(row)
        last = self._last_lines.last(row.sku)
        return _rejects(
            row, f"line {last} has the same sku, and too many rows lie between to merge the two"
        )


def _weight(row: CheckedRow) -> int:
    images = [row.image, *(row.further or ())]
    return 1 + sum(it.held for it in images if isinstance(it, ImageFile)) // _ROW_BYTES


def _rejects(row: CheckedRow, reason: str) -> Iterator[Reject]:
    return (Reject(line, row.sku, reason) for line in row.lines)


def _gives_nothing(earlier: CheckedRow, later: CheckedRow) -> bool:
    """Tell whether the later row has a value for everything that the earlier row gives."""
    if earlier.has_image and not later.has_image:
        return False
    if earlier.further and not later.further:
        return False
    return _names(earlier.draft) <= _names(later.draft)


def _names(draft: Draft) -> set[tuple[str, str]]:
    """Return the names of the fields and attributes that a draft has a value for."""
    attributes = draft.values.get("attributes") or {}
    return {
        *(("field", name) for name in _given(draft.values) if name != "attributes"),
        *(("attribute", name) for name in _given(attributes)),
    }


def merge_rows(earlier: CheckedRow, later: CheckedRow) -> CheckedRow:
    """Lay a row over an earlier one; its empty cells do not count."""
    under, over = earlier.draft.values, later.draft.values
    values = {**over, **_given(under), **_given(over)}
    if "attributes" in values:
        below, above = under.get("attributes") or {}, over.get("attributes") or {}
        values["attributes"] = {**below, **above, **_given(below), **_given(above)}
    newest = later if later.has_image else earlier
    warnings = earlier.warnings + later.warnings
    if newest.has_image:
        warnings = tuple(each for each in warnings if kind_of(each[1]) is not WarningKind.NO_IMAGE)
    return CheckedRow(
        lines=earlier.lines + later.lines,
        draft=replace(
            later.draft,
            values=values,
            image=newest.draft.image,
            if_new={**earlier.draft.if_new, **later.draft.if_new},
        ),
        image=newest.image,
        warnings=warnings,
        further=later.further or earlier.further,
    )


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
