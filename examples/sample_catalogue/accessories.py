"""Watches, sunglasses, caps, belts, ties and socks."""

from __future__ import annotations

import math

from sample_catalogue.colours import (
    BRASS,
    INK,
    STEEL,
    WHITE,
    Colour,
    brightness,
    darker,
    lighter,
    mix,
    seam,
)
from sample_catalogue.design import Design
from sample_catalogue.pencil import (
    Path,
    Point,
    band,
    both,
    box,
    curve,
    mirror,
    oval,
    shift,
    trace,
    turn,
)
from sample_catalogue.sheet import Sheet

_MIDDLE: Point = (0, 160)  # of a watch's dial


def paint_watch(sheet: Sheet, design: Design) -> None:
    """Draw a wrist watch: round or square, on a leather strap or a metal bracelet."""
    on_bracelet = design.cut["strap"] == "bracelet"
    metal = design.colour if on_bracelet else {"steel": STEEL, "gold": BRASS}[design.cut["case"]]
    for end, near in ((14, 118), (306, 202)):
        (_bracelet if on_bracelet else _leather_strap)(sheet, design, near, end)
    radius, y = 56 + design.jitter(4), _MIDDLE[1]
    buttons = (-13, 0, 13) if design.cut["dial"] == "chronograph" else (0,)
    for offset in buttons:
        sheet.paint(box(radius - 4, y + offset - 4, radius + 8, y + offset + 4), metal, gloss=0.3)
    squareness = {"round": 2, "square": 5}[design.cut["face"]]
    rings = ((1.0, metal, 0.5), (0.88, darker(metal, 0.25), 0.2), (0.8, design.accent, 0.0))
    for scale, tone, gloss in rings:
        ring = oval(0, y, radius * scale, radius * scale, squareness=squareness)
        sheet.paint(ring, tone, gloss=gloss, lift=0.5)
    _dial(sheet, design, radius * 0.72)


def _half_strap(near: float, end: float) -> Path:
    """Return one half of a strap, which tapers from the case to its end."""
    middle = (near + end) / 2
    half = [(0, near), (29, near), *curve((27, middle), (21, end)), (0, end)]
    return mirror(half)


def _leather_strap(sheet: Sheet, design: Design, near: float, end: float) -> None:
    sheet.paint(_half_strap(near, end), design.fabric, relief=1.3, gloss=0.2)
    for edge in both([(17, end + math.copysign(6, near - end)), (23, near)]):
        sheet.stitch(edge, seam(design.colour))


def _bracelet(sheet: Sheet, design: Design, near: float, end: float) -> None:
    """Draw nine links with a polished middle row."""
    metal = design.colour
    sheet.paint(_half_strap(near, end), metal, relief=1.2, gloss=0.25)
    for i in range(9):
        y, following = (near + (end - near) * (i + k) / 9 for k in (0, 1))
        half = 28 - 6 * i / 9
        sheet.line([(-half, y), (half, y)], darker(metal, 0.55), 0.9)
        link = box(-half / 3, min(y, following) + 1, half / 3, max(y, following))
        sheet.paint(link, lighter(metal, 0.35), relief=0.9)


def _dial(sheet: Sheet, design: Design, radius: float) -> None:
    """Draw the hours, the hands at ten past ten and, on a chronograph, three small dials."""
    mark = WHITE if brightness(design.accent) < 0.5 else INK
    x, y = _MIDDLE
    if design.cut["dial"] == "chronograph":
        for angle in (90, 180, 270):
            cx, cy = turn([(x, y - radius * 0.45)], angle, about=_MIDDLE)[0]
            small = oval(cx, cy, radius * 0.24, radius * 0.24)
            sheet.paint(small, mix(design.accent, mark, 0.25), relief=0.4)
    for hour in range(12):
        length, width = (0.24, 2.2) if hour % 3 == 0 else (0.14, 1.3)
        tick = [(x, y - radius), (x, y - radius * (1 - length))]
        sheet.line(turn(tick, hour * 30, about=_MIDDLE), mark, width)
    for angle, reach, width in ((-58, 0.55, 3), (62, 0.82, 2.2), (195, 0.8, 0.8)):
        hand = [(x, y + 6), (x, y - radius * reach)]
        sheet.line(turn(hand, angle, about=_MIDDLE), mark, width)
    sheet.paint(oval(x, y, 3, 3), mark)


