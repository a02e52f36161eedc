"""The parameters of operations: components of the OpenAPI document, which operations refer to.

No schema has a default: a generated client would send it, and what is absent may mean more than
one value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from backend.api.schemas import Json
from backend.api.schemas.image_query import BOX as BOX_WORDS
from backend.api.schemas.list_words import (
    COLOUR,
    CURSOR_OF_IMAGE,
    EXPLAIN,
    IMAGE,
    TEXT,
    TEXT_WEIGHT,
    VISIT,
)
from backend.api.schemas.list_words import CURSOR as CURSOR_OF_LIST
from backend.api.schemas.list_words import USER as FOR_SHOPPER
from backend.api.schemas.shaping import (
    BOOST_WORDS,
    DIVERSITY,
    GROUP_BY,
    LEAST_MATCH,
    PLACEMENT,
    RELAX,
    RESTRICT,
)
from backend.catalogue import skus
from backend.events.record import MOST_TEXT
from backend.filters import OPEN_PREFIX
from backend.filters import Schema as FieldTypes
from backend.filters.check import EXACT_IN_FLOAT
from backend.indexing import schema
from backend.search.query import MAX_LIMIT
from backend.search.query_text import LONGEST
from backend.vectors.image_points import MOST_IMAGES

PLACE: Final = "#/components/parameters/"
SCHEMAS: Final = "#/components/schemas/"
SHARED: Final[dict[str, Json]] = {}
"""Name of a component -> the parameter."""


def _parameter(name: str, schema: Json, description: str, *, place: str = "query") -> Json:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema,
    }


def _share(component: str, parameter: Json) -> Json:
    """Make a parameter a component, to which `share_parameters` lets operations refer."""
    SHARED[component] = parameter
    return parameter


def _words(name: str, item: Json, description: str) -> Json:
    return _parameter(name, {"type": "array", "items": item}, f"{description}; any number of them")


def limit(*, default: int = 10, most: int = MAX_LIMIT) -> Json:
    """Return the parameter that bounds a list."""
    schema = {"type": "integer", "minimum": 1, "maximum": most}
    parameter = _parameter("limit", schema, f"how many at most; {default} if absent")
    return _share(f"Limit{most}", parameter) if default == 10 else parameter


def optional(name: str, description: str) -> Json:
    """Return a text parameter of the query."""
    return _parameter(name, {"type": "string"}, description)


def text(name: str, description: str, *, most: int) -> Json:
    """Return a parameter of the query that is a text of 1 to `most` characters."""
    return _parameter(name, {"type": "string", "minLength": 1, "maxLength": most}, description)


def one_of(name: str, allowed: Iterable[str], description: str) -> Json:
    """Return a parameter of the query that is one of some words."""
    return _parameter(name, {"type": "string", "enum": list(map(str, allowed))}, description)


_TEXT: Final[Json] = {"type": "string", "minLength": 1}
_NUMBER: Final[Json] = {"type": "integer", "minimum": 1, "maximum": MOST_IMAGES}
_NAMED: Final = "1 to 64 letters, digits, . _ or -, the first a letter or digit"
_FILTER: Final[Json] = {**_TEXT, "contentMediaType": "application/json"}

SKU: Final = _share(
    "Sku", _parameter("sku", skus.SCHEMA, "the shop's own key, percent-encoded", place="path")
)
IMAGE_NUMBER: Final = _share(
    "ImageNumber", _parameter("number", _NUMBER, "number of the image, from 1", place="path")
)
IMAGE_ASKED: Final = _parameter("image", _NUMBER, IMAGE)
RECOMMENDATION: Final = _share(
    "RecommendationId",
    _parameter("recommendation_id", _TEXT, "of an answer of the last day", place="path"),
)
USER: Final = _share(
    "User",
    _parameter(
        "user",
        {"type": "string", "minLength": 1, "maxLength": MOST_TEXT},
        "the shopper, as events name them",
        place="path",
    ),
)
JOB_ID: Final = _share(
    "JobId", _parameter("id", {"type": "integer"}, "number of the job", place="path")
)
GENERATION_ID: Final = _share(
    "GenerationId", _parameter("id", {"type": "integer"}, "number of the generation", place="path")
)
FEED_NAME: Final = _share(
    "FeedName", _parameter("name", {"type": "string"}, "name of the feed", place="path")
)
PLACEMENT_NAME: Final = _share(
    "PlacementName",
    _parameter("name", {"type": "string"}, "name of the placement: " + _NAMED, place="path"),
)
EXPERIMENT_NAME: Final = _share(
    "ExperimentName",
    _parameter("name", {"type": "string"}, "name of the experiment: " + _NAMED, place="path"),
)
RULE_ID: Final = _share(
    "RuleId", _parameter("id", {"type": "integer"}, "number of the rule", place="path")
)
CURSOR: Final = _share(
    "Cursor", _parameter("cursor", _TEXT, "the `next_cursor` of the page before")
)
LIST_CURSOR: Final = _share("ListCursor", _parameter("cursor", _TEXT, CURSOR_OF_LIST))
IMAGE_CURSOR: Final = _share("ImageCursor", _parameter("cursor", _TEXT, CURSOR_OF_IMAGE))
STATE: Final = _words("state", {"$ref": f"{SCHEMAS}State"}, "only in these states")
FIELDS: Final = _share(
    "Fields",
    _words("fields", {"$ref": f"{SCHEMAS}ProductMember"}, "only these members of a product"),
)
FACETS: Final = _words("fields", {"type": "string"}, "only these facets")
EXCLUDE: Final = _share("Exclude", _words("exclude", skus.SCHEMA, "skus that are left out"))
MIN_SCORE: Final = _share(
    "MinScore",
    _parameter("min_score", {"type": "number", "minimum": -1, "maximum": 1}, "lowest score"),
)
MIN_MATCH: Final = _share(
    "MinMatch",
    _parameter("min_match", {"type": "number", "minimum": 0, "maximum": 1}, LEAST_MATCH),
)


def _header(component: str, name: str, description: str) -> Json:
    return _share(component, _parameter(name, {"type": "string"}, description, place="header"))


IF_MATCH: Final = _header(
    "IfMatch", "If-Match", "the `ETag` of what is changed, as it was read: if it has changed, 412"
)
IF_NONE_MATCH: Final = _header(
    "IfNoneMatch", "If-None-Match", "`*`: only if there is no such product yet, else 412"
)
_header(  # `idempotency` refers to it by its component's name
    "IdempotencyKey",
    "Idempotency-Key",
    "a text of your own for this write: sent again with it, it is done once and answered as before",
)
IF_CHANGED: Final = _header(
    "IfChanged", "If-None-Match", "the `ETag` of an answer that the client has: if it holds, 304"
)

_KINDS: Final[Mapping[str, Json]] = {
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


def facet_parameters(facets: Iterable[str]) -> list[Json]:
    """Return the parameters that filter by attributes which the settings declare as facets."""
    return filter_parameters({f"{OPEN_PREFIX}{name}": "keyword" for name in facets})


def _component_name(name: str) -> str:
    return "Filter" + "".join(part.capitalize() for part in name.split("_"))


FILTER: Final = _share("Filter", _parameter("filter", _FILTER, "the filter as JSON"))
CHECK_ATTRIBUTES: Final = _share(
    "CheckAttributes",
    _parameter(
        "check_attributes",
        {"type": "boolean"},
        "true: a filter by an attribute that no product has is refused, with the nearest names; "
        "false: it finds nothing; by default as the server is set",
    ),
)
DISJUNCTIVE: Final = _parameter(
    "disjunctive",
    {"type": "boolean"},
    "true: the filter by a field does not apply to the counts of the same field, so they say what "
    "another value would find",
)
FILTERS: Final = (
    *(_share(_component_name(it["name"]), it) for it in filter_parameters(schema())),
    FILTER,
    CHECK_ATTRIBUTES,
)
COLOUR_WEIGHT: Final = _share(
    "ColourWeight",
    _parameter("colour", {"type": "number", "minimum": 0, "maximum": 1}, COLOUR),
)
EXPLAINED: Final = _share("Explain", _parameter("explain", {"type": "boolean"}, EXPLAIN))
WORDS: Final = _share(
    "Text",
    _parameter("text", {"type": "string", "minLength": 1, "maxLength": LONGEST}, TEXT),
)
WORDS_WEIGHT: Final = _share(
    "TextWeight",
    _parameter("text_weight", {"type": "number", "minimum": 0, "maximum": 1}, TEXT_WEIGHT),
)
_SHAPED_FIELD: Final = {"$ref": f"{SCHEMAS}ShapedField"}
GROUPED: Final = _share("GroupBy", _parameter("group_by", _SHAPED_FIELD, GROUP_BY))
RESTRICTED: Final = _share(
    "Restrict",
    _words("restrict", _SHAPED_FIELD, RESTRICT),
)
DIVERSE: Final = _share(
    "Diversity",
    _parameter("diversity", {"type": "number", "minimum": 0, "maximum": 1}, DIVERSITY),
)
BOOSTED: Final = _share("Boost", _words("boost", {"type": "string"}, BOOST_WORDS))
RELAXED: Final = _share("Relax", _words("relax", {"type": "string"}, RELAX))
PLACED: Final = _share("Placement", optional("placement", PLACEMENT))
SHAPED: Final = (PLACED, GROUPED, DIVERSE, BOOSTED, RELAXED)
_NAME: Final[Json] = {"type": "string", "minLength": 1, "maxLength": MOST_TEXT}
FOR_USER: Final = _share("ForUser", _parameter("user", _NAME, FOR_SHOPPER))
FOR_VISIT: Final = _share("ForSession", _parameter("session", _NAME, VISIT))
SEARCH: Final = (
    limit(),
    EXCLUDE,
    FIELDS,
    MIN_SCORE,
    MIN_MATCH,
    COLOUR_WEIGHT,
    EXPLAINED,
    WORDS,
    WORDS_WEIGHT,
    *SHAPED,
    FOR_USER,
    FOR_VISIT,
    RESTRICTED,
    *FILTERS,
)


BOX: Final = _parameter(
    "box",
    {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 4, "maxItems": 4},
    BOX_WORDS,
)


def as_form(*parameters: Json, image: str) -> Json:
    """Return the schema of a form: the file `image`, and parameters as its other fields."""
    found: dict[str, Any] = {"image": {"type": "string", "format": "binary", "description": image}}
    for each in parameters:
        found[each["name"]] = {**each["schema"], "description": each["description"]}
    return {
        "type": "object",
        "required": ["image"],
        "properties": found,
        "additionalProperties": {"type": "string"},
    }
