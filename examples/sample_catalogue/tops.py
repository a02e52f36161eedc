"""T-shirts, shirts and kurtas, sweaters and jackets: what is worn above the waist."""

from __future__ import annotations

from dataclasses import replace

from sample_catalogue.colours import STEEL, WHITE, Colour, brightness, darker, lighter, seam
from sample_catalogue.design import Design
from sample_catalogue.pencil import Path, band, both, box, curve, mirror, oval, trace, turn
from sample_catalogue.sheet import Sheet
from sample_catalogue.torso import SLEEVES, Torso, paint_neck_inside


def paint_tshirt(sheet: Sheet, design: Design) -> None:
    """Draw a T-shirt: round, v or polo neck; short or long sleeves; a print on some."""
    neck = design.cut["neck"]
    torso = Torso(
        vee=neck == "v-neck",
        depth={"v-neck": 44, "polo": 30}.get(neck, 20) + design.jitter(2),
        chest=66 + design.jitter(3),
        waist=63 + design.jitter(4, part=1),
        bottom=262 + design.jitter(8, part=2),
    )
    paint_neck_inside(sheet, torso, design)
    SLEEVES[design.cut["sleeve"]].paint(sheet, torso, design.fabric, design.trim)
    sheet.paint(torso.outline, design.fabric, folds=torso.folds)
    hem = curve((-64, torso.bottom - 6), (0, torso.bottom - 1), (64, torso.bottom - 6))
    sheet.stitch(hem, seam(design.colour))
    if neck == "polo":
        _polo_collar(sheet, torso, design)
    else:
        sheet.paint(band(torso.neckline, 5), design.trim, relief=0.6)
    if design.cut["chest"] == "printed":
        _chest_print(sheet, design)


def _polo_collar(sheet: Sheet, torso: Torso, design: Design) -> None:
    low = torso.low
    sheet.paint(box(-5, low - 2, 5, low + 38), design.trim, relief=0.5, lift=0.6)
    for y in (low + 8, low + 20, low + 31):
        sheet.paint(oval(0, y, 1.8, 1.8), WHITE, relief=0.6, lift=0.4)
    for leaf in both(_collar_leaf(torso, reach=24)):
        sheet.paint(leaf, design.trim, lift=1, relief=0.7)


def _collar_leaf(torso: Torso, *, reach: float) -> Path:
    """Return the right half of a turned-down collar."""
    n, top, low = torso.neck, torso.top, torso.low
    return [
        (n - 4, top - 7),
        (n + 5, top - 2),
        (n + 9, top + 8),
        (n + 3, top + reach + 8),
        *curve((1, low), (n * 0.62, top + torso.depth * 0.5), (n - 4, top - 7)),
    ]


def _chest_print(sheet: Sheet, design: Design) -> None:
    """Print one of four simple figures on the chest, in the accent colour."""
    for outline, ink in _figure(design.seed % 4, design.colour, design.accent):
        sheet.paint(outline, ink, relief=0.2)


def _figure(which: int, ground: Colour, ink: Colour) -> list[tuple[Path, Colour]]:
    """Return a target, bars, mountains with a sun, or a star."""
    if which == 0:
        return [(oval(0, 148, r, r), c) for r, c in ((28, ink), (19, ground), (10, ink))]
    if which == 1:
        return [(box(-32, y, 32, y + 9), ink) for y in (126, 142, 158)]
    if which == 2:
        ridge = trace("-34,174 -8,122 4,144 12,132 34,174")
        return [(ridge, ink), (oval(22, 120, 8, 8), lighter(ink))]
    middle = (0, 148)
    points = [(0, 118 if i % 2 == 0 else 135) for i in range(10)]
    return [([turn([p], i * 36, about=middle)[0] for i, p in enumerate(points)], ink)]


