"""Shoes from the side, the toe to the left; flip flops from above."""

from __future__ import annotations

from sample_catalogue.colours import BRASS, CORK, INK, WHITE, brightness, darker, lighter, seam
from sample_catalogue.design import Design
from sample_catalogue.pencil import Path, band, box, curve, flip, oval, shift, trace, turn
from sample_catalogue.sheet import Sheet

_LOW_UPPER = """
    (-102,200 -99,182 -76,164 -44,152 -8,126 14,104) (24,106 46,126 66,130 84,118 94,112)
    (98,114 97,140 101,168 101,200)"""
_HIGH_UPPER = """
    (-102,200 -98,182 -76,164 -44,152 -10,126 8,70) (24,66 60,68 94,64)
    (97,66 94,110 97,150 101,200)"""


def paint_sports_shoe(sheet: Sheet, design: Design) -> None:
    """Draw a running shoe: a thick sole with a coloured layer, laces, stripes or a wave."""
    sheet.paint(trace("(24,128 6,96 22,90 42,118)"), design.trim, relief=1.2)
    sheet.paint(trace(_LOW_UPPER), design.fabric, relief=1.5)
    toe = trace("(-101,196 -94,176 -68,162 -56,174 -66,200)")
    heel = trace("(97,132 99,160 101,196) (56,196 66,168 84,140)")
    for patch in (toe, heel):
        sheet.paint(patch, design.accent, relief=1.1)
    for mark in _MARKS[design.cut["mark"]]:
        sheet.paint(trace(mark), design.accent, relief=0.5)
    _laces(sheet, design, knots=6)
    _runner_sole(sheet, design)


_MARKS = {
    "wave": ("(66,150 20,178 -26,182) (-34,172 10,192 72,160)",),
    "stripes": ("14,142 26,144 10,190 -2,190", "36,142 48,144 32,190 20,190"),
}


def _laces(sheet: Sheet, design: Design, *, knots: int) -> None:
    """Draw laces across the throat, which climbs from the toe box to the ankle."""
    lace = WHITE if brightness(design.colour) < 0.8 else darker(design.accent, 0.1)
    strand = band(trace("(-47,150 -38,156 -32,167)"), 3.6)
    for i in range(knots):
        climb = i / (knots - 1)
        sheet.paint(shift(strand, 60 * climb, -48 * climb), lace, lift=0.5, relief=0.7)


def _runner_sole(sheet: Sheet, design: Design) -> None:
    upper_edge, lower_edge = (
        "(-106,192 -60,199 0,196 60,192 106,186)",
        "(110,204 106,222 20,226 -70,226 -98,218 -108,200)",
    )
    sheet.paint(trace(f"{upper_edge} {lower_edge}"), WHITE, relief=1.2, lift=0.6)
    sheet.line(trace("(-104,206 -40,212 40,210 107,202)"), design.accent, 2.6)
    tread = trace("(-98,216 -60,222 20,222 106,216) 104,226 (20,230 -70,230 -94,222)")
    sheet.paint(tread, INK, relief=0.6)
    for x in range(-84, 100, 14):
        sheet.line([(x, 223), (x + 4, 230)], WHITE, 1.2)


def paint_casual_shoe(sheet: Sheet, design: Design) -> None:
    """Draw a canvas shoe with a rubber sole, low or covering the ankle."""
    high = design.cut["height"] == "high"
    tongue = "(14,110 6,60 22,56 44,110)" if high else "(14,110 6,97 22,94 44,110)"
    sheet.paint(trace(tongue), design.trim)
    sheet.paint(trace(_HIGH_UPPER if high else _LOW_UPPER), design.fabric, relief=1.4)
    if high:
        sheet.paint(oval(60, 128, 13, 13), WHITE, relief=0.5, lift=0.4)
        sheet.paint(oval(60, 128, 8, 8), design.accent, relief=0.4)
    _laces(sheet, design, knots=5)
    sheet.paint(trace("(93,150 101,172 101,200) 86,200 84,150"), design.accent, relief=0.7)
    sheet.paint(trace("(-103,206 -101,186 -84,172 -66,178 -58,206)"), WHITE, relief=1.1)
    sole = trace("(-105,196 0,199 104,194) (107,206 104,218 0,221 -98,219 -106,206)")
    sheet.paint(sole, WHITE, relief=0.9, lift=0.5)
    sheet.line(trace("(-104,202 0,205 105,200)"), design.accent, 1.6)


def paint_formal_shoe(sheet: Sheet, design: Design) -> None:
    """Draw a leather shoe: an oxford with laces, or a slip-on with a strap."""
    tone = seam(design.colour)
    opening = trace("(20,130 50,122 92,126 70,146 30,142)")
    sheet.paint(opening, darker(design.colour, 0.6))
    upper = trace("""(-108,203 -104,190 -70,170 -34,160 -4,140 16,122)
        (26,124 50,140 72,140 92,126) (97,128 97,150 100,176 99,203)""")
    sheet.paint(upper, design.fabric, relief=1.6, gloss=0.5)
    sheet.stitch(trace("(-58,164 -48,182 -56,202)"), tone)
    sheet.stitch(trace("(60,142 52,170 58,202)"), tone)
    {"lace-up": _lace_up, "slip-on": _slip_on}[design.cut["closure"]](sheet, design)
    sole = trace("(-110,200 -40,204 30,202 102,200) 103,222 62,222 (58,211 0,210 -96,211 -109,205)")
    sheet.paint(sole, darker(CORK, 0.7), relief=0.7)
    sheet.stitch(trace("(-107,203 -40,206 56,205)"), darker(CORK, 0.3))


