"""Products by words of their names."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, and_, func, or_

from backend.catalogue.skus import normalise
from backend.database.models import Product

MOST_WORDS: Final = 8


def has_words(text: str) -> ColumnElement[bool]:
    """Return the condition that a name or brand holds each word of a text, or that it is the sku.

    Upper and lower case count as equal where the database can tell: SQLite only does for ASCII.
    Words after the first MOST_WORDS do not count.
    """
    words = text.lower().split()[:MOST_WORDS]
    named = and_(*(_holds(word) for word in words))
    return or_(Product.sku == normalise(text.strip()), named)


def _holds(word: str) -> ColumnElement[bool]:
    columns = (Product.display_name, Product.brand)
    return or_(*(func.lower(column).contains(word, autoescape=True) for column in columns))