def paint_sunglasses(sheet: Sheet, design: Design) -> None:
    """Draw sunglasses from the front: aviator, square or round."""
    rim, shape = design.colour, design.cut["shape"]
    lens, thick = _lens(shape)
    for temple in both(trace("(92,138 104,142 108,168) (104,170 100,150 90,148)")):
        sheet.paint(temple, darker(rim, 0.2), gloss=0.2)
    sheet.paint(band(trace("(-16,152 0,144 16,152)"), thick / 2 + 1), rim, gloss=0.3)
    if shape == "aviator":
        sheet.paint(band(trace("-24,136 24,136"), thick / 2), rim, gloss=0.3)
    for glass in both(lens):
        sheet.paint(band([*glass, glass[1]], thick), rim, relief=1.2, gloss=0.3)
        sheet.paint(glass, design.accent, gloss=0.55, relief=1.4)
        left = min(x for x, _ in glass)
        streak = shift(trace("22,152 32,150 18,182 12,178"), left, 0)
        sheet.paint(streak, lighter(design.accent, 0.22), relief=0)


def _lens(shape: str) -> tuple[Path, float]:
    """Return the right lens and the rim's thickness."""
    if shape == "aviator":
        return trace("(16,142 42,134 80,136 92,150 82,188 54,202 28,190 15,160 16,142)"), 4
    if shape == "round":
        return oval(54, 164, 36, 36), 5.2
    return trace("(14,144 50,138 96,136 98,150 86,190 54,196 24,190 13,160 14,144)"), 10


def paint_cap(sheet: Sheet, design: Design) -> None:
    """Draw a baseball cap, the peak to the left."""
    tone = seam(design.colour)
    rise = 88 + design.jitter(5)
    dome = curve(
        (-62, 190), (-58, 132), (-20, rise + 4), (28, rise), (74, 112), (92, 160), (94, 196)
    )
    sheet.paint([*dome, *trace("(60,206 0,206 -62,192)")], design.fabric, relief=1.7)
    for x, y in ((-48, 196), (16, 204), (78, 201)):
        panel = curve((14, rise), ((14 + x) / 2 + x * 0.16, 132), (x, y))
        sheet.stitch(panel, tone)
    for eyelet in (oval(-12, 122, 2.4, 2.4), oval(44, 118, 2.4, 2.4)):
        sheet.paint(eyelet, tone, relief=0.5)
    sheet.paint(oval(14, rise, 7, 4), design.accent, lift=0.4)
    peak = "(-64,184 -96,192 -114,214 -106,224) (-80,214 -40,206 8,208) (0,198 -30,190 -64,184)"
    contrast = design.cut["peak"] == "contrast"
    sheet.paint(trace(peak), design.accent if contrast else design.colour, relief=1.3, lift=1)
    sheet.stitch(trace("(-70,190 -94,200 -104,216)"), tone)
    if design.cut["front"] == "badge":
        sheet.paint(oval(-22, 158, 15, 17), lighter(design.accent, 0.1), lift=0.6, relief=0.5)
        sheet.paint(oval(-22, 158, 8, 9), design.colour, relief=0.4)


