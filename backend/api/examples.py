"""Examples in the OpenAPI document: values that work with the sample catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

FEED_ADDRESS: Final = "https://images.example/feed.csv"

PARAMETERS: Final[Mapping[str, Any]] = {
    "sku": "0001",
    "user": "u-7",
    "number": 1,
    "limit": 10,
    "filter": '{"attributes.fit": ["slim", "loose"], "attributes.weight": {"lte": 300}}',
    "base_colour": ["Red", "Blue"],
    "year_gte": 2012,
    "min_score": 0.5,
}
"""Name of a parameter -> its example, wherever it occurs and no body stands beside it."""

_PRODUCT: Final[Mapping[str, Any]] = {
    "display_name": "Red shirt",
    "gender": "Women",
    "base_colour": "Red",
    "year": 2012,
    "price": 19.9,
    "currency": "EUR",
    "attributes": {"fit": "slim", "sizes": ["S", "M"]},
}

BODIES: Final[Mapping[str, Any]] = {
    "ProductBody": _PRODUCT,
    "BatchBody": {"items": [{"sku": "0002", **_PRODUCT}]},
    "SimilarBody": {
        "sku": "0001",
        "limit": 5,
        "exclude": ["0002"],
        "filter": {"base_colour": {"not": ["Red"]}, "year": {"gte": 2000}},
    },
    "ReindexBody": {"promote": "manual"},
    "PurgeBody": {"skus": ["0009"]},
    "ForceBody": {"force": False},
    "FeedBody": {"url": FEED_ADDRESS, "every_seconds": 3600, "options": {"map": {"sku": "id"}}},
    "FeedChange": {"paused": True},
    "FeedRunBody": {"force": True},
    "EventBatchBody": {
        "items": [
            {"id": "e-1", "kind": "view", "sku": "0001", "user": "u-7", "session": "s-1"},
            {"id": "e-2", "kind": "purchase", "sku": "0002", "user": "u-7", "basket": "o-1"},
        ]
    },
}
"""Name of a body's model -> its example."""


def add_examples(paths: Mapping[str, Any]) -> None:
    """Add PARAMETERS and BODIES to the operations in an OpenAPI document."""
    for path in paths.values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                is_alone = parameter["in"] == "path" or "requestBody" not in operation
                if is_alone and parameter["name"] in PARAMETERS:
                    parameter["example"] = PARAMETERS[parameter["name"]]
            content = operation.get("requestBody", {}).get("content", {})
            body = content.get("application/json", {})
            model = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if model in BODIES:
                body["example"] = BODIES[model]
