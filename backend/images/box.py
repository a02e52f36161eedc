"""A region of an image, as clients name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final, Self

from backend.errors import ImageTooSmall, InvalidBox
from backend.images.limits import ImageLimits

RULE: Final = (
    "left, top, right, bottom of a region of the upright image: fractions of its width and height "
    "if none is above 1, otherwise pixels"
)


@dataclass(frozen=True)
class Box:
    """Left, top, right and bottom, from the upper left corner of the upright image.

    They are fractions of its width and height if none is above 1, otherwise pixels. A box of one
    pixel is no region, so the two cannot be mixed up. `around` is a share of the box's own width
    and height that is added at each side, as far as the image goes.
    """

    left: float
    top: float
    right: float
    bottom: float
    around: float = 0

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Self:
        """Return the box of four numbers. Raises ValueError for what is no box in any image."""
        if len(numbers) != 4 or not all(map(isfinite, numbers)):
            raise ValueError(f"takes four numbers: {RULE}")
        left, top, right, bottom = numbers
        if min(numbers) < 0:
            raise ValueError("begins outside of the image: no number may be below 0")
        if right <= left or bottom <= top:
            raise ValueError("is empty: right must be above left, and bottom above top")
        return cls(left, top, right, bottom)

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """The four numbers."""
        return self.left, self.top, self.right, self.bottom

    def pixels(self, width: int, height: int, *, limits: ImageLimits) -> tuple[int, int, int, int]:
        """Return the box in whole pixels of an upright image.

        Raises InvalidBox if it ends outside of the image, or is smaller than an image may be.
        """
        is_fractions = max(self.numbers) <= 1
        across, down = (width, height) if is_fractions else (1, 1)
        left, right = round(self.left * across), round(self.right * across)
        top, bottom = round(self.top * down), round(self.bottom * down)
        if right > width or bottom > height:
            raise InvalidBox(
                f"the box ends at {right} x {bottom}, outside of the image, which is "
                f"{width} x {height} pixels"
            )
        try:
            limits.check_size(right - left, bottom - top, decoded=0, what="the box")
        except ImageTooSmall as error:
            raise InvalidBox(error.message) from None
        more, below = round(self.around * (right - left)), round(self.around * (bottom - top))
        return (
            max(0, left - more),
            max(0, top - below),
            min(width, right + more),
            min(height, bottom + below),
        )
