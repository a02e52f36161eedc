"""Similar items as JSON."""

from __future__ import annotations

import os
from collections.abc import Collection

import orjson

from backend.api.schemas import Json
from backend.api.schemas.written_products import ProductWriter
from backend.events.outcomes import id_of_similar
from backend.search import found
from backend.search.query import Answer
from backend.search.statements import SHOWN


def write_answer(
    answer: Answer,
    *,
    coverage: float,
    fields: Collection[str] = (),
    next_cursor: str | None = None,
    request_id: str | None = None,
    took_ms: float | None = None,
) -> Json:
    """Return similar items as JSON, best first."""
    meta = answer.meta | {"coverage": round(coverage, 4)}
    if took_ms is not None:
        meta["took_ms"] = took_ms
    writer = ProductWriter(fields)
    generation_id = answer.generation.id
    return {
        "items": [_write_item(item, writer) for item in answer.items],
        "next_cursor": next_cursor,
        "recommendation_id": id_of_similar(generation_id, os.urandom(16).hex()),
        "generation": generation_id,
        "request_id": request_id,
        "meta": meta,
    }


class EachAnswer:
    """Writes the answers of one request for many products. A product is written once."""

    def __init__(self, fields: Collection[str]) -> None:
        self._writer = ProductWriter(fields)
        self._written: dict[int, Json] = {}

    def write(self, sku: str, answer: Answer) -> Json:
        """Return what looks like one product."""
        written = {
            "sku": sku,
            "status": 200,
            "items": [self._item(item) for item in answer.items],
            "recommendation_id": id_of_similar(answer.generation.id, os.urandom(16).hex()),
            "query_state": answer.meta["query_state"],
            "index_lags": answer.meta["index_lags"],
        }
        shaped = ("restricted", "relaxed", "min_match_score", "rules", "left_out")
        return written | {name: answer.meta[name] for name in shaped if name in answer.meta}

    def _item(self, item: found.Neighbour) -> Json:
        row = item.product
        if row.id not in self._written:
            self._written[row.id] = product_of_item(item, self._writer)
        written = {"sku": row.sku, "score": item.score, "product": self._written[row.id]}
        return written | shaped_members(item) | _explained(item)


def shaped_members(item: found.Neighbour) -> Json:
    """Return what an item shows of how its list was shaped."""
    shown: Json = {} if item.group_size is None else {"group_size": item.group_size}
    if item.match is not None:
        shown["match"] = round(item.match, 4)
    if item.boost is not None:
        shown["boost"] = round(item.boost, 6)
    if item.pinned_by is not None:
        shown["pinned_by"] = item.pinned_by
    return shown | ({"relaxed": list(item.relaxed)} if item.relaxed else {})


def rules_of_item(item: found.Neighbour) -> list[Json]:
    """Return the rules that have acted on an item, as JSON."""
    return [{"id": rule.id, "action": rule.action} for rule in item.rules]


def product_of_item(item: found.Neighbour, writer: ProductWriter) -> Json:
    """Return the product of an item as JSON, with the members that are wanted."""
    row = item.product
    columns = dict(zip(SHOWN, row, strict=False))
    if isinstance(columns["attributes"], str):  # JSON as SQLite keeps it: it need not be read
        columns["attributes"] = orjson.Fragment(columns["attributes"])
    return writer.write(
        columns,
        item.state,
        item.reason,
        digest=row.image_digest,
        images=item.images,
        errors=item.image_errors,
    )


def _write_item(item: found.Neighbour, writer: ProductWriter) -> Json:
    product = product_of_item(item, writer)
    written = {"sku": item.product.sku, "score": item.score, "product": product}
    if item.group_size is None and item.boost is None and item.pinned_by is None:
        if item.match is not None:  # as `shaped_members` writes it, without a call
            written["match"] = round(item.match, 4)
        if item.relaxed:
            written["relaxed"] = list(item.relaxed)
    else:
        written |= shaped_members(item)
    if item.parts is not None:
        written |= _explained(item)
    return written


def _explained(item: found.Neighbour) -> Json:
    if item.parts is None:
        return {}
    parts = [
        {"name": name, "similarity": similarity, "weight": weight}
        for name, similarity, weight in item.parts
    ]
    return {"explain": {"parts": parts, "rules": rules_of_item(item), **_reasons(item)}}


def _reasons(item: found.Neighbour) -> Json:
    shown: Json = {} if item.shared is None else {"shared": dict(item.shared)}
    if item.rank is not None:
        percentile = item.rank.percentile
        rounded = None if percentile is None else round(percentile, 2)
        shown["category"] = {**item.rank._asdict(), "percentile": rounded}
    return shown
