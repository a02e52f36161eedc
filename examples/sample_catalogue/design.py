"""What one product is made of: its cloth, its cut, and the small differences between styles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from sample_catalogue.colours import Colour, brightness, darker, lighter
from sample_catalogue.fabric import Fabric


@dataclass(frozen=True, kw_only=True)
class Design:
    """One product as the drawing functions see it.

    `cut` holds one value per part that varies (`{"sleeve": "long", "neck": "v"}`); `seed` belongs
    to the style, so that its colourways have the same proportions.
    """

    fabric: Fabric
    accent: Colour
    cut: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0

    @property
    def colour(self) -> Colour:
        """The main colour."""
        return self.fabric.ground

    @property
    def trim(self) -> Fabric:
        """The same cloth, plain and a little off in tone: collars, cuffs, waistbands."""
        tone = darker if brightness(self.colour) > 0.3 else lighter
        return Fabric(ground=tone(self.colour, 0.1))

    def jitter(self, spread: float = 1, *, part: int = 0) -> float:
        """Return this style's deviation for one of its parts, within ±spread."""
        return Random(self.seed * 31 + part).uniform(-spread, spread)
