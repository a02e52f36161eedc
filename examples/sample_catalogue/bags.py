"""Handbags, backpacks and clutches."""

from __future__ import annotations

from sample_catalogue.colours import BRASS, STEEL, brightness, darker, lighter, seam
from sample_catalogue.design import Design
from sample_catalogue.pencil import Path, band, both, box, curve, mirror, oval, shift, trace
from sample_catalogue.sheet import Sheet


def paint_handbag(sheet: Sheet, design: Design) -> None:
    """Draw a handbag: an open tote, a round hobo, or a satchel with a flap."""
    {"tote": _tote, "hobo": _hobo, "satchel": _satchel}[design.cut["shape"]](sheet, design)


def _tote(sheet: Sheet, design: Design) -> None:
    w, thread = 74 + design.jitter(6), seam(design.colour)
    handle = trace("(-34,150 -31,96 -15,72 15,72 31,96 34,150)")
    sheet.paint(band(shift(handle, 0, 8), 7), darker(design.accent, 0.3))
    side = curve((w - 4, 120), (w, 122), (w + 12, 240), (w + 6, 252))
    sheet.paint(mirror([(0, 122), *side, (0, 255)]), design.fabric, gloss=0.35, relief=1.3)
    sheet.stitch([(-w + 2, 132), (w - 2, 132)], thread)
    sheet.stitch([(-w - 6, 240), (w + 6, 240)], thread)
    sheet.paint(band(handle, 7), design.accent, lift=1)
    for foot in both(oval(34, 150, 6.5, 8, squareness=4)):
        sheet.paint(foot, design.accent, lift=0.6)
    for rivet in both(oval(34, 150, 2.2, 2.2)):
        sheet.paint(rivet, BRASS, gloss=0.5)
    sheet.paint(box(-9, 166, 9, 178), BRASS, lift=0.6, gloss=0.4)


def _hobo(sheet: Sheet, design: Design) -> None:
    strap = trace("(-64,162 -56,96 -26,54 0,46 26,54 56,96 64,162)")
    sheet.paint(band(strap, 11), design.accent, relief=1.2)
    bulge = curve((78, 146), (88 + design.jitter(5), 200), (62, 246), (0, 258))
    folds = [curve((x, 160), (x * 1.1, 190), (x * 0.9, 226)) for x in (-46, -24, 6, 30, 52)]
    body = mirror([*trace("(0,164 44,152 70,132)"), *bulge])
    sheet.paint(body, design.fabric, gloss=0.3, relief=1.5, folds=folds)
    zip_line = trace("(-64,144 -40,162 0,173 40,162 64,144)")
    sheet.line(zip_line, darker(design.colour, 0.5), 1.6)
    for ring in both(oval(66, 142, 7, 9)):
        sheet.line(ring, BRASS, 2)
    strands = [trace("0,178 0,214"), trace("4,182 5,214")]
    sheet.paint(trace("-3,172 3,172 8,214 -8,214"), design.accent, lift=1, folds=strands)


def _satchel(sheet: Sheet, design: Design) -> None:
    grip = trace("(-24,136 -20,106 0,98 20,106 24,136)")
    sheet.paint(band(grip, 7), design.accent, relief=1.2)
    body = mirror(trace("0,132 (78,130 86,138 88,236 80,246 0,248)"))
    sheet.paint(body, design.fabric, gloss=0.2, relief=1.4)
    flap = mirror(trace("0,126 (80,125 88,134 86,186) (78,200 40,206 0,207)"))
    sheet.paint(flap, design.fabric, gloss=0.3, lift=1.6)
    sheet.stitch(trace("(-82,186 -74,196 0,202 74,196 82,186)"), seam(design.colour))
    for belt in both(box(38, 150, 50, 226)):
        sheet.paint(belt, design.accent, lift=1, relief=0.7)
    for buckle in both(oval(44, 212, 9, 8, squareness=6)):
        sheet.line(buckle, BRASS, 2.4)
    for prong in both(trace("44,205 44,219")):
        sheet.line(prong, lighter(BRASS, 0.2), 1.6)


