"""What `GET /v1/products` is asked for beside its filter: words, an order, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from backend.api import parameters
from backend.api.schemas import pages
from backend.api.schemas.query import QueryReader
from backend.catalogue.names import LONGEST, MOST_WORDS, words_of
from backend.catalogue.ordered_products import Order, Place, may_be_at, place_of
from backend.catalogue.texts import is_storable
from backend.database.models import Product

LIST: Final = "products"
"""What its cursors begin with."""

WORDS_RULE: Final = f"takes 1 to {MOST_WORDS} words, of {LONGEST} characters together at most"
OTHER_ORDER: Final = f"{pages.NOT_OF_THIS} in this order: send the same `sort` with each page"

WORDS: Final = parameters.text(
    "q",
    "words, or parts of words, that each product's sku, name or brand holds; capital letters and "
    f"accents do not count; {WORDS_RULE}",
    most=LONGEST,
)
SORT: Final = parameters.one_of(
    "sort",
    Order,
    "the order: `-` is the other way round, and products without a value come last; `added` if "
    "absent. With each page the same",
)


def read_words(reader: QueryReader) -> str | None:
    """Return the words that are searched for, None without any."""
    text = reader.text("q")
    if text is None:
        return None
    is_allowed = 1 <= len(words_of(text)) <= MOST_WORDS and len(text) <= LONGEST
    if not is_allowed or not is_storable(text):
        reader.refuse("q", WORDS_RULE)
    return text


def read_place(reader: QueryReader, order: Order) -> Place | None:
    """Return where the page begins, None for the first one."""
    if order is Order.ADDED:
        after_id = reader.cursor(LIST)
        return Place(id=after_id) if after_id else None
    text = reader.text("cursor")
    if text is None:
        return None
    try:
        last, value = pages.read_place(text, f"{LIST}:{order}")
    except ValueError:
        reader.refuse("cursor", OTHER_ORDER, code="invalid-cursor")
        return None
    if not may_be_at(order, value):
        reader.refuse("cursor", OTHER_ORDER, code="invalid-cursor")
        return None
    return Place(id=last, value=value)


def next_cursor(found: Sequence[Product], order: Order, limit: int) -> str | None:
    """Return the cursor of the page behind the first `limit` products, None if there are no more.

    In the order in which products were added it is the same as before there were others.
    """
    if order is Order.ADDED or len(found) <= limit:
        return pages.next_cursor(LIST, [it.id for it in found], limit)
    last = place_of(found[limit - 1], order)
    return pages.write_place(f"{LIST}:{order}", last.id, last.value)
