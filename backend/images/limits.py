"""How large an image may be, in bytes and in pixels."""

from __future__ import annotations

from dataclasses import dataclass

from backend.errors import ImageTooLarge, ImageTooSmall


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """The largest and smallest image that is accepted. Sides and areas are in pixels."""

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    max_side: int = 20_000
    min_side: int = 8
    max_aspect: float = 20  # longer side / shorter side

    def check_bytes(self, count: int) -> None:
        """Raise ImageTooLarge for a file of more bytes than allowed."""
        if count > self.max_bytes:
            raise ImageTooLarge(f"the file has {count:,} bytes, more than {self.max_bytes:,}")

    def check_size(
        self, width: int, height: int, *, decoded: int | None = None, what: str = "the image"
    ) -> None:
        """Raise ImageTooLarge or ImageTooSmall unless an image of this size may be decoded.

        `decoded` is the number of pixels at a reduced scale, if fewer than all are decoded; `what`
        is named in the messages.
        """
        measured = f"{what} is {width} x {height} pixels"
        if max(width, height) > self.max_side:
            raise ImageTooLarge(f"{measured}, with a side longer than {self.max_side:,}")
        if (width * height if decoded is None else decoded) > self.max_pixels:
            raise ImageTooLarge(f"{measured}, more than {self.max_pixels:,} in all")
        if min(width, height) < self.min_side:
            raise ImageTooSmall(f"{measured}, with a side shorter than {self.min_side}")
        if max(width, height) > self.max_aspect * min(width, height):
            raise ImageTooSmall(f"{measured}, too narrow: more than {self.max_aspect:g} to 1")
