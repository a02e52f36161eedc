"""Skirts and dresses."""

from __future__ import annotations

from sample_catalogue.colours import BRASS
from sample_catalogue.design import Design
from sample_catalogue.pencil import Path, band, curve, mirror, oval, shift, trace
from sample_catalogue.sheet import Sheet
from sample_catalogue.torso import SLEEVES, Torso, paint_neck_inside


def paint_skirt(sheet: Sheet, design: Design) -> None:
    """Draw a skirt: a-line, pencil or pleated, above or below the knee."""
    shape, top, waist = design.cut["shape"], 58, 36
    bottom = {"short": 200, "midi": 262}[design.cut["length"]] + design.jitter(6)
    hem = {"a-line": 78, "pencil": 43, "pleated": 86}[shape] + design.jitter(4, part=1)
    hip = 54 if shape == "pencil" else waist + (hem - waist) * 0.42
    edge = _pleated_hem if shape == "pleated" else _curved_hem
    side = curve((waist, top), (hip, top + 52), (hem, bottom))
    outline = mirror([(0, top), *side, *edge(hem, bottom)])
    if shape == "pencil":
        folds = [trace("(40,110 18,122 -8,118)"), trace("(-42,132 -20,142 6,138)")]
    elif shape == "pleated":
        folds = _fan((waist, top + 10), (hem, bottom), count=11)
    else:
        folds = _fan((waist, top + 44), (hem, bottom), count=5)
    sheet.paint(outline, design.fabric, relief=1.2, folds=folds)
    waistband = mirror(trace("0,53 36,51 38,66 0,69"))
    sheet.paint(waistband, design.trim, relief=0.7, lift=0.5)


def _curved_hem(hem: float, bottom: float) -> Path:
    return curve((hem, bottom), (hem / 2, bottom + 6), (0, bottom + 8))


def _pleated_hem(hem: float, bottom: float) -> Path:
    """Return a zigzag from the side to the middle."""
    return [(hem * (1 - i / 12), bottom + 7 * i / 12 + i % 2 * 4) for i in range(13)]


def _fan(waist: tuple[float, float], hem: tuple[float, float], *, count: int) -> list[Path]:
    """Return folds that fan out; both ends are given as half-width and height."""
    (w, start), (h, end) = waist, hem
    shares = [(2 * i + 1) / count - 1 for i in range(count)]
    return [
        curve((w * s, start), ((w + h) / 2 * s, (start + end) / 2), (h * s, end + 4))
        for s in shares
    ]


def paint_dress(sheet: Sheet, design: Design) -> None:
    """Draw a dress: a narrow bodice over a skirt that is a-line, straight or long."""
    strappy = design.cut["sleeve"] == "sleeveless"
    torso = Torso(
        top=20,
        neck=24 if strappy else 20,
        depth=34 if strappy else 26,
        vee=design.cut["neck"] == "v-neck",
        shoulder=33 if strappy else 42,
        drop=6,
        armpit=76,
        chest=43 + design.jitter(1),
        waist=34,
        hem=34,
        bottom=134,
        sag=2,
    )
    paint_neck_inside(sheet, torso, design)
    SLEEVES[design.cut["sleeve"]].paint(sheet, torso, design.fabric, design.trim)
    _dress_skirt(sheet, design)
    sheet.paint(torso.outline, design.fabric, folds=torso.folds[:2])
    sheet.paint(band(torso.neckline, 3), design.trim, relief=0.5)
    if design.cut["waist"] == "belted":
        belt = mirror(trace("0,127 35,126 36,136 0,138"))
        sheet.paint(belt, design.accent, relief=0.7, lift=0.5)
        sheet.paint(oval(0, 132.5, 6, 6, squareness=5), BRASS, lift=0.5)


def _dress_skirt(sheet: Sheet, design: Design) -> None:
    """Paint the skirt from under the bodice to the hem."""
    shape = design.cut["shape"]
    hem, bottom = {"a-line": (82, 242), "shift": (50, 230), "maxi": (80, 304)}[shape]
    low = bottom + design.jitter(4)
    if shape == "shift":
        folds = [shift(trace("(32,110 14,122 -6,118)"), 0, 60)]
    else:
        folds = _fan((33, 140), (hem, low), count=5)
    side = curve((33, 128), ((33 + hem) / 2, 172), (hem, low))
    outline = mirror([(0, 126), *side, *_curved_hem(hem, low)])
    sheet.paint(outline, design.fabric, folds=folds, relief=1.2)
