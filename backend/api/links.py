"""Links of the OpenAPI document: which answers tell what the next request needs.

Readers and generated clients see what belongs together, and testers of the API can follow it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

Parameters: TypeAlias = Mapping[str, str]
"""Name of a parameter -> where its value stands in the answer, or the value."""

_SKU: Final[Parameters] = {"sku": "$response.body#/sku"}
_FIRST_SKU: Final[Parameters] = {"sku": "$response.body#/items/0/sku"}
_FIRST_IMAGE: Final[Parameters] = {**_SKU, "number": "1"}
_NAME: Final[Parameters] = {"name": "$response.body#/name"}
_ID: Final[Parameters] = {"id": "$response.body#/id"}
_FIRST_ID: Final[Parameters] = {"id": "$response.body#/items/0/id"}

_PRODUCT: Final = "/v1/products/{sku}"
_RULE: Final = "/v1/admin/rules/{id}"
_FEED: Final = "/v1/admin/feeds/{name}"
_GENERATION: Final = "/v1/admin/generations/{id}"
_JOB: Final = "/v1/admin/jobs/{id}"

_OF_A_PRODUCT: Final[Mapping[str, Parameters]] = {
    f"get {_PRODUCT}": _SKU,
    f"patch {_PRODUCT}": _SKU,
    f"delete {_PRODUCT}": _SKU,
    f"get {_PRODUCT}/similar": _SKU,
    f"put {_PRODUCT}/images/{{number}}": _FIRST_IMAGE,
    f"get {_PRODUCT}/images/{{number}}": _FIRST_IMAGE,
    f"delete {_PRODUCT}/images/{{number}}": _FIRST_IMAGE,
}
_OF_A_JOB: Final[Mapping[str, Parameters]] = {f"get {_JOB}": _ID, f"post {_JOB}/cancel": _ID}

LINKS: Final[Sequence[tuple[str, Mapping[str, Parameters]]]] = (
    (f"put {_PRODUCT}", _OF_A_PRODUCT),
    (f"put {_PRODUCT}/image", _OF_A_PRODUCT),
    (f"put {_PRODUCT}/images/{{number}}", _OF_A_PRODUCT),
    ("get /v1/products", {f"get {_PRODUCT}/similar": _FIRST_SKU}),
    (
        "post /v1/admin/feeds",
        {
            f"get {_FEED}": _NAME,
            f"patch {_FEED}": _NAME,
            f"delete {_FEED}": _NAME,
            f"post {_FEED}/run": _NAME,
        },
    ),
    (
        "post /v1/admin/rules",
        {
            f"get {_RULE}": _ID,
            f"put {_RULE}": _ID,
            f"get {_RULE}/history": _ID,
            f"delete {_RULE}": _ID,
        },
    ),
    (f"post {_FEED}/run", _OF_A_JOB),
    ("post /v1/admin/reindex", _OF_A_JOB),
    ("post /v1/admin/purge", _OF_A_JOB),
    (f"post {_GENERATION}/promote", _OF_A_JOB),
    (
        "get /v1/admin/generations",
        {
            f"get {_GENERATION}": _FIRST_ID,
            f"delete {_GENERATION}": _FIRST_ID,
            f"post {_GENERATION}/promote": _FIRST_ID,
        },
    ),
)
"""An operation, and the operations that its good answers lead to."""


def add_links(paths: Mapping[str, Any]) -> None:
    """Add LINKS to the good answers of the operations in an OpenAPI document."""
    for source, targets in LINKS:
        links = {
            _operation(paths, target)["operationId"]: {
                "operationId": _operation(paths, target)["operationId"],
                "parameters": dict(parameters),
            }
            for target, parameters in targets.items()
        }
        for status, answer in _operation(paths, source)["responses"].items():
            if status < "300":
                answer["links"] = links


def _operation(paths: Mapping[str, Any], name: str) -> dict[str, Any]:
    method, path = name.split()
    found: dict[str, Any] = paths[path][method]
    return found