def paint_belt(sheet: Sheet, design: Design) -> None:
    """Draw a belt closed to a ring, seen from slightly above, the buckle in front."""
    height = 44 + design.jitter(4)
    ring = oval(0, 160, 98, height)
    front, back = ring[:25], ring[24:]
    sheet.paint([*back, *reversed(shift(back, 0, 24))], darker(design.colour, 0.4), relief=0.7)
    sheet.paint([*front, *reversed(shift(front, 0, 26))], design.fabric, relief=1.3, gloss=0.2)
    for drop in (4, 22):
        sheet.stitch(shift(front[1:-1], 0, drop), seam(design.colour))
    for x in (44, 57, 69):
        y = 173 + height * math.sqrt(1 - (x / 98) ** 2)
        sheet.paint(oval(x, y, 2, 2), darker(design.colour, 0.7), relief=0.3)
    metal = {"steel": STEEL, "gold": BRASS}[design.cut["buckle"]]
    {"plate": _plate, "prong": _prong}[design.cut["clasp"]](sheet, design, metal, 173 + height)


def _plate(sheet: Sheet, _design: Design, metal: Colour, y: float) -> None:
    sheet.paint(oval(-2, y, 27, 20, squareness=6), metal, gloss=0.6, lift=1.2)
    sheet.paint(oval(-2, y, 21, 14, squareness=6), darker(metal, 0.12), gloss=0.4, relief=0.6)


def _prong(sheet: Sheet, design: Design, metal: Colour, y: float) -> None:
    frame = oval(-2, y, 22, 19, squareness=7)
    sheet.paint(band([*frame, frame[1]], 6), metal, gloss=0.4, lift=1)
    sheet.paint(band([(-22, y), (20, y)], 4), lighter(metal, 0.2), lift=0.8)
    sheet.paint(box(28, y - 17, 36, y + 12), design.fabric, lift=0.7, relief=0.8)


def paint_tie(sheet: Sheet, design: Design) -> None:
    """Draw a knotted tie, its loop above and its blade down to the point."""
    wide = {"wide": 24, "narrow": 16}[design.cut["width"]] + design.jitter(1)
    loop = trace("(-10,60 -34,36 -10,16 24,18 34,38 10,60)")
    sheet.paint(band(loop, 9), design.fabric, angle=40)
    blade = mirror([(0, 62), *curve((9, 66), (12, 140), (wide, 280)), (0, 308)])
    sheet.paint(blade, design.fabric, angle=38, relief=1.2, folds=[trace("(-3,74 -5,150 -4,220)")])
    knot = mirror(trace("0,46 17,47 (17,50 11,70) 8,78 0,80"))
    sheet.paint(knot, design.fabric, angle=-32, relief=1.3, lift=1)


def paint_socks(sheet: Sheet, design: Design) -> None:
    """Draw a pair of socks, one behind the other: ankle, crew or knee length."""
    top, rise = {"ankle": (150, 50), "crew": (84, 26), "knee": (22, 0)}[design.cut["length"]]
    for x, y in ((26, -4), (-14, 6)):
        _sock(sheet, design, top, x, y - rise)


def _sock(sheet: Sheet, design: Design, top: float, x: float, y: float) -> None:
    leg = trace(f"""(-8,{top} 28,{top - 2} 62,{top}) (60,160 62,210 66,238 50,262)
        (20,264 -30,288 -64,292 -82,276 -74,256 -42,238 -10,212 -6,160 -8,{top})""")
    folds = [trace("(-2,216 14,220 30,232)"), trace("(-6,204 12,206 24,214)")]
    sheet.paint(
        shift(leg, x, y),
        design.fabric,
        relief=1.4,
        lift=1.2,
        folds=[shift(fold, x, y) for fold in folds],
    )
    toe = trace("(-64,292 -82,276 -74,256 -62,250 -48,290 -64,292)")
    heel = trace("(67,230 64,248 50,262 34,262 48,236 67,230)")
    for patch in (toe, heel):
        sheet.paint(shift(patch, x, y), design.accent, relief=0.9)
    cuff = trace(f"(-9,{top} 28,{top - 2} 63,{top}) 62,{top + 22} 28,{top + 19} -8,{top + 20}")
    sheet.paint(shift(cuff, x, y), design.accent, relief=1.1)
    for i in range(17):
        at = x - 6 + i * 4.1
        sheet.line([(at, y + top), (at, y + top + 19)], seam(design.accent), 0.5)
