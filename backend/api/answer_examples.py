"""Examples of answers in the OpenAPI document, as the server gives them for a few products."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_DIGEST: Final = "fdd59ee6341c38182c915e2c79f53ff615f277ee9d749fbad979626afa8ea9f5"
_FINGERPRINT: Final = "62b1486b36df6da70cc68500a0ee9738ecd9768113c2c1b2f97cefc73b8a2d9c"
_IMAGE: Final = f"http://localhost:8000/v1/products/0002/image?v={_DIGEST[:16]}"
_AT: Final = "2026-11-29T02:07:33.303848+00:00"

_CURSOR: Final = "yTbY0k1uYb0pZq3bH2mJ3QEAAAAAmgqYfN2oL5cQn1sVv8c0NwEBQDFh"

_PRODUCT: Final[Mapping[str, Any]] = {
    "sku": "0002",
    "display_name": "Red shirt",
    "gender": "Women",
    "master_category": "Apparel",
    "sub_category": "Topwear",
    "article_type": "Shirts",
    "base_colour": "Red",
    "season": "Summer",
    "year": 2012,
    "usage": "Casual",
    "group_id": None,
    "brand": None,
    "price": 19.9,
    "currency": "EUR",
    "in_stock": True,
    "link": "https://shop.example/0002",
    "attributes": {"fit": "slim", "sizes": ["S", "M"]},
    "image_uri": f"store://{_DIGEST}",
    "images": [
        {
            "uri": f"store://{_DIGEST}",
            "role": None,
            "digest": _DIGEST,
            "url": _IMAGE,
            "state": "indexed",
            "reason": None,
        }
    ],
    "state": "indexed",
    "reason": None,
    "image_url": _IMAGE,
}
_BATCH_PROBLEM: Final[Mapping[str, Any]] = {
    "type": "urn:lookalike:problem:invalid-product",
    "title": "The product has a field that cannot be stored",
    "status": 422,
    "detail": "price: must be greater than or equal to 0",
    "code": "invalid-product",
    "errors": [
        {
            "pointer": "/price",
            "code": "invalid-value",
            "detail": "must be greater than or equal to 0",
        }
    ],
}
_JOB: Final[Mapping[str, Any]] = {
    "id": 1,
    "verb": "purge",
    "arguments": {"skus": ["0009"], "everywhere": False},
    "state": "queued",
    "done": 0,
    "total": None,
    "rate": None,
    "seconds_left": None,
    "result": None,
    "error": None,
    "created_at": _AT,
    "started_at": None,
    "finished_at": None,
    "cancelled_at": None,
}
_NAMED_GENERATION: Final[Mapping[str, Any]] = {
    "id": 1,
    "collection": "lookalike-20261129T020727471486-62b1486b",
    "embedder": "lookalike-blocks",
    "fingerprint": _FINGERPRINT,
    "size": 512,
    "state": "active",
}
_GENERATION: Final[Mapping[str, Any]] = {
    **_NAMED_GENERATION,
    "quantization": None,
    "index_options": {},
    "blocks": [{"name": "look", "start": 0, "stop": 512}],
    "attribute_tokens": True,
    "products": 3,
    "pending": 0,
    "indexed": 3,
    "quarantined": 0,
    "created_at": _AT,
    "promoted_at": None,
    "retired_at": None,
    "dropped_at": None,
    "quality": None,
    "match": {
        "by": "article_type",
        "scores": [0.31, 0.52, 0.74],
        "shares": [0.08, 0.41, 0.97],
        "error": 0.021,
        "pairs": 9600,
        "products": 4200,
    },
}
_FEED: Final[Mapping[str, Any]] = {
    "name": "images.example",
    "location": "https://images.example/feed.csv",
    "every_seconds": 3600,
    "options": {"map": {"sku": "id"}},
    "paused": False,
    "due_at": _AT,
    "failures": 0,
    "job": None,
    "last_run": None,
}
_ARM: Final[Mapping[str, Any]] = {
    "arm": "control",
    "impressions": 5000,
    "clicks": 200,
    "carts": 25,
    "click_through": [0.04, 0.0349, 0.0458],
    "add_to_cart": [0.005, 0.0034, 0.0074],
}
_EXPERIMENT: Final[Mapping[str, Any]] = {
    "name": "calmer-home",
    "placement": "home",
    "against": "home-diverse",
    "generation": None,
    "share": 0.5,
    "state": "running",
    "reason": None,
    "created_at": _AT,
    "stopped_at": None,
    "arms": [_ARM, {**_ARM, "arm": "treatment"}],
}
_PLACEMENT: Final[Mapping[str, Any]] = {
    "name": "pdp-similar",
    "version": 1,
    "settings": {"limit": 12, "group_by": "group_id"},
    "updated_at": _AT,
}


_RULE: Final[Mapping[str, Any]] = {
    "id": 1,
    "version": 1,
    "settings": {"action": "pin", "name": "new collection", "skus": ["0002"], "position": 1},
    "state": "active",
    "problems": [
        {"code": "sold-out", "detail": "a product that is sold out is not pinned", "sku": "0002"}
    ],
    "created_at": _AT,
    "updated_at": _AT,
}


_SIMILAR: Final[Mapping[str, Any]] = {
    "items": [{"sku": "0002", "score": 0.9183, "match": 0.97, "product": _PRODUCT}],
    "next_cursor": _CURSOR,
    "recommendation_id": "similar-1-5b0e4f9a7c1d4c2f8e3a6b9d0c1f2e3a",
    "generation": 1,
    "request_id": "967915ec1a914613b211833198d840c5",
    "meta": {
        "embedder": "lookalike-blocks",
        "fingerprint": _FINGERPRINT,
        "search_mode": "exact",
        "index_lags": False,
        "colour": None,
        "query_state": "indexed",
        "coverage": 1.0,
        "took_ms": 4.5,
    },
}
_META: Final[Mapping[str, Any]] = _SIMILAR["meta"]
_REPLAYED: Final[Mapping[str, Any]] = {
    "recommendation_id": "967915ec1a914613b211833198d840c5",
    "at": _AT,
    "list": "user",
    "generation": 1,
    "user": "u-17",
    "session": None,
    "question": {
        "method": "GET",
        "path": "/v1/users/u-17/recommendations",
        "query": "limit=1",
        "body": None,
    },
    "items": [{"sku": "0002", "score": 0.9183, "reason": "look", "cold": False, "because": []}],
}


def _page(*items: Mapping[str, Any]) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": None}


ANSWERS: Final[Mapping[str, Any]] = {
    "Product": _PRODUCT,
    "ProductPage": {"items": [_PRODUCT], "next_cursor": "cHJvZHVjdHM6MQ"},
    "BatchAnswer": {
        "items": [
            {"sku": "0002", "status": 200},
            {"sku": "0009", "status": 422, "problem": _BATCH_PROBLEM},
        ]
    },
    "FoundProducts": {
        "items": [{"sku": "0001", "price": 19.9, "state": "indexed"}],
        "unknown": ["nobody"],
    },
    "SimilarAnswer": _SIMILAR,
    "SimilarBatchAnswer": {
        "items": [
            {
                "sku": "0001",
                "status": 200,
                "items": [{"sku": "0002", "score": 0.9183, "match": 0.97, "product": _PRODUCT}],
                "recommendation_id": "similar-1-5b0e4f9a7c1d4c2f8e3a6b9d0c1f2e3a",
                "query_state": "indexed",
                "index_lags": False,
            },
            {
                "sku": "nobody",
                "status": 404,
                "problem": {
                    "type": "urn:lookalike:problem:unknown-product",
                    "title": "Not Found",
                    "status": 404,
                    "code": "unknown-product",
                    "detail": "no product has the sku 'nobody'",
                },
            },
        ],
        "generation": 1,
        "request_id": "967915ec1a914613b211833198d840c5",
        "meta": {
            "embedder": "lookalike-blocks",
            "fingerprint": _FINGERPRINT,
            "search_mode": "exact",
            "coverage": 1.0,
            "took_ms": 9.5,
        },
    },
    "FacetPage": {
        "items": [
            {
                "field": "gender",
                "values": [{"value": "Men", "count": 1}, {"value": "Women", "count": 2}],
            }
        ],
        "next_cursor": None,
        "generation": 1,
    },
    "QuarantinePage": _page(
        {
            "sku": "0009",
            "reason": "not-an-image: the file is not an image",
            "failures": 1,
            "image_uri": "https://images.example/9.jpg",
            "image": None,
        }
    ),
    "EventAnswer": {"stored": 1, "duplicates": 0, "unknown": 0},
    "EventBatchAnswer": {"stored": 2, "duplicates": 0, "unknown": 0, "rejected": []},
    "EventPage": _page(
        {
            "id": "e-1",
            "kind": "view",
            "sku": "0002",
            "user": "u-17",
            "session": None,
            "at": _AT,
            "basket": None,
            "recommendation_id": None,
        }
    ),
    "Forgotten": {"events": 12},
    "RecommendationAnswer": {
        "items": [
            {
                "sku": "0002",
                "score": 0.9183,
                "reason": "look",
                "because": [],
                "product": _PRODUCT,
            }
        ],
        "next_cursor": _CURSOR,
        "recommendation_id": "967915ec1a914613b211833198d840c5",
        "generation": 1,
        "request_id": "967915ec1a914613b211833198d840c5",
        "unresolved": [],
        "meta": {"tastes": [], "took_ms": 6.5},
    },
    "ReplayedAnswer": _REPLAYED,
    "ReplayedPage": _page(_REPLAYED),
    "QuarantineAnswer": {"skus": ["0009"], "not_quarantined": []},
    "Status": {
        "products": 3,
        "pending": 0,
        "awaited": 0,
        "indexed": 3,
        "quarantined": 0,
        "removing": 0,
        "oldest_pending_seconds": None,
        "counted_seconds_ago": 0.0,
        "generation": _NAMED_GENERATION,
        "waiting": [],
        "shard": {
            "optimized": False,
            "dirty": 3,
            "building": False,
            "built": None,
            "failure": None,
        },
        "jobs": {"queued": 0, "running": 0},
        "unnamed": {"images": 0, "bytes": 0, "vectors": 0, "checked_at": None},
        "filter_recall": [],
        "clock_skew_seconds": 0.0,
        "workers": [],
        "warnings": [],
        "version": "0.1.0",
    },
    "JobDocument": _JOB,
    "JobPage": _page(_JOB),
    "GenerationDetail": _GENERATION,
    "GenerationPage": _page(_GENERATION),
    "ExperimentDocument": _EXPERIMENT,
    "ExperimentPage": {"items": [_EXPERIMENT]},
    "PlacementDocument": _PLACEMENT,
    "PlacementPage": {"items": [_PLACEMENT]},
    "PlacementHistory": {
        "items": [
            {
                "name": "pdp-similar",
                "version": 1,
                "change": "created",
                "settings": _PLACEMENT["settings"],
                "by": "lk_1f2e3d4c5b6a",
                "at": _AT,
            }
        ]
    },
    "RuleDocument": _RULE,
    "PreviewAnswer": {
        "eligible": 3,
        "sampled": 3,
        "changed": 1,
        "placement": None,
        "limit": 10,
        "seed": 0,
        "examples": [{"sku": "0003", "before": ["0001", "0002"], "after": ["0002", "0001"]}],
        "problems": [
            {
                "rule": 0,
                "code": "unknown-product",
                "detail": "no product has this sku",
                "sku": "0042",
            }
        ],
    },
    "RulePage": _page(_RULE),
    "RuleHistory": {
        "items": [
            {
                "rule": 1,
                "version": 1,
                "change": "created",
                "settings": _RULE["settings"],
                "by": "lk_1f2e3d4c5b6a",
                "at": _AT,
            }
        ]
    },
    "FeedDocument": _FEED,
    "FeedPage": _page(_FEED),
    "FeedDetail": {**_FEED, "runs": []},
    "Health": {"status": "ok"},
}
"""Name of an answer's model -> its example."""

OF_OPERATIONS: Final[Mapping[str, Any]] = {
    "searchSimilarProducts": {
        **_SIMILAR,
        "meta": {
            **{name: value for name, value in _META.items() if name != "query_state"},
            "image_kind": "photograph",
            "regions": [
                {"box": [0.12, 0.05, 0.58, 0.47], "confidence": 0.97, "kind": "shirt"},
                {"box": [0.2, 0.45, 0.55, 0.98], "confidence": 0.88, "kind": "trousers"},
            ],
        },
    },
}
"""Operation -> the example of its answer, where it shows more than the model's: of an image."""