def paint_shirt(sheet: Sheet, design: Design) -> None:
    """Draw a buttoned shirt with a collar, a placket and, with long sleeves, cuffs."""
    torso = Torso(
        depth=22,
        neck=17,
        chest=66 + design.jitter(3),
        waist=63 + design.jitter(4, part=1),
        bottom=262 + design.jitter(6, part=2),
        sag=12,
    )
    sleeves = SLEEVES[design.cut["sleeve"]]
    cuffed = replace(sleeves, band=12 if sleeves.length > 150 else 0)
    paint_neck_inside(sheet, torso, design)
    cuffed.paint(sheet, torso, design.fabric, design.trim)
    sheet.paint(torso.outline, design.fabric, folds=torso.folds)
    _placket(sheet, torso, design)
    if design.cut["pocket"] == "pocket":
        _chest_pocket(sheet, design)
    for leaf in both(_collar_leaf(torso, reach=30)):
        sheet.paint(leaf, design.fabric, lift=1.2, relief=0.7)


def _placket(sheet: Sheet, torso: Torso, design: Design) -> None:
    low, end = torso.low, torso.bottom + torso.sag
    sheet.paint(box(-6, low, 6, end - 0.5), design.fabric, relief=0.35, lift=0.5)
    button = WHITE if brightness(design.colour) < 0.7 else darker(design.colour, 0.4)
    for i in range(7):
        y = low + 10 + i * (end - low - 22) / 6
        sheet.paint(oval(0, y, 2, 2), button, relief=0.8, lift=0.5)


def _chest_pocket(sheet: Sheet, design: Design) -> None:
    pocket = trace("18,112 44,112 44,138 31,145 18,138 18,112")
    sheet.paint(pocket, design.fabric, relief=0.4, lift=0.5)
    sheet.stitch(pocket, seam(design.colour))
    sheet.stitch(trace("18,118 44,118"), seam(design.colour))


def paint_top(sheet: Sheet, design: Design) -> None:
    """Draw a woman's top: narrow at the waist, with straps or cap sleeves."""
    strappy = design.cut["sleeve"] == "sleeveless"
    torso = Torso(
        top=40,
        neck=26 if strappy else 22,
        depth=38 if strappy else 30,
        vee=design.cut["neck"] == "v-neck",
        shoulder=36 if strappy else 46,
        drop=6,
        armpit=104,
        chest=48,
        waist=41 + design.jitter(2),
        hem={"fitted": 47, "flared": 66}[design.cut["fit"]] + design.jitter(3, part=1),
        bottom=238 + design.jitter(10, part=2),
        sag=8,
    )
    paint_neck_inside(sheet, torso, design)
    SLEEVES[design.cut["sleeve"]].paint(sheet, torso, design.fabric, design.trim)
    gathers = _gathers(torso) if design.cut["fit"] == "flared" else []
    sheet.paint(torso.outline, design.fabric, folds=[*torso.folds, *gathers])
    sheet.paint(band(torso.neckline, 3), design.trim, relief=0.5)


def _gathers(torso: Torso) -> list[Path]:
    """Return folds that fan out from the waist to the hem."""
    waist, hem = torso.waist_at, torso.bottom
    return [
        curve((x * 0.62, waist - 4), (x * 0.85, waist + 30), (x, hem))
        for x in (-48, -26, -6, 14, 34, 54)
    ]


def paint_kurta(sheet: Sheet, design: Design) -> None:
    """Draw a kurta: a long straight tunic with a standing collar and a short placket."""
    torso = Torso(
        top=22,
        neck=15,
        shoulder=49,
        drop=11,
        armpit=88,
        chest=55,
        waist=52 + design.jitter(2),
        hem=68 + design.jitter(4, part=1),
        bottom={"long": 306, "short": 268}[design.cut["length"]],
        sag=2,
    )
    paint_neck_inside(sheet, torso, design)
    SLEEVES[design.cut["sleeve"]].paint(sheet, torso, design.fabric, design.trim)
    sheet.paint(torso.outline, design.fabric, folds=torso.folds)
    sheet.paint(box(-7, torso.low - 1, 7, torso.low + 62), design.accent, relief=0.4, lift=0.4)
    for y in (8, 21, 34, 47):
        sheet.paint(oval(0, torso.low + y, 1.7, 1.7), lighter(design.accent, 0.6), relief=0.7)
    sheet.paint(band(torso.neckline, 8), design.accent, relief=0.7, lift=0.4)
    _border(sheet, torso, design)


