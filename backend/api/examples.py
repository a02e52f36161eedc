"""Examples in the OpenAPI document: values that work with the sample catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backend.api.answer_examples import ANSWERS, OF_OPERATIONS

FEED_ADDRESS: Final = "https://images.example/feed.csv"

PARAMETERS: Final[Mapping[str, Any]] = {
    "Sku": "0001",
    "User": "u-7",
    "ImageNumber": 1,
    "JobId": 1,
    "GenerationId": 1,
    "FeedName": "images.example",
    "PlacementName": "pdp-similar",
    "RuleId": 1,
    "ExperimentName": "calmer-home",
    "RecommendationId": "967915ec1a914613b211833198d840c5",
}
"""Name of a shared parameter -> its example. Only what a request needs has one: pages that try
requests fill in each example, and all filters together find nothing."""

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
    "ProductPatch": {"price": 24.9, "attributes": {"fit": None}},
    "BatchBody": {"items": [{"sku": "0002", **_PRODUCT}]},
    "BatchPatchBody": {"items": [{"sku": "0001", "price": 24.9}]},
    "SkusBody": {"skus": ["0005", "nobody"]},
    "ReadBody": {"skus": ["0001", "nobody"], "fields": ["price", "state"]},
    "SimilarBody": {
        "sku": "0001",
        "limit": 5,
        "exclude": ["0002"],
        "group_by": "group_id",
        "restrict": ["gender"],
        "filter": {"base_colour": {"not": ["Red"]}, "year": {"gte": 2000}},
    },
    "SimilarBatchBody": {
        "skus": ["0001", "0002", "nobody"],
        "limit": 3,
        "fields": ["display_name", "price"],
        "filter": {"in_stock": True},
    },
    "ExperimentBody": {
        "placement": "home",
        "against": "home-diverse",
        "share": 0.5,
        "state": "stopped",
    },
    "PlacementBody": {
        "limit": 12,
        "filter": {"in_stock": True},
        "restrict": ["gender"],
        "group_by": "group_id",
        "boost": [{"field": "freshness", "weight": 0.05}],
    },
    "RuleBody": {
        "action": "pin",
        "name": "new collection",
        "skus": ["0002"],
        "position": 1,
        "condition": {"gender": ["Women"]},
        "starts_at": "2026-11-27T00:00:00Z",
        "ends_at": "2036-12-01T00:00:00Z",
    },
    "PreviewBody": {
        "rules": [{"action": "bury", "filter": {"base_colour": "Red"}, "weight": 0.2}],
        "sample": 20,
    },
    "ReindexBody": {"promote": "manual"},
    "QuarantineBody": {"skus": ["0009"]},
    "PurgeBody": {"skus": ["0009"]},
    "ForceBody": {"force": False},
    "FeedBody": {"url": FEED_ADDRESS, "every_seconds": 3600, "options": {"map": {"sku": "id"}}},
    "FeedChange": {"paused": True},
    "FeedRunBody": {"force": True},
    "RecommendationBody": {
        "user": "u-7",
        "positive": ["0001", {"sku": "0002", "weight": 2.0}],
        "negative": ["0003"],
        "limit": 5,
        "filter": {"in_stock": [True]},
    },
    "EventBody": {"id": "e-1", "kind": "view", "sku": "0001", "user": "u-7", "session": "s-1"},
    "EventBatchBody": {
        "items": [
            {"id": "e-1", "kind": "view", "sku": "0001", "user": "u-7", "session": "s-1"},
            {"id": "e-2", "kind": "purchase", "sku": "0002", "user": "u-7", "basket": "o-1"},
        ]
    },
}
"""Name of a body's model -> its example."""


def add_examples(spec: Mapping[str, Any]) -> None:
    """Add PARAMETERS, BODIES and ANSWERS to an OpenAPI document."""
    for name, parameter in spec["components"]["parameters"].items():
        if name in PARAMETERS:
            parameter["example"] = PARAMETERS[name]
    for path in spec["paths"].values():
        for operation in path.values():
            _add_example(operation.get("requestBody", {}), BODIES)
            for answer in operation["responses"].values():
                _add_example(answer, ANSWERS)
    _add_to_operations(spec["paths"])


def _add_to_operations(paths: Mapping[str, Any]) -> None:
    """Give the operations of OF_OPERATIONS an example of their own."""
    operations = (operation for path in paths.values() for operation in path.values())
    for operation in operations:
        if (example := OF_OPERATIONS.get(operation["operationId"])) is not None:
            operation["responses"]["200"]["content"]["application/json"]["example"] = example


def _add_example(described: Mapping[str, Any], examples: Mapping[str, Any]) -> None:
    content = described.get("content", {}).get("application/json", {})
    model = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    if model in examples:
        content["example"] = examples[model]
