"""Recognise, by its first bytes, what kind of file was given instead of a catalogue."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from pathlib import Path
from typing import Final

from backend.catalogue.sources.encodings import find_format
from backend.errors import UnreadableCatalogue

HEAD: Final = 512  # bytes
_AS_CSV: Final = "export it as CSV"
_UNPACK: Final = "unpack it"
_KINDS: Final = (
    (b"%PDF-", "a PDF document", _AS_CSV),
    (b"SQLite format 3\0", "an SQLite database", _AS_CSV),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an old Excel file (XLS) or an encrypted workbook",
        "save it as XLSX or CSV",
    ),
    (b"\xff\xd8\xff", "a JPEG image", "name the table of the products"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", "name the table of the products"),
    (b"GIF8", "a GIF image", "name the table of the products"),
    (b"II*\0", "a TIFF image", "name the table of the products"),
    (b"MM\0*", "a TIFF image", "name the table of the products"),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"BZh", "a file packed with bzip2", _UNPACK),
    (b"\xfd7zXZ\0", "a file packed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a file packed with Zstandard", _UNPACK),
    (b"ORC", "an ORC file", "export it as Parquet or CSV"),
    (b"Obj\x01", "an Avro file", "export it as Parquet or CSV"),
    (b"ARROW1", "an Arrow (Feather) file", "export it as Parquet or CSV"),
    (b"{\\rtf", "an RTF document", _AS_CSV),
    (b"PK\3\4", "a zip that is cut off or damaged", "make it again"),
    (b"\x1f\x8b", "a gzip within a gzip", _UNPACK),
    (b"\x04\x22\x4d\x18", "a file packed with LZ4", _UNPACK),
    (b"PARE", "an encrypted Parquet file", "write it without encryption"),
    (b"\x89HDF\r\n", "an HDF5 file", "export it as Parquet or CSV"),
    (b"\x93NUMPY", "an array of NumPy", "export it as Parquet or CSV"),
    (b"\x80\4\x95", "a pickle of Python", "export it as Parquet or CSV"),
    (b"\x80\5\x95", "a pickle of Python", "export it as Parquet or CSV"),
    (b"\0\1\0\0Standard ", "a database of Access", _AS_CSV),
    (b"bplist00", "a property list of Apple", _AS_CSV),
    (b"%!PS", "a PostScript document", _AS_CSV),
    (b"\xff\x0a", "a JPEG XL image", "name the table of the products"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image", "name the table of the products"),
    (b"\x7fELF", "a program", "name the table of the products"),
)
_OFFICE: Final = (  # members of a zip -> what it is
    ("xl/workbook.bin", "an XLSB workbook"),
    ("word/document.xml", "a Word document"),
    ("ppt/presentation.xml", "a PowerPoint presentation"),
)
_PROLOGUE: Final = re.compile(rb"\s*(?:<\?.*?\?>|<!--.*?-->)", re.DOTALL)
_ROOT: Final = re.compile(rb"\s*<!?(?:[\w.-]+:)?([\w.-]+)(?:\s+html)?")
_PAGE: Final = ("an HTML page", "download the feed itself; a login page may be in its place")
_ROOTS: Final = {  # the root of an XML or HTML file -> what it is
    **dict.fromkeys((b"html", b"head", b"body"), _PAGE),
    b"workbook": ("an Excel spreadsheet in XML", _AS_CSV),
    b"svg": ("an SVG image", "name the table of the products"),
    b"urlset": ("a sitemap", "name the feed of the products"),
    b"sitemapindex": ("a sitemap", "name the feed of the products"),
}


def check_regular(path: Path) -> None:
    """Raise UnreadableCatalogue for what is neither a folder nor a regular file.

    Nothing is opened: opening a FIFO waits for its other end.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        link = " (a symlink that leads nowhere)" if path.is_symlink() else ""
        raise UnreadableCatalogue(f"there is no file or folder {path}{link}") from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableCatalogue(f"{path}: {reason}") from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kind = "a FIFO" if stat.S_ISFIFO(mode) else "a device or a socket"
        raise UnreadableCatalogue(f"{path} is {kind}, not a file: a catalogue is read twice")
    if not os.access(path, os.R_OK):
        raise UnreadableCatalogue(f"{path}: no permission to read it")


def check_table(name: str, head: bytes) -> None:
    """Raise UnreadableCatalogue, which names the kind of file, if it is no table."""
    if not head:
        raise UnreadableCatalogue(f"{name}: the file is empty")
    for magic, kind, hint in _KINDS:
        if head.startswith(magic):
            _refuse(name, kind, hint)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        _refuse(name, "a WebP image", "name the table of the products")
    if head[4:8] == b"ftyp":
        _refuse(name, "an image or a film (HEIC, AVIF, MP4)", "name the table of the products")
    if head[257:262] == b"ustar":
        _refuse(name, "a tar archive", "unpack it, or make a zip")
    if known := _ROOTS.get(_root(head)):
        _refuse(name, *known)
    if head[:2] == b"BM" and b"\0" in head[:16]:
        _refuse(name, "a BMP image", "name the table of the products")


def check_text(name: str, head: bytes) -> None:
    """Raise UnreadableCatalogue if a file's beginning is no text in any encoding."""
    if is_likely_binary(head):
        _refuse(name, "a binary file of an unknown kind", _AS_CSV)


def check_zip(archive: zipfile.ZipFile, name: str) -> None:
    """Raise UnreadableCatalogue for an office document, or a zip of which all is encrypted."""
    members = set(archive.namelist())
    for member, kind in _OFFICE:
        if member in members:
            _refuse(name, kind, _AS_CSV)
    if "mimetype" in members and "content.xml" in members:
        _refuse(name, "an OpenDocument file that is no spreadsheet", _AS_CSV)


def _root(head: bytes) -> bytes:
    """Return the name of the first element of XML or HTML, in small letters; empty for others."""
    at, text = 0, head.removeprefix(b"\xef\xbb\xbf")
    while skipped := _PROLOGUE.match(text, at):
        at = skipped.end()
    rest = text[at:].lstrip().lower()
    if rest.startswith(b"<!doctype html"):
        return b"html"
    found = _ROOT.match(rest)
    return found[1] if found else b""


def is_likely_binary(head: bytes) -> bool:
    """Tell whether bytes are no text in any encoding: many control characters."""
    if find_format(head).encoding != "utf-8":  # UTF-16 has many bytes that look like them
        return False
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1b\0" for byte in head)
    return control * 10 > len(head)


def _refuse(name: str, kind: str, hint: str) -> None:
    raise UnreadableCatalogue(f"{name}: this is {kind}; {hint}")
