"""Jeans, trousers, track pants and shorts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sample_catalogue.colours import BRASS, STEEL, Colour, darker, lighter, seam
from sample_catalogue.design import Design
from sample_catalogue.fabric import Fabric
from sample_catalogue.pencil import Path, both, box, curve, flip, mirror, oval, shift
from sample_catalogue.sheet import Sheet

_THREAD: Colour = (206, 146, 66)  # the stitching of jeans


@dataclass(frozen=True, kw_only=True)
class Legs:
    """Measures of trousers: half-widths at the waist and hip, the legs' edges further down."""

    top: float = 24
    waist: float = 38
    hip: float = 53
    crotch: float = 104
    knee: float = 18  # half the width of a leg
    hem: float = 16.5
    bottom: float = 304
    stance: float = 31  # of a foot from the middle

    @property
    def side(self) -> Path:
        """The outer edge of the right leg, from the waist to the foot."""
        return curve(
            (self.waist, self.top),
            (self.hip, self.crotch - 26),
            (self.stance * 0.9 + self.knee, self._knee_at),
            (self.stance + self.hem, self.bottom),
        )

    @property
    def right(self) -> Path:
        """The right leg, with its half of the seat."""
        foot, knee = self.stance - self.hem, self.stance * 0.9 - self.knee
        inner = curve((foot, self.bottom), (knee, self._knee_at), (0, self.crotch))
        return [(0, self.top + 3), *self.side, (self.stance, self.bottom + 2), *inner]

    @property
    def folds(self) -> list[Path]:
        """Creases of the right leg: at the crotch, and on long ones the knee and the foot."""
        c, k, x, b = self.crotch, self._knee_at, self.stance, self.bottom
        seat = [
            curve((3, c - 4), (16, c - 9), (30, c - 22)),
            curve((5, c + 6), (17, c + 5), (32, c - 4)),
        ]
        leg = [
            curve((x - 14, k - 4), (x - 4, k + 1), (x + 6, k)),
            curve((x - 12, k + 12), (x - 2, k + 10), (x + 10, k + 4)),
            curve((x + 12, b - 22), (x, b - 16), (x - 9, b - 20)),
        ]
        return [*seat, *leg] if b > 230 else seat

    @property
    def _knee_at(self) -> float:
        return self.crotch + (self.bottom - self.crotch) * 0.45

    def paint(self, sheet: Sheet, cloth: Fabric) -> None:
        """Paint both legs; the right one overlaps in the middle, where the fly is."""
        sheet.paint(flip(self.right), cloth, folds=[flip(f) for f in self.folds], relief=1.2)
        sheet.paint(self.right, cloth, folds=self.folds, relief=1.2)

    def waistband(self, depth: float) -> Path:
        """Return the outline of the band around the waist."""
        w, t, low = self.waist, self.top, self.top + depth
        upper = curve((0, t), (w * 0.6, t - 1), (w, t - 3))
        return mirror([*upper, *curve((w + depth * 0.16, low - 3), (w * 0.6, low), (0, low + 1))])


_LEGS = {
    "skinny": Legs(knee=15, hem=10, hip=50, stance=26),
    "straight": Legs(),
    "bootcut": Legs(knee=16.5, hem=22, stance=34),
    "wide": Legs(knee=22, hem=26, hip=56, stance=37),
    "short": Legs(
        top=72, waist=52, hip=70, crotch=162, knee=36, hem=35, bottom=226, stance=42
    ),
    "knee-length": Legs(
        top=52, waist=52, hip=69, crotch=142, knee=33, hem=31, bottom=262, stance=39
    ),
}  # fmt: skip


def _legs(name: str, design: Design) -> Legs:
    """Return the named cut with this style's own measures."""
    legs = _LEGS[name]
    return replace(
        legs, hip=legs.hip + design.jitter(1.5), bottom=legs.bottom - 4 + design.jitter(4, part=1)
    )


def paint_jeans(sheet: Sheet, design: Design) -> None:
    """Draw jeans: faded or raw, with copper rivets and orange stitches."""
    legs = _legs(design.cut["fit"], design)
    legs.paint(sheet, design.fabric)
    if design.cut["wash"] == "faded":
        _fade_thighs(sheet, legs, design)
    _fly(sheet, legs, _THREAD)
    top = legs.top
    for pocket in both(curve((20, top + 8), (24, top + 24), (legs.waist + 5, top + 31))):
        sheet.line(shift(pocket, 0, -2), darker(design.colour, 0.5))
        sheet.stitch(pocket, _THREAD)
        x, y = pocket[0]
        sheet.paint(oval(x, y + 4, 1.3, 1.3), BRASS, relief=0.6)
    _waistband(sheet, legs, design.fabric, _THREAD)
    sheet.paint(oval(1, top + 7, 3, 3), BRASS, lift=0.6)
    _hems(sheet, legs, _THREAD)


