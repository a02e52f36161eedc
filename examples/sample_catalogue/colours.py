"""The colours that products are sold in, by the names that `styles.csv` uses."""

from __future__ import annotations

from typing import TypeAlias

Colour: TypeAlias = tuple[int, int, int]

PALETTE: dict[str, Colour] = {
    "Black": (38, 38, 42),
    "White": (240, 240, 238),
    "Grey": (150, 152, 156),
    "Charcoal": (74, 77, 83),
    "Navy Blue": (32, 42, 84),
    "Blue": (46, 98, 178),
    "Turquoise Blue": (52, 178, 196),
    "Teal": (20, 112, 116),
    "Green": (44, 132, 74),
    "Olive": (104, 106, 58),
    "Khaki": (180, 164, 122),
    "Beige": (222, 204, 172),
    "Cream": (244, 234, 208),
    "Yellow": (244, 206, 60),
    "Mustard": (208, 156, 40),
    "Orange": (232, 120, 40),
    "Peach": (248, 190, 160),
    "Red": (198, 36, 44),
    "Maroon": (110, 26, 38),
    "Pink": (236, 120, 164),
    "Lavender": (184, 168, 216),
    "Purple": (104, 58, 136),
    "Brown": (104, 66, 42),
    "Tan": (178, 124, 78),
    "Silver": (190, 194, 200),
    "Gold": (206, 170, 92),
}

WHITE: Colour = (250, 250, 248)
INK: Colour = (30, 30, 34)
STEEL: Colour = (176, 180, 186)
BRASS: Colour = (204, 172, 104)
CORK: Colour = (190, 150, 104)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Blend two colours; `share` of 1 is all `b`."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def darker(colour: Colour, share: float = 0.3) -> Colour:
    """Mix a colour towards black."""
    return mix(colour, (8, 8, 14), share)


def lighter(colour: Colour, share: float = 0.3) -> Colour:
    """Mix a colour towards white."""
    return mix(colour, (255, 255, 255), share)


def brightness(colour: Colour) -> float:
    """Estimate how light a colour looks, 0 to 1 (Rec. 601 luma)."""
    red, green, blue = colour
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def seam(colour: Colour) -> Colour:
    """Choose a line's colour that shows on the cloth: darker on light, lighter on dark."""
    return darker(colour, 0.28) if brightness(colour) > 0.3 else lighter(colour, 0.22)
