"""The parts of an XLSX workbook as XML: what they name, and where (ECMA-376, part 2)."""

from __future__ import annotations

import posixpath
import re
import zipfile
from typing import Final, TypeAlias
from xml.etree import ElementTree as ET

Place: TypeAlias = tuple[int, int]
"""(row, column) of a cell, both from 1."""

DECLARES: Final = b"<!DOCTYPE"
"""No spreadsheet program declares a document type; with one, a small file can become gigabytes."""
_CELL: Final = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_LARGEST: Final = 10_000_000  # bytes of a part that is parsed at once: it takes 30 times as many


class LargePart(Exception):
    """A part has too many bytes to be parsed at once."""


def parsed(parts: zipfile.ZipFile, name: str) -> ET.Element:
    """Return the root of a part. Raises LargePart, KeyError, ValueError or ParseError."""
    if (size := parts.getinfo(name).file_size) > _LARGEST:
        raise LargePart(f"{name} has {size:,} bytes, more than {_LARGEST:,}")
    data = parts.read(name)
    if DECLARES in data:
        raise ValueError(f"{name} declares a document type")
    return ET.fromstring(data)  # noqa: S314 - nothing is declared in it


def relations(parts: zipfile.ZipFile, name: str) -> dict[str, str]:
    """Return the members that a part names, by the ids that it has for them."""
    folder, base = posixpath.split(name)
    listed = f"{folder}/_rels/{base}.rels"
    if listed not in parts.namelist():
        return {}
    return {
        it.get("Id", ""): posixpath.normpath(posixpath.join("/", folder, it.get("Target", "")))[1:]
        for it in parsed(parts, listed)
        if it.get("TargetMode") != "External"
    }


def relation(element: ET.Element, name: str = "id") -> str:
    """Return the id of a relation: an attribute in the namespace of relations."""
    found = (value for key, value in element.attrib.items() if key.endswith(f"}}{name}"))
    return next(found, "")


def bare(tag: str) -> str:
    """Return the name of an element without its namespace."""
    return tag.rpartition("}")[2]


def place(ref: str) -> Place | None:
    """Return (row, column) of a reference such as B12; None for any other text."""
    if not (found := _CELL.fullmatch(ref)):
        return None
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(found[2]), column