def _border(sheet: Sheet, torso: Torso, design: Design) -> None:
    """Draw the woven border over the hem, and the slits at the sides."""
    x, y = torso.hem, torso.bottom
    sheet.paint(
        band([(-x + 0.5, y - 7), (0, y - 5), (x - 0.5, y - 7)], 7), design.accent, relief=0.3
    )
    for slit in both([(x - 7, y), (x - 12, y - 58)]):
        sheet.line(slit, darker(design.colour, 0.4), 0.9)


def paint_sweater(sheet: Sheet, design: Design) -> None:
    """Draw a pullover: knitted, with ribbed cuffs and hem; round, v or high neck."""
    neck = design.cut["neck"]
    torso = Torso(
        vee=neck == "v-neck",
        depth={"v-neck": 50, "high neck": 8}.get(neck, 16),
        neck=18,
        chest=69 + design.jitter(2),
        waist=70,
        hem=61,
        bottom=246 + design.jitter(6),
        sag=3,
    )
    sleeves = replace(SLEEVES["long sleeve"], cuff=26, band=16, length=196)
    paint_neck_inside(sheet, torso, design)
    sleeves.paint(sheet, torso, design.fabric, design.trim)
    sheet.paint(torso.outline, design.fabric, folds=torso.folds, relief=1.2)
    _rib(sheet, torso, design)
    if neck == "high neck":
        roll = mirror(trace("0,22 (14,22 18,24) 21,46 (14,51 0,53)"))
        sheet.paint(roll, design.trim, lift=0.8)
    else:
        sheet.paint(band(torso.neckline, 7), design.trim, relief=0.8, lift=0.4)


def _rib(sheet: Sheet, torso: Torso, design: Design) -> None:
    """Draw the ribbed hem."""
    x, y = torso.hem, torso.bottom
    hem = mirror([(0, y - 14), (x + 1, y - 14), (x - 2, y + 4), (0, y + 4)])
    sheet.paint(hem, design.trim, relief=0.8)
    for at in range(-int(x) + 3, int(x) - 1, 4):
        sheet.line([(at, y - 13), (at, y + 3)], seam(design.trim.ground), 0.6)


def paint_jacket(sheet: Sheet, design: Design) -> None:
    """Draw a zipped jacket with a standing collar or a hood, slanted pockets and ribbed hem."""
    torso = Torso(
        neck=20,
        depth=10,
        chest=70 + design.jitter(3),
        shoulder=64,
        waist=71,
        hem=64,
        bottom=246 + design.jitter(6, part=1),
        sag=2,
    )
    sleeves = replace(SLEEVES["long sleeve"], cuff=29, band=14, length=194)
    hooded = design.cut["collar"] == "hooded"
    (_hood if hooded else paint_neck_inside)(sheet, torso, design)
    sleeves.paint(sheet, torso, design.fabric, design.trim)
    sheet.paint(torso.outline, design.fabric, folds=torso.folds, relief=1.3, gloss=0.12)
    _rib(sheet, torso, design)
    for pocket in both([(24, 176), (42, 214)]):
        sheet.paint(band(pocket, 4.5), design.trim, lift=0.5)
        sheet.line(pocket, darker(design.colour, 0.55), 1)
    _zip(sheet, torso.low - 6, torso.bottom + 4)
    if not hooded:
        for half in both(trace("0,24 (0,24 12,21 21,25) 26,42 0,54")):
            sheet.paint(half, design.trim, lift=1)


def _hood(sheet: Sheet, torso: Torso, design: Design) -> None:
    y = torso.top
    hood = mirror([*curve((0, y - 28), (24, y - 22), (36, y + 4), (30, y + 24)), (0, y + 28)])
    sheet.paint(hood, design.fabric, relief=1.2)
    sheet.paint(oval(0, y + 2, 20, 24), design.fabric.shaded(0.5), relief=0.6)


def _zip(sheet: Sheet, top: float, bottom: float) -> None:
    teeth = [(0.0, top), (0.0, bottom)]
    sheet.line(teeth, darker(STEEL, 0.35), 3)
    sheet.stitch(teeth, STEEL, 1.6)
    sheet.paint(box(-2, top + 2, 2, top + 13), STEEL, lift=0.5)