def paint_backpack(sheet: Sheet, design: Design) -> None:
    """Draw a backpack from the front: straps at the sides, zips, pockets, a handle on top."""
    y = design.jitter(6)
    for strap in both(trace("(50,84 88,130 84,216 64,262)")):
        sheet.paint(band(strap, 10), darker(design.accent, 0.3))
    sheet.paint(band(shift(trace("(-15,50 -10,32 10,32 15,50)"), 0, y), 6), design.accent)
    bag = mirror(curve((0, 42 + y), (46, 50 + y), (68, 96), (75, 200), (70, 270), (0, 280)))
    sheet.paint(bag, design.fabric, relief=1.6, gloss=0.15)
    half = curve((0, 58 + y), (38, 66 + y), (58, 100), (61, 158))
    _zipper(sheet, [*reversed(mirror(half))], design)
    pockets = {"one pocket": ((162, 268, 57),), "two pockets": ((134, 182, 46), (192, 268, 58))}
    for top, bottom, wide in pockets[design.cut["front"]]:
        _pocket(sheet, design, top, bottom, wide)
    sheet.paint(oval(0, 112, 17, 8, squareness=5), design.accent, lift=0.5, relief=0.6)
    for clasp in both(band(trace("73,214 58,222"), 5)):
        sheet.paint(clasp, darker(design.colour, 0.5), lift=0.6)


def _pocket(sheet: Sheet, design: Design, top: float, bottom: float, wide: float) -> None:
    upper = curve((wide - 10, top + 1), (wide, top + 10))
    lower = curve((wide + 3, bottom - 10), (wide - 8, bottom), (0, bottom + 2))
    sheet.paint(mirror([(0, top), *upper, *lower]), design.trim, relief=1.3, lift=1.2)
    _zipper(sheet, [(-wide + 8, top + 13), (wide - 8, top + 13)], design)


def _zipper(sheet: Sheet, path: Path, design: Design) -> None:
    sheet.line(path, darker(design.colour, 0.55), 3)
    sheet.stitch(path, STEEL if brightness(design.colour) < 0.5 else darker(STEEL, 0.4), 1.2)
    x, y = path[-1]
    sheet.paint(box(x - 2, y - 2, x + 2, y + 12), STEEL, lift=0.5)


def paint_clutch(sheet: Sheet, design: Design) -> None:
    """Draw a clutch: an envelope, or a box with a kiss lock."""
    body = mirror(trace("0,116 (88,115 95,122 95,206 88,212 0,213)"))
    sheet.paint(body, design.fabric, gloss=0.3, relief=1.3)
    {"envelope": _envelope_flap, "box": _kiss_lock}[design.cut["shape"]](sheet, design)


def _envelope_flap(sheet: Sheet, design: Design) -> None:
    point = 180 + design.jitter(8)
    flap = mirror([*trace("0,114 93,114 94,121"), *curve((12, point - 4), (0, point))])
    sheet.paint(flap, design.fabric, gloss=0.4, lift=1.6)
    sheet.paint(oval(0, point - 10, 6, 6), BRASS, lift=0.8, gloss=0.5)


def _kiss_lock(sheet: Sheet, design: Design) -> None:
    frame = mirror(trace("0,108 (86,108 95,112 96,124) 0,124"))
    sheet.paint(frame, BRASS, gloss=0.5, relief=1.4)
    for bead in both(oval(5, 105, 6, 6)):
        sheet.paint(bead, BRASS, gloss=0.6, lift=0.5)
    rise = design.jitter(8)
    chain = curve((-88, 116), (-70, 76 - rise), (0, 60 - rise), (70, 76 - rise), (88, 116))
    sheet.line(chain, darker(BRASS, 0.25), 2.2)
    sheet.stitch(chain, lighter(BRASS, 0.4), 1.2)
