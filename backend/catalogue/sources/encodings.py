"""The encoding of a text file: found from its first bytes, and turned into lines of UTF-8.

A file in UTF-8 may hold single lines in another encoding; those are read as `TextFormat.fallback`.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from backend.catalogue.sources.legacy_text import legacy_encoding
from backend.catalogue.sources.packing import (
    CHUNK,
    Packing,
    Translate,
    Translated,
    as_it_is,
    read_full,
    unpacked,
)
from backend.errors import ConfigurationError

SAMPLE: Final = 1_000_000  # bytes that are looked at
TITLES: Final = {
    "cp1250": "Windows-1250 (Central European)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp1252": "Windows-1252, the superset of Latin-1",
    "cp1253": "Windows-1253 (Greek)",
    "cp1254": "Windows-1254 (Turkish)",
    "cp1255": "Windows-1255 (Hebrew)",
    "cp1256": "Windows-1256 (Arabic)",
    "cp1257": "Windows-1257 (Baltic)",
    "iso8859-2": "ISO 8859-2 (Central European)",
    "koi8-r": "KOI8-R (Cyrillic)",
    "koi8-u": "KOI8-U (Cyrillic)",
    "cp874": "code page 874 (Thai)",
    "cp866": "code page 866 (Cyrillic, DOS)",
    "cp850": "code page 850 (DOS)",
    "mac-roman": "Mac Roman",
    "cp932": "Shift JIS",
    "euc-jp": "EUC-JP",
    "cp949": "EUC-KR",
    "gb18030": "GB 18030",
    "cp950": "Big5",
    "big5hkscs": "Big5 (Hong Kong)",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32-le": "UTF-32",
    "utf-32-be": "UTF-32",
}
OF_SEVERAL_BYTES: Final = {"cp932", "euc-jp", "cp949", "gb18030", "cp950", "big5hkscs"}
_OF_NAMES_AND_CODE: Final = {"idna", "punycode", "unicode-escape", "raw-unicode-escape"}
"""Python's encodings of host names and of source code: some take quadratic time for a file."""

_MARKS: Final = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
LOST: Final = "\N{REPLACEMENT CHARACTER}".encode()
LOST_NOTE: Final = (
    "holds the sign \N{REPLACEMENT CHARACTER}: characters were lost before the file came here"
)
_ASCII: Final = bytes(range(128))
_ESCAPED: Final = re.compile("[\udc80-\udcff]+")
_WORD: Final = re.compile(rb"[A-Za-z\x80-\xff]+")
_QUOTED: Final = re.compile(r'"[^"]*"')
_UNLIKELY: Final = 20  # times as many lines as those that are UTF-8 by chance
_MOSTLY: Final = 0.4  # share of zeros among the high bytes of UTF-16


@dataclass(frozen=True, kw_only=True)
class TextFormat:
    """How the bytes of a file are read."""

    encoding: str
    fallback: str | None = None  # of lines that are not UTF-8; None: as the line itself looks
    note: str | None = None  # for the report; None: the file is UTF-8
    has_lone_returns: bool = False  # lines end in CR alone, as on old Macs


def checked_encoding(name: str) -> str:
    """Return the name that Python gives an encoding. Raises ConfigurationError for an unknown."""
    try:
        found = codecs.lookup(name)
        "a".encode(found.name).decode(found.name)
    except (LookupError, ValueError):
        raise ConfigurationError(f"there is no text encoding {name!r}") from None
    if found.name in _OF_NAMES_AND_CODE:
        raise ConfigurationError(f"{name!r} is no encoding of files")
    return found.name


def find_format(sample: bytes, *, encoding: str | None = None) -> TextFormat:
    """Return how a file that begins with `sample` is read; `encoding` overrides what is found."""
    if encoding:
        given = checked_encoding(encoding)
        return TextFormat(encoding=given, has_lone_returns=_has_lone_returns(sample, given))
    marked = next((name for mark, name in _MARKS if sample.startswith(mark)), None)
    name = marked or _wide_without_mark(sample)
    if name and name != "utf-8":
        lone = _has_lone_returns(sample, name)
        note = f"the file is in {TITLES[name]}"
        return TextFormat(encoding=name, note=note, has_lone_returns=lone)
    lone = _has_lone_returns(sample, "utf-8")
    if not _has_wrong_utf_8(sample):
        return TextFormat(encoding="utf-8", has_lone_returns=lone)
    found = TextFormat(encoding="utf-8", has_lone_returns=lone)
    if _has_long_utf_8(sample):
        return replace(found, fallback=single_byte_encoding(sample))
    legacy = legacy_encoding(sample)
    note = f"the file is not UTF-8; read as {TITLES[legacy]}. --encoding overrides it"
    if legacy in OF_SEVERAL_BYTES:
        return replace(found, encoding=legacy, note=note)
    return replace(found, fallback=legacy, note=note)


