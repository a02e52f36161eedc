"""The kinds of product in the sample: how each is drawn, and how shops describe it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

from sample_catalogue import accessories, bags, bottoms, footwear, skirts, tops
from sample_catalogue.design import Design
from sample_catalogue.sheet import Sheet

Words: TypeAlias = tuple[str, ...]
Painter: TypeAlias = Callable[[Sheet, Design], None]

PAINTERS: dict[str, Painter] = {
    "Tshirts": tops.paint_tshirt,
    "Shirts": tops.paint_shirt,
    "Tops": tops.paint_top,
    "Kurtas": tops.paint_kurta,
    "Sweaters": tops.paint_sweater,
    "Jackets": tops.paint_jacket,
    "Dresses": skirts.paint_dress,
    "Skirts": skirts.paint_skirt,
    "Jeans": bottoms.paint_jeans,
    "Trousers": bottoms.paint_trousers,
    "Track Pants": bottoms.paint_track_pants,
    "Shorts": bottoms.paint_shorts,
    "Handbags": bags.paint_handbag,
    "Backpacks": bags.paint_backpack,
    "Clutches": bags.paint_clutch,
    "Belts": accessories.paint_belt,
    "Ties": accessories.paint_tie,
    "Caps": accessories.paint_cap,
    "Watches": accessories.paint_watch,
    "Sunglasses": accessories.paint_sunglasses,
    "Socks": accessories.paint_socks,
    "Heels": footwear.paint_heel,
    "Sports Shoes": footwear.paint_sports_shoe,
    "Casual Shoes": footwear.paint_casual_shoe,
    "Formal Shoes": footwear.paint_formal_shoe,
    "Flip Flops": footwear.paint_flip_flops,
}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of product, as `assortment.toml` describes it.

    A style is made by drawing one word from each list; a word that is listed twice is drawn twice
    as often.
    """

    noun: str  # the last word of a display name
    category: str  # "master category / sub-category / article type"
    colours: Words
    prices: tuple[int, int]  # the lowest and the highest
    cut: Mapping[str, Words] = field(default_factory=dict)  # part -> its shapes
    spoken: str = ""  # the part whose shape is also a word of the display name
    patterns: Words = ("plain",)
    accents: Words = ()  # second colours; none: any that stands out
    genders: Words = ("Men", "Women")
    usages: Words = ("Casual",)
    seasons: Words = ("Summer", "Summer", "Fall")
    share: int = 3  # how common the kind is

    @property
    def categories(self) -> tuple[str, str, str]:
        """Master category, sub-category and article type."""
        master, sub, article = self.category.split(" / ")
        return master, sub, article

    @property
    def paint(self) -> Painter:
        """The function that draws it."""
        return PAINTERS[self.categories[2]]


@cache
def kinds() -> tuple[Kind, ...]:
    """Read the assortment."""
    table = resources.files("sample_catalogue").joinpath("assortment.toml").read_text("utf-8")
    return tuple(Kind(**_frozen(row)) for row in tomllib.loads(table)["kind"])


def _frozen(value: Any) -> Any:
    """Turn lists into tuples, inside tables too."""
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value
