"""The text of an XML feed, made ready for a strict parser: in UTF-8, without its usual faults."""

from __future__ import annotations

import codecs
import re
from typing import Final

from backend.catalogue.sources.encodings import (
    LOST_NOTE,
    TITLES,
    checked_encoding,
    find_format,
    mended_utf_8,
    single_byte_encoding,
)
from backend.catalogue.sources.legacy_text import legacy_encoding
from backend.errors import ConfigurationError, UnreadableCatalogue

_DECLARED: Final = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)[\"']")
_BY_START: Final = (  # the first bytes -> the encoding
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_FORBIDDEN: Final = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF], " ")
_CDATA: Final = re.compile(r"<!\[CDATA\[|\]\]>")
_WRONG_AND: Final = re.compile(r"&(?!#[0-9]{1,7};|#x[0-9A-Fa-f]{1,6};|[A-Za-z_:][\w.:-]{0,60};)")
_NUMBER: Final = re.compile(r"&#(x[0-9A-Fa-f]{1,6}|[0-9]{1,7});")
_UNFINISHED: Final = re.compile(r"(?:&[^;<>&\s]{0,64}|<!?\[?[CDAT]{0,5}\[?|\]\]?)\Z")
"""What may be the beginning of a reference or of a mark of CDATA, at the end of a chunk."""


class XmlText:
    """Turns the chunks of an XML file into UTF-8.

    Characters that XML forbids become blanks, and an `&` that begins no reference stands for
    itself. `note` says what was wrong with the encoding. Raises UnreadableCatalogue for an
    encoding that does not exist, ConfigurationError if the operator has named it.
    """

    def __init__(self, head: bytes, *, encoding: str | None = None) -> None:
        self.note: str | None = None
        self._encoding = checked_encoding(encoding) if encoding else _find_encoding(head)
        if not encoding and (legacy := _legacy(head, self._encoding)):
            self._encoding = legacy
            self.note = f"the file is not UTF-8; read as {TITLES[legacy]}. --encoding overrides it"
        self._is_utf_8 = self._encoding in ("utf-8", "utf-8-sig")
        self._fallback = single_byte_encoding(head)
        errors = "surrogateescape" if self._is_utf_8 else "replace"
        self._decoder = codecs.getincrementaldecoder(self._encoding)(errors=errors)
        self._is_first, self._is_cdata, self._rest = True, False, ""

    def translate(self, chunk: bytes, *, is_last: bool) -> bytes:
        """Return the next chunk. Blank lines above the XML declaration are left out."""
        text = self._decoder.decode(chunk, is_last)
        if self._is_utf_8 and (mended := mended_utf_8(text, self._fallback)) != text:
            text, title = mended, TITLES[self._fallback]
            self.note = self.note or f"UTF-8 in parts only; the rest is read as {title}"
        if self.note is None and "\N{REPLACEMENT CHARACTER}" in text:
            not_in = f"some characters are not in {self._encoding}, which the file should be in"
            self.note = f"the file {LOST_NOTE}" if self._is_utf_8 else not_in
        text = self._rest + text.translate(_FORBIDDEN)
        if self._is_first:
            text = text.lstrip("\ufeff \t\r\n")
            self._is_first = not text
        end = len(text) if is_last else _end_of_whole(text)
        self._rest = text[end:]
        return self._mended(text[:end]).encode(errors="replace")

    def _mended(self, text: str) -> str:
        parts, start = [], 0
        for mark in _CDATA.finditer(text):
            parts += [self._part(text[start : mark.start()]), mark[0]]
            self._is_cdata = mark[0] != "]]>"
            start = mark.end()
        return "".join([*parts, self._part(text[start:])])

    def _part(self, text: str) -> str:
        if self._is_cdata or "&" not in text:
            return text
        return _NUMBER.sub(_allowed, _WRONG_AND.sub("&amp;", text))


def _end_of_whole(text: str) -> int:
    unfinished = _UNFINISHED.search(text)
    return unfinished.start() if unfinished else len(text)


def _allowed(reference: re.Match[str]) -> str:
    """Return a reference to a character, or a blank if XML forbids the character."""
    number = reference[1]
    code = int(number[1:], 16) if number.startswith("x") else int(number)
    is_character = code < 0xD800 or 0xE000 <= code <= 0x10FFFF
    return reference[0] if is_character and code not in _FORBIDDEN else " "


def _legacy(head: bytes, declared: str) -> str | None:
    """Return the encoding of a file that should be UTF-8 and holds none of it.

    What stands between two elements counts as a line does elsewhere.
    """
    is_unicode = (
        declared not in ("utf-8", "utf-8-sig")
        or find_format(head.replace(b">", b">\n")).note is None
    )
    return None if is_unicode else legacy_encoding(head)


def _find_encoding(head: bytes) -> str:
    """Return the encoding that the first bytes show, else the declared one, else UTF-8.

    A file that declares UTF-16 but is written in single bytes, as some libraries do, is UTF-8.
    """
    shown = next((name for start, name in _BY_START if head.startswith(start)), None)
    declared = _DECLARED.match(head)
    if shown or declared is None:
        return shown or "utf-8"
    name = declared[1].decode("ascii", "replace")
    try:
        found = checked_encoding(name)
    except ConfigurationError as error:
        raise UnreadableCatalogue(f"{error.message}; name another with --encoding") from None
    return "utf-8" if found.startswith(("utf-16", "utf-32")) else found