def _fade_thighs(sheet: Sheet, legs: Legs, design: Design) -> None:
    """Bleach the front of both thighs, softly: three ovals, each a little lighter."""
    for i, share in enumerate((0.07, 0.13, 0.18)):
        worn = oval(legs.stance * 0.94, legs.crotch + 36, 13 - 3.4 * i, 62 - 12 * i)
        for thigh in both(worn):
            sheet.paint(
                thigh, replace(design.fabric, ground=lighter(design.colour, share)), relief=0
            )


def _fly(sheet: Sheet, legs: Legs, thread: Colour) -> None:
    sheet.stitch(curve((9, legs.top + 10), (9, legs.crotch - 34), (1, legs.crotch - 20)), thread)


def _waistband(sheet: Sheet, legs: Legs, cloth: Fabric, thread: Colour) -> None:
    """Paint the waistband with its belt loops."""
    top, waist = legs.top, legs.waist
    sheet.paint(legs.waistband(12), cloth, relief=0.6, lift=0.5)
    sheet.stitch([(-waist, top + 8), (0, top + 11), (waist, top + 8)], thread)
    for x in (waist * 0.82, waist * 0.36):
        for loop in both(box(x - 2, top - 3, x + 2, top + 13)):
            sheet.paint(loop, cloth, lift=0.5, relief=0.5)


def _hems(sheet: Sheet, legs: Legs, thread: Colour) -> None:
    y = legs.bottom - 6
    inner, outer = legs.stance - legs.hem + 1, legs.stance + legs.hem - 1
    for hem in both([(inner, y), (outer, y)]):
        sheet.stitch(hem, thread)


def _slant_pockets(sheet: Sheet, legs: Legs, design: Design) -> None:
    for pocket in both([(legs.waist * 0.62, legs.top + 10), (legs.hip - 7, legs.top + 48)]):
        sheet.line(pocket, darker(design.colour, 0.45), 1)


def paint_trousers(sheet: Sheet, design: Design) -> None:
    """Draw trousers of smooth cloth: slant pockets and, for the office, a pressed crease."""
    legs, tone = _legs(design.cut["fit"], design), seam(design.colour)
    legs.paint(sheet, design.fabric)
    _fly(sheet, legs, tone)
    _slant_pockets(sheet, legs, design)
    if design.cut["front"] == "pressed":
        x = legs.stance
        for crease in both(curve((22, legs.top + 14), (x * 0.92, 180), (x, legs.bottom))):
            sheet.line(crease, tone)
    _waistband(sheet, legs, design.fabric, tone)
    sheet.paint(oval(2, legs.top + 7, 2, 2), darker(design.colour, 0.5), relief=0.6)


def paint_track_pants(sheet: Sheet, design: Design) -> None:
    """Draw track pants: stripes down the sides, an elastic waist with a cord, cuffed or open."""
    cuffed = design.cut["leg"] == "cuffed"
    legs = _legs("straight" if cuffed else "wide", design)
    legs.paint(sheet, design.fabric)
    for inset in {"1 stripe": (5,), "2 stripes": (5, 10)}[design.cut["stripes"]]:
        for stripe in both(shift(legs.side, -inset, 0)):
            sheet.line(stripe, design.accent, 2.2)
    if cuffed:
        x, y = legs.stance, legs.bottom
        for cuff in both(box(x - 13, y - 12, x + 13, y + 3)):
            sheet.paint(cuff, design.trim, lift=0.5)
    _elastic_band(sheet, legs, design)


def _elastic_band(sheet: Sheet, legs: Legs, design: Design) -> None:
    top = legs.top
    sheet.paint(legs.waistband(14), design.trim, relief=0.8, lift=0.5)
    for x in range(-int(legs.waist), int(legs.waist) + 1, 4):
        sheet.line([(x, top - 1), (x, top + 12)], seam(design.trim.ground), 0.5)
    for cord in both(curve((3, top + 6), (7, top + 24), (5, top + 42))):
        sheet.line(cord, lighter(design.accent, 0.4), 1.6)


def paint_shorts(sheet: Sheet, design: Design) -> None:
    """Draw shorts, short or to the knee: for sport with an elastic waist, cargo or tailored."""
    legs, tone = _legs(design.cut["length"], design), seam(design.colour)
    legs.paint(sheet, design.fabric)
    if design.cut["style"] == "sport":
        for stripe in both(shift(legs.side, -5, 0)):
            sheet.line(stripe, design.accent, 4)
        _elastic_band(sheet, legs, design)
        return
    _fly(sheet, legs, tone)
    _hems(sheet, legs, tone)
    _slant_pockets(sheet, legs, design)
    if design.cut["style"] == "cargo":
        _cargo_pockets(sheet, legs, design)
    _waistband(sheet, legs, design.fabric, tone)
    sheet.paint(oval(2, legs.top + 6, 2.4, 2.4), STEEL, lift=0.5)


def _cargo_pockets(sheet: Sheet, legs: Legs, design: Design) -> None:
    x, y = legs.stance + 14, legs.crotch + 4
    for part in (box(x - 13, y, x + 13, y + 38), box(x - 14, y - 3, x + 14, y + 9)):
        for pocket in both(part):
            sheet.paint(pocket, design.fabric, lift=0.7, relief=0.6)
