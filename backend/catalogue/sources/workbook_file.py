"""The file of a workbook: one in which one can seek, and of which nothing is too large."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Final, cast

from backend.catalogue.sources.feed import ImageFile, RowWarning, WarningKind
from backend.catalogue.sources.files import DAMAGED, Files, damage
from backend.catalogue.sources.zip_images import zip_image
from backend.errors import UnreadableCatalogue

LARGEST_PART: Final = 1_000_000_000  # bytes of a part, unpacked; a bomb has more
IN_MEMORY: Final = 20_000_000  # bytes of a workbook in a zip; a larger one is copied to the disk
_BROKEN: Final = (
    *DAMAGED,
    SyntaxError,  # of XML
    *(AttributeError, IndexError, KeyError, TypeError, ValueError),  # openpyxl checks few of them
)


@contextmanager
def reading(files: Files, name: str) -> Iterator[BinaryIO]:
    """Open a workbook's file. Raises UnreadableCatalogue for what is wrong while it is read."""
    try:
        with files.open(name) as stream, _seekable(stream) as file:
            _check_sizes(name, file)
            yield file
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the host
            raise UnreadableCatalogue(f"{name}: {damage(error)}") from error
        reason = f"{name} is not a readable workbook: {error or type(error).__name__}"
        raise UnreadableCatalogue(reason) from error


class WorkbookImages:
    """The images in a workbook. Each is read when it is wanted, until this is closed."""

    def __init__(self, files: Files, name: str) -> None:
        self._files, self._name = files, name
        self._stack = ExitStack()
        self._parts: zipfile.ZipFile | None = None

    def open(self) -> None:
        """Open the file a second time, unless it is open. Raises UnreadableCatalogue."""
        if self._parts is None:
            file = self._stack.enter_context(reading(self._files, self._name))
            self._parts = self._stack.enter_context(zipfile.ZipFile(file))

    def find(self, members: Sequence[str]) -> tuple[list[ImageFile], list[RowWarning]]:
        """Return the images that these members are, and a warning for each that is missing."""
        images, wrong = [], []
        for name in members:
            try:
                if self._parts is None:
                    raise KeyError(name)
                images.append(zip_image(self._parts, self._parts.getinfo(name), where="workbook"))
            except KeyError:
                text = f"the picture {name} is not in the workbook"
                wrong.append(RowWarning(WarningKind.IMAGE, text))
        return images, wrong

    def close(self) -> None:
        """Close the file."""
        self._parts = None
        self._stack.close()


@contextmanager
def _seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Give a file in which one can seek at no cost; a member of a zip is copied for it."""
    if not isinstance(stream, zipfile.ZipExtFile):
        yield stream
        return
    with SpooledTemporaryFile(IN_MEMORY) as copy:
        while chunk := stream.read(1 << 20):
            copy.write(chunk)
        copy.seek(0)
        yield cast("BinaryIO", copy)


def _check_sizes(name: str, file: BinaryIO) -> None:
    with zipfile.ZipFile(file) as parts:
        largest = max((part.file_size for part in parts.infolist()), default=0)
    file.seek(0)
    if largest > LARGEST_PART:
        raise UnreadableCatalogue(
            f"{name}: a sheet has {largest:,} bytes unpacked, more than {LARGEST_PART:,}; "
            "export it as CSV"
        )
