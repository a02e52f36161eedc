"""A question about similar items, and its answer in JSON."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from backend.api.schemas.products import SPELT, write_products
from backend.api.schemas.reading import Reader
from backend.database.engine import Database
from backend.filters import Schema
from backend.search.similar import MAX_LIMIT, Answer, Query


def read_query(reader: Reader, fields: Schema) -> tuple[Query, list[str]]:
    """Return the query, and the members of the products that are wanted.

    The last thing to be read: raises the Problem if anything was wrong.
    """
    limit = reader.integer("limit", default=10, least=1, most=MAX_LIMIT)
    exclude = reader.skus("exclude")
    wanted = reader.words_among("fields", SPELT)
    min_score = reader.number("min_score", least=-1, most=1)
    where = reader.where(fields)
    reader.finish()
    return Query(limit=limit, where=where, exclude=exclude, min_score=min_score), wanted


def write_answer(
    db: Database,
    answer: Answer,
    *,
    fields: Collection[str] = (),
    request_id: str | None = None,
    took_ms: float | None = None,
) -> dict[str, Any]:
    """Return similar items as JSON, best first."""
    with db.read() as session:
        shown = write_products(session, [item.product for item in answer.items], fields=fields)
    return {
        "items": [
            {"sku": item.product.sku, "score": item.score, "product": product}
            for item, product in zip(answer.items, shown, strict=True)
        ],
        "generation": answer.generation.id,
        "request_id": request_id,
        "meta": answer.meta | ({} if took_ms is None else {"took_ms": took_ms}),
    }
