"""The decoded lines of a CSV file: one by one where they need care, many at once where not."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import islice
from typing import BinaryIO, Final, NamedTuple

from backend.catalogue.sources.csv_dialect import CURLY_QUOTES, UNIT
from backend.catalogue.sources.encodings import (
    LOST,
    LOST_NOTE,
    TITLES,
    TextFormat,
    decoded_in_parts,
    single_byte_encoding,
)
from backend.catalogue.sources.feed import CutOff
from backend.catalogue.sources.files import DAMAGED, damage
from backend.catalogue.sources.packing import CHUNK, Packing
from backend.errors import UnreadableCatalogue

LONGEST_LINE: Final = 1_000_000  # bytes; the rest is dropped, so the record does not fit the header
_MARK: Final = "\ufeff".encode()
_END_OF_DOS: Final = b"\x1a"  # ends the text files of some old programs
_TWICE: Final = (b"\xc3\x82", b"\xc3\x83", b"\xc3\x90", b"\xc3\x91", b"\xc3\xa2\xe2\x82\xac")
"""What UTF-8 becomes that was taken for Windows-1252 and encoded once more: `GrÃ¶ÃŸe`."""
_LONE_RETURN: Final = re.compile(rb"\r(?!\n)")


class Line(NamedTuple):
    """One line, with its line end, and what was corrected in it."""

    number: int
    text: str
    warnings: tuple[str, ...]


@dataclass
class Lines:
    """The decoded lines of a file; all that were taken, except the first, can be given back."""

    stream: BufferedReader
    format: TextFormat
    packing: Packing
    number: int = 0  # of the last line read
    is_cut_off: bool = False  # the last line has no line end
    is_closed: bool = False  # the last record ends in a quote, so it is whole
    has_open_quote: bool = False  # a quote of the last record is open, so it is not whole
    is_wrapped: bool = False  # each line is one quoted value, which holds the real line
    has_curly_quotes: bool = False  # those of a program for texts, read as straight ones
    long_delimiter: str = ""  # several characters, such as `~|~`, read as UNIT
    taken: list[Line] = field(default_factory=list)
    again: deque[Line] = field(default_factory=deque)
    notes: tuple[str, ...] = ()  # about the whole file; the first record takes them

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.again.popleft() if self.again else self._read()
        if line is None:
            raise StopIteration
        self.taken.append(line)
        return line.text

    def give_back(self) -> None:
        """Let all lines of this record, except the first, be read again."""
        self.again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]

    def peek(self, count: int) -> list[Line]:
        """Return the next lines, which stay to be read."""
        while len(self.again) < count and (line := self._read()):
            self.again.append(line)
        return list(islice(self.again, count))

    def divide_by(self, long_delimiter: str) -> None:
        """Read a delimiter of several characters as UNIT, also in the lines peeked at."""
        self.long_delimiter = long_delimiter
        texts = (line.text.replace(long_delimiter, UNIT) for line in self.again)
        self.again = deque(
            line._replace(text=text) for line, text in zip(self.again, texts, strict=True)
        )

    def skip(self, count: int) -> None:
        """Skip lines that were peeked at."""
        for _ in range(count):
            self.again.popleft()

    def cut_off(self, *, is_broken: bool, proven: bool = False) -> CutOff | None:
        """Return why the file may have ended early, None if it is whole; after the last line.

        `is_broken`: the last line gave no record. `proven`: the file has the length that it should
        have. Then a last line without its end counts as whole; so does one that ends in a quote.
        """
        if self.packing.ended_early:
            return CutOff(self.packing.ended_early, is_certain=True)
        proven = proven or self.packing.is_proven or self.is_closed
        is_broken = is_broken or self.has_open_quote
        if not self.is_cut_off or (proven and not is_broken):
            return None
        return CutOff(f"the last line, {self.number}, has no line end", is_certain=is_broken)

    def take_plain(self) -> list[str]:
        """Take lines that need no care, each without its LF; [] if the next line is not plain.

        UTF-8 without a NUL, a mark or a lone CR is plain. `number` becomes that of the last one.
        """
        is_odd = self.is_wrapped or self.has_curly_quotes or self.long_delimiter
        if self.again or self.notes or is_odd or not self.number:
            return []
        try:
            block = self.stream.peek(CHUNK)
        except DAMAGED as error:
            raise _damaged(error) from None
        text = _plain_text(block[: block.rfind(b"\n") + 1])
        if not text:
            return []
        self.stream.read(len(text))
        self.is_cut_off = False
        found = text.decode().split("\n")
        found.pop()  # what follows the last LF
        self.number += len(found)
        return found

    def read_again(self, texts: Sequence[str]) -> None:
        """Let the last of the plain lines be read again, one by one."""
        first = self.number - len(texts) + 1
        self.again.extend(Line(at, f"{text}\n", ()) for at, text in enumerate(texts, first))

    def _read(self) -> Line | None:
        raw = rest = _read_line(self.stream)
        if not raw or (_END_OF_DOS in raw and not raw.strip(b"\x1a\r\n")):
            return None
        while len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
            rest = _read_line(self.stream)
        self.is_cut_off = not rest.endswith(b"\n")
        self.number += 1
        text, warnings = self._decode(raw)
        if self.number == 1 and self.format.note:
            self.notes = (self.format.note,)
        if self.has_curly_quotes:
            text = straight(text)
        if self.long_delimiter:
            text = text.replace(self.long_delimiter, UNIT)
        return Line(self.number, unwrapped(text) if self.is_wrapped else text, warnings)

    def _decode(self, raw: bytes) -> tuple[str, tuple[str, ...]]:
        """Decode one line, because files may mix encodings; return warnings about corrections."""
        warnings: tuple[str, ...] = ()
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            fallback = self.format.fallback or single_byte_encoding(raw)
            mixed = None if self.format.note else decoded_in_parts(raw, fallback)
            text = mixed or raw.decode(fallback, errors="replace")
            if mixed:
                warnings = (f"UTF-8 in parts only; the rest is read as {TITLES[fallback]}",)
            elif not self.format.note:
                warnings = (f"not UTF-8; read as {TITLES[fallback]}",)
        else:
            if any(mark in raw for mark in _TWICE) and (once := decoded_again(text)) is not None:
                text, warnings = once, ("UTF-8 that was encoded twice; decoded once more",)
            elif LOST in raw:
                warnings = (LOST_NOTE,)
        if text.startswith("\ufeff"):  # where files were joined
            text = text.lstrip("\ufeff")
        if "\0" in text:
            return text.replace("\0", ""), (*warnings, "NUL characters were left out")
        return text, warnings


def straight(text: str) -> str:
    """Return a text with straight quotes where a program for texts has made curly ones."""
    return text.translate(CURLY_QUOTES)


def decoded_again(text: str) -> str | None:
    """Return a text that was encoded twice, decoded once more; None if it was not."""
    try:
        return b"".join(_byte_of(letter) for letter in text).decode()
    except ValueError:
        return None


def _byte_of(letter: str) -> bytes:
    """Return the byte of Windows-1252; of those that it leaves out, the byte of the same number."""
    return letter.encode("latin-1" if "\x80" <= letter <= "\x9f" else "cp1252")


def unwrapped(text: str) -> str:
    """Return the line that a quoted value holds; any other line stays as it is."""
    bare = text.rstrip("\r\n")
    is_one = len(bare) > 1 and bare.startswith('"') and bare.endswith('"')
    return bare[1:-1].replace('""', '"') + text[len(bare) :] if is_one else text


def _read_line(stream: BinaryIO) -> bytes:
    try:
        return stream.readline(LONGEST_LINE)
    except DAMAGED as error:
        raise _damaged(error) from None


def _damaged(error: BaseException) -> UnreadableCatalogue:
    return UnreadableCatalogue(damage(error))


def _plain_text(lines: bytes) -> bytes:
    """Return the lines before the first one that is not plain."""
    ends = [end for odd in (b"\0", _MARK, LOST, *_TWICE) if (end := lines.find(odd)) >= 0]
    if lines.count(b"\r") != lines.count(b"\r\n") and (lone := _LONE_RETURN.search(lines)):
        ends.append(lone.start())
    try:
        lines.decode()
    except UnicodeDecodeError as error:
        ends.append(error.start)
    return lines[: lines.rfind(b"\n", 0, min(ends)) + 1] if ends else lines
