"""What a shop may write of a product: one model, which is the check of REST and of every import.

The model is also the schema in the OpenAPI document, so it cannot say anything else.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from backend.errors import InvalidProduct, reason_of, unknown_field
from backend.filters import Scalar
from backend.images import store

SKU: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""What a whole sku must match; leading zeros count."""

CATEGORICAL: Final = (
    *("gender", "master_category", "sub_category", "article_type"),
    *("base_colour", "season", "usage"),
)
LONGEST_NAME: Final = 2_000
LONGEST_CATEGORY: Final = 255  # characters
LONGEST_URI: Final = 2_048
LONGEST_KEY: Final = 128
MOST_ATTRIBUTES: Final = 200
LARGEST_ATTRIBUTES: Final = 32_768  # bytes of JSON
YEARS: Final = range(1900, 2101)
DEAREST: Final = 9_999_999_999.99  # what NUMERIC(12, 2) holds
SCHEMES: Final = ("https", "http", "s3", "gs", "store", "file")
UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What PostgreSQL cannot hold in a text, although JSON and Python can."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class ImageRef:
    """Where a product's image lies, and what is known of its content.

    Size and time are those of the file when its digest was taken. Without a size, nobody has
    read the file yet.
    """

    uri: str | None
    digest: str | None = None  # sha256 of the bytes, in hex
    bytes: int | None = None
    mtime_ns: int | None = None


NO_IMAGE: Final = ImageRef(uri=None)
"""Removes a product's image; a draft whose image is None leaves it as it is."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A product as somebody wants it stored: checked, normalised, not yet compared."""

    sku: str
    values: Mapping[str, Any]  # the fields that were given, without image_uri
    image: ImageRef | None = None


# --- one type for each kind of field: normalised, or ValueError with the reason -------------


def _check_sku(value: Any) -> Any:
    if not isinstance(value, str) or not SKU.fullmatch(value):
        raise ValueError("must be a string of 1 to 128 of A-Z a-z 0-9 . _ : -")
    return value


def storable(text: str) -> str:
    """Return a text that every database can hold; raises ValueError for any other."""
    if UNSTORABLE.search(text):
        raise ValueError("holds a NUL, or half of a surrogate pair, which is no character")
    return text


def _normalise(value: Any) -> Any:
    """Strip a text; one that is empty then clears the field."""
    return storable(value).strip() or None if isinstance(value, str) else value


def _round_price(price: float | None) -> float | None:
    return None if price is None else round(price, 2)


def _check_attributes(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError("must be an object")
    if len(value) > MOST_ATTRIBUTES:
        raise ValueError(f"has {len(value)} keys; at most {MOST_ATTRIBUTES} are allowed")
    for key, item in value.items():
        _check_attribute(key, item)
    if len(json.dumps(value)) > LARGEST_ATTRIBUTES:
        raise ValueError(f"takes more than {LARGEST_ATTRIBUTES} bytes as JSON")
    return dict(value)


def _check_attribute(key: Any, value: Any) -> None:
    if not isinstance(key, str) or not 1 <= len(key) <= LONGEST_KEY:
        raise ValueError(f"a key must be a string of 1 to {LONGEST_KEY} characters")
    storable(key)
    if value is None:
        return
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str | int | float):
            raise ValueError(
                f"{key} must be a string, number, boolean, null or a list of the three"
            )
        if isinstance(item, str):
            storable(item)
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"{key} must be a finite number")
        elif isinstance(item, int) and not -(2**63) <= item < 2**63:
            raise ValueError(f"{key} is a whole number of more than 64 bits")


def _check_image_uri(uri: str | None) -> str | None:
    if uri is None:
        return None
    scheme, separator, rest = uri.partition("://")
    if not separator or not rest or scheme not in SCHEMES:
        raise ValueError("must be a URI that begins with https://, http://, s3:// or gs://")
    if scheme == store.SCHEME and not _DIGEST.fullmatch(rest):
        raise ValueError("store:// is followed by a sha256 in hex")
    return uri


Sku: TypeAlias = Annotated[str, Field(pattern=f"^{SKU.pattern}$"), BeforeValidator(_check_sku)]
Name: TypeAlias = Annotated[str | None, Field(max_length=LONGEST_NAME), BeforeValidator(_normalise)]
Category: TypeAlias = Annotated[
    str | None, Field(max_length=LONGEST_CATEGORY), BeforeValidator(_normalise)
]
Year: TypeAlias = Annotated[int | None, Field(ge=YEARS[0], le=YEARS[-1])]
Price: TypeAlias = Annotated[float | None, Field(ge=0, le=DEAREST), AfterValidator(_round_price)]
Attributes: TypeAlias = dict[str, Scalar | list[Scalar] | None]
ImageUri: TypeAlias = Annotated[
    str | None,
    Field(max_length=LONGEST_URI),
    BeforeValidator(_normalise),
    AfterValidator(_check_image_uri),
]


class ProductFields(BaseModel):
    """The fields of a product that a shop may write. No value is converted: "12" is no number."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    sku: Sku
    display_name: Name = None
    gender: Category = None
    master_category: Category = None
    sub_category: Category = None
    article_type: Category = None
    base_colour: Category = None
    season: Category = None
    year: Year = None
    usage: Category = None
    price: Price = None
    in_stock: bool = True
    attributes: Annotated[
        Attributes | None,
        Field(description="open attributes: scalars, or lists of scalars"),
        BeforeValidator(_check_attributes),
    ] = {}
    image_uri: ImageUri = Field(
        None,
        description="http(s):// or s3:// on a host that is allowed, or what was read from here; "
        "absent: the image stays; null: there is none",
    )


FIELDS: Final = tuple(name for name in ProductFields.model_fields if name != "sku")
"""The fields of a product that a shop may write, beside its sku."""


def parse(raw: Mapping[str, Any]) -> Draft:
    """Check a product's sku and fields, and normalise them; fields not given stay absent.

    Text is stripped, and empty text is None, which clears a field; so it is with an attribute, or
    all attributes, of None. Raises InvalidProduct; `context["errors"]` lists every wrong field
    with its `reason` and, for an unknown one, what is `allowed`.
    """
    try:
        given = ProductFields.model_validate(dict(raw))
    except ValidationError as error:
        raise _invalid_product(error) from None
    is_image_given = "image_uri" in given.model_fields_set
    return Draft(
        sku=given.sku,
        image=_image_ref(given.image_uri) if is_image_given else None,
        values=given.model_dump(exclude_unset=True, exclude={"sku", "image_uri"}),
    )


def _invalid_product(error: ValidationError) -> InvalidProduct:
    errors: list[dict[str, Any]] = []
    for each in error.errors():
        if (unknown := unknown_field(each)) is not None:
            allowed = ["sku", *FIELDS]
            reason = "there is no such field"
            errors.append({"field": unknown, "reason": reason, "allowed": allowed})
        else:
            errors.append({"field": str(each["loc"][0]), "reason": reason_of(each)})
    reasons = "; ".join(f"{wrong['field']}: {wrong['reason']}" for wrong in errors)
    return InvalidProduct(reasons, errors=errors)


def _image_ref(uri: str | None) -> ImageRef:
    if uri is None:
        return NO_IMAGE
    scheme, _, digest = uri.partition("://")
    return ImageRef(uri=uri, digest=digest if scheme == store.SCHEME else None)
