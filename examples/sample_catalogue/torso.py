"""The upper body that shirts, sweaters, jackets and dresses share."""

from __future__ import annotations

from dataclasses import dataclass

from sample_catalogue.design import Design
from sample_catalogue.fabric import Fabric
from sample_catalogue.pencil import Path, Point, band, both, box, curve, flip, mirror, turn
from sample_catalogue.sheet import Sheet


@dataclass(frozen=True, kw_only=True)
class Torso:
    """Measures of a garment for the upper body: half-widths, and heights from the top."""

    top: float = 36  # where the shoulder meets the neck
    neck: float = 19
    depth: float = 20  # of the neckline
    vee: bool = False
    shoulder: float = 59
    drop: float = 14  # of the shoulder from neck to sleeve
    armpit: float = 112
    chest: float = 66
    waist: float = 63
    hem: float = 65
    bottom: float = 262
    sag: float = 5  # of the hem in the middle

    @property
    def low(self) -> float:
        """The height of the neckline's lowest point."""
        return self.top + self.depth

    @property
    def waist_at(self) -> float:
        """The height of the waist."""
        return min(self.armpit + 62, self.bottom - 20)

    @property
    def neckline(self) -> Path:
        """The front edge of the neck, left to right."""
        bend = (self.neck * 0.55, 0.5) if self.vee else (self.neck * 0.72, 0.3)
        half = curve((0, self.low), (bend[0], self.low - self.depth * bend[1]), self._at_neck)
        return [*reversed(flip(half)), *half[1:]]

    @property
    def outline(self) -> Path:
        """The whole body, without sleeves."""
        slope, tip, armpit = self.top + self.drop, self._tip, (self.chest, self.armpit)
        hem, sag = (self.hem, self.bottom), self.bottom + self.sag
        return mirror(
            [
                *self.neckline[len(self.neckline) // 2 :],
                *curve(self._at_neck, (self.shoulder - 9, slope - 3), tip),
                *curve(tip, (self.shoulder - 4, self.armpit - 26), armpit),
                *curve(armpit, (self.waist, self.waist_at), hem),
                *curve(hem, (self.hem * 0.5, sag - self.sag * 0.2), (0, sag)),
            ]
        )

    @property
    def folds(self) -> list[Path]:
        """The creases of a body that hangs: from the armpits, and over the hem."""
        a, c, b, h = self.armpit, self.chest, self.bottom, self.hem
        return [
            curve((c - 4, a + 4), (c - 18, a + 22), (c - 24, a + 46)),
            curve((-c + 4, a + 6), (-c + 16, a + 30), (-c + 20, a + 58)),
            curve((c - 3, a + 30), (c - 14, a + 52), (c - 16, a + 74)),
            curve((h * 0.45, b - 4), (h * 0.5, b - 34), (h * 0.38, b - 62)),
            curve((-h * 0.6, b - 4), (-h * 0.5, b - 26), (-h * 0.52, b - 50)),
        ]

    @property
    def _at_neck(self) -> Point:
        return self.neck, self.top

    @property
    def _tip(self) -> Point:
        return self.shoulder, self.top + self.drop + 3


@dataclass(frozen=True, kw_only=True)
class Sleeves:
    """A pair of sleeves, drawn hanging straight down and then turned; `length` 0 is none."""

    length: float
    cuff: float = 30  # the width there
    angle: float = 34  # degrees from the vertical
    band: float = 0  # depth of a cuff of another cloth

    def paint(self, sheet: Sheet, torso: Torso, cloth: Fabric, trim: Fabric) -> None:
        """Paint both sleeves; the body goes on top of them."""
        if not self.length:
            return
        folds = [self._hang(torso, fold) for fold in self._elbow(torso)]
        for sign, sleeve in zip((-1, 1), both(self._outline(torso)), strict=True):
            creases = folds if sign < 0 else [flip(fold) for fold in folds]
            sheet.paint(sleeve, cloth, angle=sign * self.angle, folds=creases)
        if self.band:
            for cuff in both(self._hang(torso, self._cuff(torso))):
                sheet.paint(cuff, trim, relief=0.8)

    def _outline(self, torso: Torso) -> Path:
        x, y = torso.shoulder, torso.top + torso.drop
        half, end = min(38, self.length * 0.5), y + self.length
        arm = [*curve((x - 2, y), (x + 5, y + half), (x, end)), (x - self.cuff, end)]
        seam = [(torso.chest - 3, torso.armpit + 4), (torso.chest - 16, torso.armpit - 10)]
        return [(x - 16, y - 1), (x - 6, y - 1), *self._hang(torso, arm)[1:], *seam]

    def _cuff(self, torso: Torso) -> Path:
        x, end = torso.shoulder, torso.top + torso.drop + self.length
        return box(x - self.cuff - 1, end - self.band, x + 1, end + 1)

    def _elbow(self, torso: Torso) -> list[Path]:
        """Return the creases of a sleeve that is long enough to bend."""
        x, y = torso.shoulder, torso.top + torso.drop
        heights = range(60, int(self.length) - 20, 26)
        return [curve((x - 2, y + h), (x - 10, y + h + 6), (x - 22, y + h + 4)) for h in heights]

    def _hang(self, torso: Torso, path: Path) -> Path:
        return turn(path, -self.angle, about=(torso.shoulder, torso.top + torso.drop))


SLEEVES = {
    "sleeveless": Sleeves(length=0),
    "cap sleeve": Sleeves(length=32, cuff=32, angle=50),
    "short sleeve": Sleeves(length=64, cuff=42, angle=37),
    "three-quarter sleeve": Sleeves(length=130, cuff=29, angle=20),
    "long sleeve": Sleeves(length=190, cuff=27, angle=13),
}


def paint_neck_inside(sheet: Sheet, torso: Torso, design: Design) -> None:
    """Paint the back of the neck, seen through the opening in front."""
    back = curve((-torso.neck, torso.top), (0, torso.top + 5), (torso.neck, torso.top))
    sheet.paint([*back, *reversed(torso.neckline)], design.fabric.shaded(0.42), relief=0.4)
    sheet.paint(band(back, 4), design.fabric.shaded(0.24), relief=0.3)
