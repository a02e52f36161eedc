"""The OpenAPI 3.1 document: the app that makes it, and the parts that operations are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
from backend.api import parameters
from backend.api.components import share_parameters, share_problems
from backend.api.dispatch import QuickApp
from backend.api.examples import add_examples
from backend.api.links import add_links
from backend.api.schemas import Json
from backend.api.schemas.batch import BatchBody, BatchPatchBody, ReadBody, SkusBody
from backend.api.schemas.event import EventBatchBody, EventBody
from backend.api.schemas.experiment import ExperimentBody
from backend.api.schemas.feed import FeedBody, FeedChange, FeedRunBody
from backend.api.schemas.generation import ForceBody, ReindexBody
from backend.api.schemas.operation import PurgeBody, QuarantineBody
from backend.api.schemas.placement import PlacementBody
from backend.api.schemas.problem import Problem
from backend.api.schemas.product import ProductBody, ProductPatch
from backend.api.schemas.recommendation import RecommendationBody
from backend.api.schemas.rule import RuleBody
from backend.api.schemas.rule_preview import PreviewBody
from backend.api.schemas.similar_requests import SimilarBatchBody, SimilarBody
from backend.filters import OPEN_PREFIX

INFO: Final = Info(
    title="Lookalike",
    version=backend.__version__,
    description=(
        "What looks like this? Products come in by PUT, and a moment later they are found by "
        "their images.\n\n"
        "**Filters**\n\n"
        "- `base_colour=Red,Blue` finds both; so does `base_colour=Red&base_colour=Blue`. A comma "
        "in a value has a backslash before it.\n\n"
        "- `base_colour_not=Red` leaves out what is red.\n\n"
        "- `price_gte=10` and `_gt`, `_lte`, `_lt` are the bounds of numbers.\n\n"
        f"- `{OPEN_PREFIX}size=42` filters by an attribute of your own.\n\n"
        '- `filter={"gender": ["Women"], "year": {"gte": 2012}}` says the same in JSON.\n\n'
        "**Errors** are problem documents (RFC 9457) that name what is allowed."
    ),
)
COMPONENTS: Final = "#/components/schemas/"
BODIES: Final[Sequence[type[BaseModel]]] = (
    ProductBody,
    ProductPatch,
    BatchBody,
    BatchPatchBody,
    SkusBody,
    ReadBody,
    SimilarBody,
    SimilarBatchBody,
    ReindexBody,
    ForceBody,
    PlacementBody,
    RuleBody,
    PreviewBody,
    ExperimentBody,
    FeedBody,
    FeedChange,
    FeedRunBody,
    PurgeBody,
    EventBody,
    EventBatchBody,
    RecommendationBody,
    QuarantineBody,
)
SIMILAR_FORM: Final = "SimilarForm"
DOCS_PAGE: Final = '<meta http-equiv="refresh" content="0; url=swagger">'


class DescribedApp(QuickApp):
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
    form = parameters.as_form(*parameters.SEARCH, parameters.BOX, image="the image file")
    app.components_schemas[SIMILAR_FORM] = Schema(**form)
    return app


class _Blueprint(APIBlueprint):
    """Describes its views without validating their requests, which `schemas` does."""

    @staticmethod
    def create_view_func(func: Callable[..., Any], *_models: Any, **_: Any) -> Callable[..., Any]:
        """Return the view itself instead of one that validates models first."""
        return func


def blueprint(name: str, *, tag: str, url_prefix: str | None = "/v1") -> APIBlueprint:
    """Return the blueprint of one resource; the document lists its operations under the tag.

    An operation's id is the name of its view in camel case, unless the view gives another one.
    Clients are generated with these names, so they never change.
    """
    return _Blueprint(
        name,
        __name__,
        url_prefix=url_prefix,
        abp_tags=[Tag(name=tag)],
        operation_id_callback=lambda *, name, **_: _camel_case(name),
    )


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def publish(app: OpenAPI, *, facets: Iterable[str]) -> None:
    """Serve the document at /openapi.json, with the facets that the settings declare."""
    spec = app.api_doc
    for operations in spec["paths"].values():
        for method, operation in operations.items():
            if method != "get":
                operation["responses"] |= {"507": {}}
    _describe_tags(spec["paths"])
    share_parameters(spec, facets=facets)
    share_problems(spec)
    add_examples(spec)
    add_links(spec["paths"])
    app.add_url_rule("/openapi.json", "description", lambda: app.api_doc)


def _describe_tags(paths: dict[str, Any]) -> None:
    """Say of each read of JSON that it may be answered 304: `conditional` tags them all."""
    for path, operations in paths.items():
        read = operations.get("get")
        if read is None or not path.startswith("/v1/") or "304" in read["responses"]:
            continue
        read["responses"] = dict(sorted({**read["responses"], "304": UNCHANGED}.items()))
        read["parameters"] = [*read.get("parameters", ()), parameters.IF_CHANGED]


def _add_component(app: OpenAPI, model: type[BaseModel]) -> None:
    found = model.model_json_schema(ref_template=COMPONENTS + "{model}")
    for name, definition in found.pop("$defs", {}).items():
        app.components_schemas.setdefault(name, Schema(**definition))
    app.components_schemas[model.__name__] = Schema(**found)


# --- requests --------------------------------------------------------------------------------


BINARY: Final[Json] = {"schema": {"type": "string", "format": "binary"}}
FILE: Final[Json] = {"application/octet-stream": BINARY, "image/*": BINARY}
"""A body that is an image file; which one it is, its first bytes say."""


def inputs(
    *taken: Json,
    body: type[BaseModel] | None = None,
    content: Json | None = None,
) -> Json:
    """Return what an operation takes: parameters, and a JSON body or other `content`."""
    found: Json = {"parameters": list(taken)}
    if body is not None:
        schema = {"$ref": COMPONENTS + body.__name__}
        content = {"application/json": {"schema": schema}, **(content or {})}
    if content:
        found["requestBody"] = {"required": True, "content": content}
    return found


# --- answers ---------------------------------------------------------------------------------


UNCHANGED: Final[Json] = {"description": "the client has this answer already"}

ANYWHERE: Final = (400, 408, 414, 417, 421, 422, 431, 503)
"""What every request may meet: malformed, late, too long, an unknown expectation or parameter, a
name that is not the server's, and a server that is busy."""


def refusals(*statuses: int) -> ResponseDict:
    """Return the statuses of the problems that an operation may answer, ANYWHERE included.

    `publish` puts the shared description of each in its place.
    """
    return {status: {} for status in sorted({*statuses, *ANYWHERE})}