def _lace_up(sheet: Sheet, design: Design) -> None:
    flap = trace("(-14,146 2,134 16,122) (30,128 34,158 8,168)")
    sheet.paint(flap, design.fabric, lift=0.8, gloss=0.3)
    strand = band(trace("-9,140 5,151"), 2.4)
    for i in range(4):
        sheet.paint(shift(strand, 7 * i, -6 * i), darker(design.colour, 0.7), lift=0.4)


def _slip_on(sheet: Sheet, design: Design) -> None:
    strap = band(trace("(-32,158 -14,176 -6,200)"), 15)
    sheet.paint(strap, design.fabric, lift=0.9, gloss=0.3)
    sheet.paint(oval(-16, 174, 6, 5, squareness=5), BRASS, lift=0.5, gloss=0.5)


def paint_heel(sheet: Sheet, design: Design) -> None:
    """Draw a court shoe or an ankle-strap sandal on a stiletto, a block or a wedge."""
    seat = 148 + design.jitter(3)  # the height of the heel's seat
    arch = curve((-100, 220), (-84, 224), (-48, 223), (-8, 204), (34, seat + 18), (86, seat + 4))
    _heel_support(sheet, design, arch, seat)
    sheet.paint(band(arch, 7), darker(design.colour, 0.45), relief=0.8)
    {"court": _court_upper, "sandal": _sandal_straps}[design.cut["upper"]](sheet, design, seat)


def _heel_support(sheet: Sheet, design: Design, arch: Path, seat: float) -> None:
    if design.cut["heel"] == "wedge":
        sheet.paint([*arch, (92, seat + 10), (90, 226), (-90, 227)], CORK, relief=1.1)
        return
    foot, tip = {"stiletto": (80, 3.5), "block": (74, 14)}[design.cut["heel"]]
    inner = curve((52, seat + 12), (foot - tip - 4, seat + 40), (foot - tip, 224))
    outer = curve((foot + tip, 224), (90, seat + 40), (92, seat + 2))
    sheet.paint([*inner, *outer], design.fabric.shaded(0.12), gloss=0.2, relief=1.2)
    sheet.paint(box(foot - tip, 222, foot + tip, 227), INK, relief=0.4)


def _court_upper(sheet: Sheet, design: Design, seat: float) -> None:
    far_edge = curve((-50, 190), (-16, 186), (26, seat - 2), (60, seat - 26), (90, seat - 42))
    inside = [*far_edge, (88, seat - 20), *curve((60, seat - 2), (20, seat + 14), (-40, 200))]
    sheet.paint(inside, lighter(design.colour, 0.5), relief=0.5)
    near_edge = curve((-34, 199), (0, 196), (36, seat), (66, seat - 22), (90, seat - 42))
    back = curve((97, seat - 30), (96, seat - 10), (90, seat + 6))
    sole = curve((90, seat + 6), (34, seat + 18), (-8, 204), (-48, 222), (-84, 223), (-104, 218))
    upper = [*trace("(-104,218 -96,204 -72,192 -50,190)"), *near_edge, *back, *sole]
    sheet.paint(upper, design.fabric, gloss=0.5, relief=1.6)


def _sandal_straps(sheet: Sheet, design: Design, seat: float) -> None:
    for strap in (
        trace("(-74,221 -70,196 -48,188 -38,213)"),
        trace("(-46,221 -42,194 -16,184 -8,207)"),
    ):
        sheet.paint(band(strap, 8), design.fabric, gloss=0.2, lift=0.5)
    back = shift(trace("(72,2 74,-30 88,-58) (98,-58 98,-20 91,6)"), 0, seat)
    sheet.paint(back, design.fabric, gloss=0.3, relief=1.2)
    ankle = shift(trace("(94,-52 64,-66 28,-62 30,-52 66,-50 94,-42)"), 0, seat)
    sheet.paint(band(ankle, 6), design.fabric, gloss=0.2, lift=0.5)
    sheet.paint(oval(44, seat - 53, 4, 5, squareness=4), BRASS, lift=0.5, gloss=0.5)


def paint_flip_flops(sheet: Sheet, design: Design) -> None:
    """Draw a pair of flip flops from above, slightly apart at the toes."""
    sole = trace("""(-30,200 -38,90 -26,52 2,40 28,56 36,104 28,160 30,220
        20,262 0,270 -22,258 -30,200)""")
    thong = (trace("(-3,84 -22,112 -33,168)"), trace("(-3,84 20,112 29,168)"))
    for left in (True, False):
        sheet.paint(shift(_placed(sole, left=left), 0, 3), darker(design.accent, 0.25), relief=0.6)
        sheet.paint(_placed(sole, left=left), design.fabric, relief=1.1)
        for strap in thong:
            outline = band(_placed(strap, left=left), 9, end_width=12)
            sheet.paint(outline, design.accent, lift=1.4, gloss=0.25)
        sheet.paint(_placed(oval(-3, 84, 5, 5), left=left), design.accent, lift=0.6)


def _placed(path: Path, *, left: bool) -> Path:
    """Return a right shoe's part in its place beside the other, or the left shoe's."""
    placed = shift(turn(path, 7, about=(0, 160)), 48, 4)
    return flip(placed) if left else placed