def single_byte_encoding(text: bytes) -> str:
    """Tell Windows-1251 from Windows-1252.

    In Cyrillic whole words lie above 127; in Western languages single letters of a word do.
    """
    words = [word for word in _WORD.findall(text) if not word.isascii() and len(word) > 1]
    whole = sum(all(byte >= 0xC0 or byte in b"\xa8\xb8" for byte in word) for word in words)
    return "cp1251" if words and whole * 2 > len(words) else "cp1252"


def mended_utf_8(text: str, fallback: str) -> str:
    """Return a text with what was no UTF-8, escaped as half surrogates, read as `fallback`."""

    def read(found: re.Match[str]) -> str:
        return found[0].encode("ascii", "surrogateescape").decode(fallback, errors="replace")

    return _ESCAPED.sub(read, text)


def decoded_in_parts(raw: bytes, fallback: str) -> str | None:
    """Decode a line that is UTF-8 in most parts and `fallback` in others; None if it is not so.

    Less UTF-8 may be there by chance: `É»` of Windows-1252 is a sequence of UTF-8.
    """
    text = raw.decode("utf-8", "surrogateescape")
    wrong = sum(map(len, _ESCAPED.findall(text)))  # one escaped sign a byte
    is_mixed = wrong * 2 < len(raw.translate(None, _ASCII))
    return mended_utf_8(text, fallback) if is_mixed else None


def _wide_without_mark(sample: bytes) -> str | None:
    """Recognise UTF-16 by its zeros: the separators of a table are ASCII in every language."""
    head = sample[:CHUNK]
    first, second = head[::2], head[1::2]
    if _are_high_bytes(second, first):
        return "utf-16-le"
    if _are_high_bytes(first, second):
        return "utf-16-be"
    return None


def _are_high_bytes(high: bytes, low: bytes) -> bool:
    """Tell whether every second byte is the high one of a character.

    Either most of them are 0, or, in another script, those of nearly all separators are.
    """
    if low.count(0):
        return False
    if high.count(0) > _MOSTLY * max(len(high), 1):
        return True
    beside = [above for below, above in zip(low, high, strict=False) if below in b"\n\r\t,"]
    return len(beside) > 1 and beside.count(0) > _MOSTLY * len(beside)


def _has_wrong_utf_8(sample: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)  # a character may be cut at the end
    except UnicodeDecodeError:
        return True
    return False


def _has_long_utf_8(sample: bytes) -> bool:
    """Tell whether a line is UTF-8 and not ASCII; a few may look so in East Asian encodings."""
    found = wrong = 0
    for line in re.split(rb"[\r\n]", sample):
        if not line.isascii():
            try:
                line.decode()
            except UnicodeDecodeError:
                wrong += 1
            else:
                found += 1
    return found * _UNLIKELY > wrong


def _has_lone_returns(sample: bytes, encoding: str) -> bool:
    text = sample.decode(encoding, errors="replace")
    if "\r" not in text or "\n" not in text:
        return "\r" in text
    bare = _QUOTED.sub("", text)  # Excel on a Mac writes LF within a cell
    return "\r" in bare and "\n" not in bare


def open_lines(
    stream: BinaryIO, packing: Packing, *, encoding: str | None = None
) -> tuple[io.BufferedReader, TextFormat]:
    """Unpack gzip, find the encoding, and return a stream of lines that end in LF.

    A file that is UTF-8 or of one byte a character stays as it is, because its lines may differ:
    `csv_lines` decodes each. All other encodings are turned into UTF-8.

    Raises ConfigurationError for an unknown `encoding`.
    """
    stream = unpacked(stream, packing)
    sample = read_full(stream, SAMPLE)
    found = find_format(sample, encoding=encoding)
    while found.encoding == "utf-8" and sample.startswith(codecs.BOM_UTF8):  # two of some tools
        sample = sample.removeprefix(codecs.BOM_UTF8)
    translate: Translate = as_it_is
    if found.encoding != "utf-8" or encoding:
        decoder = codecs.getincrementaldecoder(found.encoding)(errors="replace")
        translate = _recoder(decoder, _returns_to_lines if found.has_lone_returns else str)
    elif found.has_lone_returns:
        translate = _bytes_returns_to_lines
    return io.BufferedReader(Translated(stream, sample, translate), CHUNK), found


def _bytes_returns_to_lines(chunk: bytes, _end: bool) -> bytes:
    return chunk.replace(b"\r", b"\n")


def _returns_to_lines(text: str) -> str:
    return text.replace("\r", "\n")


def _recoder(decoder: codecs.IncrementalDecoder, change: Callable[[str], str]) -> Translate:
    is_first = True

    def recode(chunk: bytes, end: bool) -> bytes:
        nonlocal is_first
        text = decoder.decode(chunk, end)
        if is_first and text:
            text, is_first = text.removeprefix("\ufeff"), False
        return change(text).encode("utf-8", errors="replace")

    return recode
