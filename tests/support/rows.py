"""Rows for tests of the queue: generations, products, and a look at what the queue made of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event, select, update

from backend import queue
from backend.database.engine import Database
from backend.database.models import ACTIVE, Generation, IndexEntry, Product

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_generation(db: Database, *, state: str = ACTIVE, name: str = "g1", size: int = 3) -> int:
    generation = Generation(
        collection=name, embedder="mean-colour", fingerprint="f", size=size, state=state
    )
    db.write(lambda session: session.add(generation))
    return generation.id


def make_products(db: Database, count: int, **values: Any) -> list[int]:
    """Catalogue products that nobody has requested yet."""
    products = [Product(sku=f"s{number}", **values) for number in range(count)]
    db.write(lambda session: session.add_all(products))
    return [product.id for product in products]


def request(db: Database, ids: list[int], *, image: bool = True, **options: Any) -> None:
    options = {"priority": queue.IMPORT, "now": NOON} | options
    db.write(lambda session: queue.request(session, ids, image=image, **options))


def entry(db: Database, product_id: int, generation_id: int = 1) -> IndexEntry:
    with db.read() as session:
        return session.get_one(IndexEntry, (generation_id, product_id))


def entries(db: Database) -> dict[tuple[int, int], IndexEntry]:
    """Return all entries by (generation, product)."""
    with db.read() as session:
        rows = session.scalars(select(IndexEntry)).all()
    return {(row.generation_id, row.product_id): row for row in rows}


def arrange(db: Database, ids: list[int], **values: Any) -> None:
    """Bring entries of the first generation into a certain state."""
    change = update(IndexEntry).where(IndexEntry.generation_id == 1, IndexEntry.product_id.in_(ids))
    db.write(lambda session: session.execute(change.values(values)))


def numbers(row: IndexEntry) -> tuple[int, int, int]:
    """Return (wanted, embedded, indexed)."""
    return row.wanted, row.embedded, row.indexed


@contextmanager
def statements_of(db: Database) -> Iterator[list[str]]:
    """Collect the statements that reach the database."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield statements
    event.remove(db.engine, "before_cursor_execute", note)


@contextmanager
def traced(db: Database) -> Iterator[list[str]]:
    """Collect all that SQLite is told, also past SQLAlchemy, with the values in the text."""
    told: list[str] = []
    drivers: list[Any] = []

    def trace(driver: Any, _record: Any, _proxy: Any) -> None:
        driver.set_trace_callback(told.append)
        drivers.append(driver)

    event.listen(db.engine, "checkout", trace)
    for kept in db.kept.free if db.kept else ():
        trace(kept, None, None)
    try:
        yield told
    finally:
        event.remove(db.engine, "checkout", trace)
        for driver in drivers:
            driver.set_trace_callback(None)
