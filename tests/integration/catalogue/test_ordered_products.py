"""Products in the order of a column, and those whose names hold words: compared with Python."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from backend.catalogue import ordered_products
from backend.catalogue.names import has_words
from backend.catalogue.ordered_products import LONGEST, Order, Place, place_of
from backend.database.engine import Database
from backend.database.models import Product, utcnow

NAMES = [
    "Jäger-Hemd",
    "JAGER hemd",
    "jäger",
    "Zoë's [Wool] Scarf*",
    "20% off_now? \\ sale",
    "ÉCLAIR Bluse",
    "éclair bluse",
    "eclair",
    "Šaty Černé",
    "ПЛАТЬЕ красное",
    "Ёлка",
    "Ωραίο",
    "シャツ",
    "a.b+c(d)|e^f$g",
    "x" * (LONGEST + 20) + "a",
    "x" * (LONGEST + 20) + "b",
    "Zebra",
    "apple",
    "Apple",
    "",
    None,
]
WORDS = [
    *("jager", "JÄG", "hemd jäg", "zoe", "[wool]", "scarf*", "20%", "off_now?", "\\", "eclair"),
    *("BLUSE éclair", "saty cerne", "платье", "елка", "ωραιο", "シャツ", "a.b+c(d)|e^f$g", "x y"),
    *("^f", "*", "?", "[", "]", "-", "acme", "ACME s-00", "S-001", "é" * 3, "nothing"),
]


@dataclass(frozen=True)
class Row:
    """A product as Python sees it."""

    id: int
    sku: str
    display_name: str | None
    brand: str | None
    price: float | None
    year: int | None


@pytest.fixture
def rows(any_db: Database) -> Iterator[list[Row]]:
    """A catalogue with many equal and missing values, and a removed product."""
    draw = random.Random(7)
    made = [
        Row(
            id=number,
            sku=draw.choice(("s", "S", "é", "Z", "_")) + f"-{draw.randrange(10**6):06}-{number}",
            display_name=NAMES[number % len(NAMES)],
            brand=draw.choice(("Acme", "Zoë", None)),
            price=draw.choice((None, 0.0, 9.9, 10.0, 39.95, 9999999999.99)),
            year=draw.choice((None, 1999, 2026)),
        )
        for number in range(1, 120)
    ]
    gone = {**vars(made[0]), "id": 500, "sku": "gone", "removed_at": utcnow()}

    def store(session: Any) -> None:
        session.execute(insert(Product), [vars(it) for it in made])
        session.execute(insert(Product), [gone])

    any_db.write(store)
    yield made
    any_db.write(lambda session: session.execute(delete(Product)))


def folded(text: str) -> str:
    """Return a text as the search sees it, by the standard library alone."""
    parts = unicodedata.normalize("NFD", text.casefold())
    return "".join(it for it in parts if not unicodedata.combining(it))


@pytest.mark.parametrize("text", WORDS)
def test_words_are_found_whatever_their_capitals_and_accents(
    any_db: Database, rows: list[Row], text: str
) -> None:
    def holds(row: Row, word: str) -> bool:
        return any(
            folded(word) in folded(it or "") for it in (row.sku, row.display_name, row.brand)
        )

    with any_db.read() as session:
        also = [has_words(session, text)]
        found = [it.id for it in ordered_products.page(session, limit=500, also=also)]

    assert found == [it.id for it in rows if all(holds(it, word) for word in text.split())]


def lowered(name: str | None) -> str | None:
    return name and "".join(it.lower() if it.isascii() else it for it in name)[:LONGEST]


VALUES: dict[str, Callable[[Row], Any]] = {
    "added": lambda row: row.id,
    "sku": lambda row: row.sku,
    "display_name": lambda row: lowered(row.display_name),
    "price": lambda row: row.price,
    "year": lambda row: row.year,
}


def in_order(rows: list[Row], order: Order) -> list[int]:
    """Return the ids in an order, those without a value last."""
    value = VALUES[order.column]
    down = order.is_down
    # Code points of UTF-8 go as its bytes, so Python's order of texts is that of both databases.
    valued = sorted(
        (it for it in rows if value(it) is not None),
        key=lambda it: (value(it), it.id),
        reverse=down,
    )
    empty = sorted((it for it in rows if value(it) is None), key=lambda it: it.id, reverse=down)
    return [it.id for it in [*valued, *empty]]


def pages(db: Database, order: Order, between: Callable[[], None] = lambda: None) -> list[int]:
    """Return the ids of all pages of seven products; something happens between two pages."""
    found: list[int] = []
    after: Place | None = None
    while True:
        with db.read() as session:
            page = ordered_products.page(session, limit=7, order=order, after=after)
            after = place_of(page[-1], order) if page else None
        if after is None:
            return found
        found += [it.id for it in page]
        between()


@pytest.mark.parametrize("order", list(Order))
def test_pages_go_through_all_products_in_order(
    any_db: Database, rows: list[Row], order: Order
) -> None:
    assert pages(any_db, order) == in_order(rows, order)


@pytest.mark.parametrize("order", list(Order))
def test_a_product_that_does_not_change_is_shown_once_while_others_change(
    any_db: Database, rows: list[Row], order: Order
) -> None:
    draw = random.Random(3)
    changing = {it.id for it in rows if it.id % 3 == 0}

    def change(session: Any) -> None:
        for id_ in draw.sample(sorted(changing), 5):
            values = {
                "display_name": draw.choice(NAMES),
                "price": draw.choice((None, 1.0, 50.0)),
                "year": draw.choice((None, 1990, 2030)),
                "removed_at": draw.choice((None, utcnow())),
            }
            session.execute(update(Product).where(Product.id == id_).values(**values))

    found = pages(any_db, order, between=lambda: any_db.write(change))

    steady = [it for it in found if it not in changing]
    assert steady == in_order([it for it in rows if it.id not in changing], order)
