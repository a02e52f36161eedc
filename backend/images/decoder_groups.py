"""Files that a decoder gets in one request: the messages for a file take as long as reading it.

If the decoder dies over a group, or is too slow, each of its files is decoded alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from backend.errors import ImageError
from backend.images.decoder_messages import Decoded, ImageFile

GROUP: Final = 8
"""Files of one request."""

Found: TypeAlias = Sequence[Decoded | ImageError] | None
"""The outcome of a group; None: its decoder died, or an image took too long."""


@dataclass(frozen=True)
class Ahead:
    """A group that is decoded while the caller works."""

    found: Future[Found]
    group: Sequence[ImageFile]

    @property
    def held(self) -> int:
        """Bytes of its files that are in memory."""
        return sum(len(one) for one in self.group if isinstance(one, bytes))


def in_groups(sources: Iterable[ImageFile], *, most: int) -> Iterator[list[ImageFile]]:
    """Yield sources in order: files in groups, and what is in memory alone, as soon as it is."""
    files: list[ImageFile] = []
    for source in sources:
        if isinstance(source, Path):
            files.append(source)
        if files and (len(files) >= most or not isinstance(source, Path)):
            yield files
            files = []
        if not isinstance(source, Path):
            yield [source]
    if files:
        yield files
