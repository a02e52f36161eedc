"""Invent styles, each in one to three colourways, and describe them as a shop would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

from sample_catalogue.assortment import Kind, kinds
from sample_catalogue.colours import PALETTE, Colour, brightness
from sample_catalogue.design import Design
from sample_catalogue.fabric import Fabric

_BRANDS = (
    "Alderley", "Coppice", "Fennick", "Halden", "Juniper Row", "Kestrel", "Lumen", "Marlowe",
    "Norrland", "Ostara", "Pell & Co", "Quill", "Saltmarsh", "Tamsin", "Wexcombe",
)  # fmt: skip
_YEARS = ("2011", "2012", "2012", "2013", "2015", "2016", "2017")
_UNSPOKEN = {"plain", "denim", "knit"}  # patterns that a name does not mention


@dataclass(frozen=True, kw_only=True)
class Item:
    """One product of the sample: its line in styles.csv, its price, and its looks."""

    id: int
    kind: Kind
    design: Design
    brand: str
    gender: str
    base_colour: str
    season: str
    year: str
    usage: str
    price: int

    @property
    def name(self) -> str:
        """The display name, in the order that the data set uses: brand, gender, looks, noun."""
        pattern = self.design.fabric.pattern
        words = [
            self.brand,
            self.gender,
            "" if pattern in _UNSPOKEN else pattern.title(),
            self.base_colour,
            self.design.cut.get(self.kind.spoken, "").title(),
            self.kind.noun,
        ]
        return " ".join(word for word in words if word)


def invent(count: int, *, seed: int) -> list[Item]:
    """Invent `count` products in shuffled order; the same ones for the same seed."""
    rng = Random(seed)
    ids = rng.sample(range(10_001, 60_000), count)
    items = list(islice(_items(rng, iter(ids)), count))
    rng.shuffle(items)
    return items


def _items(rng: Random, ids: Iterator[int]) -> Iterator[Item]:
    for kind in _kinds(rng):
        yield from _colourways(kind, rng, ids)


def _kinds(rng: Random) -> Iterator[Kind]:
    """Yield every kind once, then whole decks in which a kind lies as often as its share."""
    yield from kinds()
    deck = [kind for kind in kinds() for _ in range(kind.share)]
    while True:
        yield from rng.sample(deck, len(deck))


def _colourways(kind: Kind, rng: Random, ids: Iterator[int]) -> Iterator[Item]:
    """Yield one style in one to three colours."""
    cut = {part: rng.choice(values) for part, values in kind.cut.items()}
    pattern, size, seed = rng.choice(kind.patterns), rng.uniform(10, 18), rng.randrange(1 << 30)
    brand, gender = rng.choice(_BRANDS), rng.choice(kind.genders)
    season, year, usage = rng.choice(kind.seasons), rng.choice(_YEARS), rng.choice(kind.usages)
    price = rng.randint(*kind.prices) // 100 * 100 + 99
    for colour in rng.sample(kind.colours, min(rng.choice((1, 2, 2, 3)), len(kind.colours))):
        accent = _accent(kind, colour, rng)
        ground, figure = _dye(colour, rng), _dye(accent, rng)
        fabric = Fabric(ground=ground, figure=figure, pattern=pattern, size=size, seed=seed)
        yield Item(
            id=next(ids),
            kind=kind,
            design=Design(fabric=fabric, accent=figure, cut=cut, seed=seed),
            brand=brand,
            gender=gender,
            base_colour=colour,
            season=season,
            year=year,
            usage=usage,
            price=price,
        )


def _accent(kind: Kind, colour: str, rng: Random) -> str:
    """Choose a second colour that stands out from the first."""
    if kind.accents:
        return rng.choice([a for a in kind.accents if a != colour])
    light = brightness(PALETTE[colour])
    usual = ("White", "Black", "Navy Blue", "Red", "Yellow", "Cream", "Maroon", "Turquoise Blue")
    return rng.choice([a for a in usual if abs(brightness(PALETTE[a]) - light) > 0.3])


def _dye(colour: str, rng: Random) -> Colour:
    """Return the named colour a little off: no two dyers agree."""
    depth = rng.randint(-6, 6)
    red, green, blue = (
        min(max(channel + depth + rng.randint(-3, 3), 0), 255) for channel in PALETTE[colour]
    )
    return red, green, blue
