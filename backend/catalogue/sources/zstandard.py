"""Files packed with Zstandard, unpacked as a stream by pyarrow, which is an extra."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, BinaryIO, Final

MAGIC: Final = b"\x28\xb5\x2f\xfd"
_PIECE: Final = 4_096  # bytes; of a file that ends early less than that is lost
_TRUNCATED: Final = "Truncated"  # in pyarrow's error


def can_unpack() -> bool:
    """Tell whether the extra `parquet` is installed."""
    return find_spec("pyarrow") is not None


class Unpacked(io.RawIOBase):
    """What is packed in a stream, behind a head that was read before.

    `ended` is called once at the end: with True if the file is whole. Reading raises OSError for a
    damaged file.
    """

    def __init__(self, stream: BinaryIO, head: bytes, ended: Callable[[bool], None]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - it is an extra

        super().__init__()
        self._stream, self._ended = stream, ended
        file = pa.PythonFile(_Joined(head, stream), mode="r")
        self._packed: Any = pa.CompressedInputStream(file, "zstd")
        self._is_at_end = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read the next piece."""
        if self._is_at_end:
            return 0
        data, is_whole = b"", True
        try:
            data = self._packed.read(min(len(buffer), _PIECE))
        except OSError as error:
            if _TRUNCATED not in str(error):
                raise
            is_whole = False
        if not data:
            self._is_at_end = True
            self._ended(is_whole)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the stream too."""
        self._stream.close()
        super().close()


class _Joined(io.RawIOBase):
    """A head that was read before, and the rest of its stream."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        super().__init__()
        self._head, self._stream = head, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._head[: len(buffer)] or self._stream.read(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)
