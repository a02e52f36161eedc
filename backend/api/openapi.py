"""The OpenAPI 3.1 document: the app that makes it, and the parts that operations are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from flask import has_request_context, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.models.schema import Schema
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel

import backend
from backend.api.examples import add_examples
from backend.api.links import add_links
from backend.api.problems import MEDIA_TYPE
from backend.api.schemas import Json
from backend.api.schemas.event import EventBatchBody, EventBody
from backend.api.schemas.feed import FeedBody, FeedChange, FeedRunBody
from backend.api.schemas.generation import ForceBody, ReindexBody
from backend.api.schemas.operation import PurgeBody
from backend.api.schemas.problem import Problem
from backend.api.schemas.product import MEMBERS, BatchBody, ProductBody
from backend.api.schemas.similar_items import IMAGE, SimilarBody
from backend.catalogue import skus
from backend.events.record import MOST_TEXT
from backend.filters import OPEN_PREFIX
from backend.filters import Schema as FieldTypes
from backend.filters.check import EXACT_IN_FLOAT
from backend.indexing import schema
from backend.queue.progress import State
from backend.vectors.image_points import MOST_IMAGES

INFO: Final = Info(
    title="Lookalike",
    version=backend.__version__,
    description=(
        "What looks like this? Products come in by PUT, and a moment later they are found by "
        "their images.\n\n"
        "**Filters.** A repeated parameter, or commas, mean any-of; a backslash escapes a comma. "
        f"`<field>_not` excludes; `_gte _gt _lte _lt` bound numbers; `{OPEN_PREFIX}<name>` is any "
        "open attribute, declared as a facet or not. The parameter `filter` takes the same as "
        "JSON: "
        '`{"gender": ["Women"], "base_colour": {"not": ["Red"]}, "year": {"gte": 2012}}`.\n\n'
        "**Errors** are problem documents (RFC 9457) that name what is allowed."
    ),
)
COMPONENTS: Final = "#/components/schemas/"
BODIES: Final[Sequence[type[BaseModel]]] = (
    ProductBody,
    BatchBody,
    SimilarBody,
    ReindexBody,
    ForceBody,
    FeedBody,
    FeedChange,
    FeedRunBody,
    PurgeBody,
    EventBody,
    EventBatchBody,
)
DOCS_PAGE: Final = '<meta http-equiv="refresh" content="0; url=swagger">'


class DescribedApp(OpenAPI):
    """An app whose OpenAPI document says where clients reach it, if a proxy has told that."""

    @property
    def api_doc(self) -> dict[str, Any]:
        """Return the document; outside a request, the one that all requests share."""
        spec: dict[str, Any] = super().api_doc
        if not has_request_context() or "werkzeug.proxy_fix.orig" not in request.environ:
            return spec
        return {**spec, "servers": [{"url": request.url_root.rstrip("/")}]}


def build_app(import_name: str) -> OpenAPI:
    """Return an app without operations, with the page of its OpenAPI document under /docs."""
    app = DescribedApp(
        import_name,
        info=INFO,
        doc_prefix="/docs",
        security_schemes={},  # without it the document would hold null here
        validation_error_model=Problem,
        static_folder=None,
    )
    app.config["OPENAPI_HTML_STRING"] = DOCS_PAGE
    app.config["SWAGGER_CONFIG"] = {"validatorUrl": None}  # the page needs no internet
    for model in BODIES:
        _add_component(app, model)
    return app


class _Blueprint(APIBlueprint):
    """Describes its views without validating their requests, which `schemas` does."""

    @staticmethod
    def create_view_func(func: Callable[..., Any], *_models: Any, **_: Any) -> Callable[..., Any]:
        """Return the view itself instead of one that validates models first."""
        return func


def blueprint(name: str, *, tag: str, url_prefix: str | None = "/v1") -> APIBlueprint:
    """Return the blueprint of one resource; the document lists its operations under the tag."""
    return _Blueprint(name, __name__, url_prefix=url_prefix, abp_tags=[Tag(name=tag)])


def publish(app: OpenAPI, *, facets: Iterable[str]) -> None:
    """Serve the document at /openapi.json, with the facets that the settings declare."""
    spec = app.api_doc
    declared = filter_parameters({f"{OPEN_PREFIX}{name}": "keyword" for name in facets})
    for operations in spec["paths"].values():
        for method, operation in operations.items():
            if method != "get":
                operation["responses"] |= {"507": _FULL}
            parameters = operation.get("parameters", [])
            if any(parameter["name"] == "filter" for parameter in parameters):
                parameters += declared
    add_examples(spec["paths"])
    add_links(spec["paths"])
    app.add_url_rule("/openapi.json", "description", lambda: app.api_doc)


def _add_component(app: OpenAPI, model: type[BaseModel]) -> None:
    found = model.model_json_schema(ref_template=COMPONENTS + "{model}")
    for name, definition in found.pop("$defs", {}).items():
        app.components_schemas.setdefault(name, Schema(**definition))
    app.components_schemas[model.__name__] = Schema(**found)


# --- requests --------------------------------------------------------------------------------


def inputs(
    *parameters: Json, body: type[BaseModel] | None = None, content: Json | None = None
) -> Json:
    """Return what an operation takes: parameters, and a JSON body or other `content`."""
    found: Json = {"parameters": list(parameters)}
    if body is not None:
        schema = {"$ref": COMPONENTS + body.__name__}
        content = {"application/json": {"schema": schema}, **(content or {})}
    if content:
        found["requestBody"] = {"required": True, "content": content}
    return found


def _parameter(name: str, schema: Json, description: str, *, place: str = "query") -> Json:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema,
    }


def optional(name: str, description: str) -> Json:
    """Return a text parameter of the query."""
    return _parameter(name, {"type": "string"}, description)


def _words(name: str, item: Json, description: str) -> Json:
    return _parameter(name, {"type": "array", "items": item}, f"{description}; any number of them")


def limit(*, default: int = 10, most: int = 100) -> Json:
    """Return the parameter that bounds a list."""
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return _parameter("limit", schema, "how many at most")


_TEXT: Final[Json] = {"type": "string", "minLength": 1}
_FILTER: Final[Json] = {**_TEXT, "contentMediaType": "application/json"}
_SKU: Final[Json] = skus.SCHEMA

SKU: Final = _parameter("sku", _SKU, "the shop's own key, percent-encoded", place="path")
IMAGE_NUMBER: Final = _parameter(
    "number",
    {"type": "integer", "minimum": 1, "maximum": MOST_IMAGES},
    "number of the image, from 1",
    place="path",
)
IMAGE_ASKED: Final = _parameter(
    "image", {"type": "integer", "minimum": 1, "maximum": MOST_IMAGES}, IMAGE
)
USER: Final = _parameter(
    "user",
    {"type": "string", "minLength": 1, "maxLength": MOST_TEXT},
    "the shopper, as events name them",
    place="path",
)
JOB_ID: Final = _parameter("id", {"type": "integer"}, "number of the job", place="path")
GENERATION_ID: Final = _parameter(
    "id", {"type": "integer"}, "number of the generation", place="path"
)
FEED_NAME: Final = _parameter("name", {"type": "string"}, "name of the feed", place="path")
CURSOR: Final = _parameter("cursor", _TEXT, "the `next_cursor` of the page before")
STATE: Final = _words("state", {"type": "string", "enum": list(State)}, "only in these states")
FIELDS: Final = _words(
    "fields", {"type": "string", "enum": list(MEMBERS)}, "only these members of a product"
)
FACETS: Final = _words("fields", {"type": "string"}, "only these facets")
EXCLUDE: Final = _words("exclude", _SKU, "skus that are left out")
MIN_SCORE: Final = _parameter(
    "min_score", {"type": "number", "minimum": -1, "maximum": 1}, "lowest cosine similarity"
)

_KINDS: Final[dict[str, Json]] = {
    "keyword": _TEXT,
    "integer": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
}
_BOUNDS: Final = {"gte": "at least", "gt": "more than", "lte": "at most", "lt": "less than"}


def filter_parameters(fields: FieldTypes) -> list[Json]:
    """Return the parameters that filter by these fields."""
    found = []
    for field, kind in fields.items():
        found.append(_words(field, _KINDS[kind], "any of these"))
        found.append(_words(f"{field}_not", _KINDS[kind], "none of these"))
        if kind in ("integer", "float"):
            most = {"minimum": -EXACT_IN_FLOAT, "maximum": EXACT_IN_FLOAT}
            number = {"type": "number", **(most if kind == "integer" else {})}
            found += [_parameter(f"{field}_{w}", number, text) for w, text in _BOUNDS.items()]
    return found


FILTERS: Final = (
    *filter_parameters(schema()),
    _parameter("filter", _FILTER, "the filter as JSON"),
)
SEARCH: Final = (limit(), EXCLUDE, FIELDS, MIN_SCORE, *FILTERS)


# --- answers ---------------------------------------------------------------------------------


ANYWHERE: Final = (400, 408, 414, 417, 421, 422, 431, 503)
"""What every request may meet: malformed, late, too long, an unknown expectation or parameter, a
name that is not the server's, and a server that is busy."""


_PROBLEM: Final[Json] = {MEDIA_TYPE: {"schema": {"$ref": f"{COMPONENTS}Problem"}}}
_FULL: Final[Json] = {"description": HTTPStatus(507).phrase, "content": _PROBLEM}
"""What a request that may write can meet."""


def refusals(*statuses: int) -> ResponseDict:
    """Return the problem documents that an operation may answer, those of ANYWHERE included."""
    return {status: {"content": dict(_PROBLEM)} for status in sorted({*statuses, *ANYWHERE})}
