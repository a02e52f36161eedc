"""The pictures of a sheet: those above its cells, and those that lie in cells.

The first are drawings (ECMA-376, 20.5), the second rich values (MS-XLSX 2.6.207).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final
from xml.etree import ElementTree as ET

from backend.catalogue.sources.workbook_xml import Place, bare, parsed, relation, relations

_METADATA: Final = "xl/metadata.xml"
_RICH: Final = "xl/richData"
_LOCAL_IMAGE: Final = "_rvRel:LocalImageIdentifier"
_USUAL_HEIGHT: Final = 15.0  # points
_EMU: Final = 12_700  # of a point


def above_cells(
    parts: zipfile.ZipFile, sheet: str, heights: Mapping[int, float]
) -> Iterator[tuple[Place, str]]:
    """Yield the pictures that lie above the cells of a sheet, each with its cell."""
    targets = relations(parts, sheet)
    drawings = [name for name in targets.values() if "/drawings/drawing" in name]
    for drawing in dict.fromkeys(drawings):
        media = relations(parts, drawing)
        for anchor in parsed(parts, drawing):
            place = place_of_anchor(anchor, heights)
            for blip in anchor.iter():
                named = bare(blip.tag) == "blip" and relation(blip, "embed")
                if place and named and named in media:
                    yield place, media[named]


def place_of_anchor(anchor: ET.Element, heights: Mapping[int, float]) -> Place | None:
    """Return the cell of a picture: that of its corner, or the one below it.

    People move pictures by hand. One that begins in the lower half of a row and ends below it
    belongs to the next row.
    """
    places: dict[str, dict[str, int]] = {}
    for corner in anchor:
        if bare(corner.tag) in ("from", "to"):
            numbers = {bare(each.tag): int(each.text or 0) for each in corner}
            places[bare(corner.tag)] = numbers
    if "from" not in places:
        return None
    row, column = places["from"].get("row", 0) + 1, places["from"].get("col", 0) + 1
    height = heights.get(row, _USUAL_HEIGHT) * _EMU
    is_low = places["from"].get("rowOff", 0) * 2 > height
    ends_below = places.get("to", {}).get("row", 0) + 1 > row
    return (row + 1 if is_low and ends_below else row), column


def in_cells(parts: zipfile.ZipFile, rich: Mapping[Place, int]) -> Iterator[tuple[Place, str]]:
    """Yield the pictures that lie in cells, as rich values."""
    if not rich or _METADATA not in parts.namelist():
        return
    members = _members_of_rich_values(parts)
    metadata = parsed(parts, _METADATA)
    blocks = {bare(it.tag): [bk for bk in it if bare(bk.tag) == "bk"] for it in metadata}
    values = [_number(bk, "rc", "v") for bk in blocks.get("valueMetadata", [])]
    indexes = [_number(bk, "rvb", "i") for bk in blocks.get("futureMetadata", [])]
    for place, number in rich.items():
        with suppress(IndexError, KeyError, TypeError):
            yield place, members[indexes[values[number - 1]]]


def _number(block: ET.Element, name: str, attribute: str) -> Any:
    found = (it for it in block.iter() if bare(it.tag) == name)
    return next((int(it.get(attribute, "0")) for it in found), None)


def _members_of_rich_values(parts: zipfile.ZipFile) -> dict[int, str]:
    """Return the members of the zip that hold the pictures of rich values, by their numbers."""
    structures = [
        [key.get("n") for key in structure]
        for structure in parsed(parts, f"{_RICH}/rdrichvaluestructure.xml")
    ]
    listed = f"{_RICH}/richValueRel.xml"
    targets = relations(parts, listed)
    media = [targets.get(relation(it)) for it in parsed(parts, listed)]
    found = {}
    for at, value in enumerate(parsed(parts, f"{_RICH}/rdrichvalue.xml")):
        keys = structures[int(value.get("s", "0"))]
        if _LOCAL_IMAGE in keys:
            which = int(value[keys.index(_LOCAL_IMAGE)].text or 0)
            if member := media[which]:
                found[at] = member
    return found
