"""What a shop may write of a product: one model, which is the check of REST and of every import.

The model is also the schema in the OpenAPI document, so it cannot say anything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails

from backend import near_names
from backend.catalogue import skus
from backend.catalogue.draft_attributes import Attributes, check_attributes
from backend.catalogue.draft_images import LONGEST_URI, ImageItem, ImageRef, ImageUri, image_ref
from backend.catalogue.request_schema import without_defaults
from backend.catalogue.texts import normalise_text
from backend.errors import InvalidProduct
from backend.validation import reason_of, unknown_field
from backend.vectors.image_points import MOST_IMAGES

CATEGORICAL: Final = (
    *("gender", "master_category", "sub_category", "article_type"),
    *("base_colour", "season", "usage"),
)
LONGEST_NAME: Final = 2_000
LONGEST_CATEGORY: Final = 255  # characters
MOST_NEAREST: Final = 20
"""Unknown fields of one product whose nearest name is looked for."""
YEARS: Final = range(1900, 2101)
DEAREST: Final = 9_999_999_999.99  # what NUMERIC(12, 2) holds
CENT: Final = Decimal("0.01")
WEB_SCHEMES: Final = ("https", "http")

_CURRENCY: Final = re.compile("[A-Z]{3}")
_NOT_IN_LINKS: Final = re.compile(r"[\s\x00-\x1f\x7f\"<>\\]")


@dataclass(kw_only=True, slots=True)  # not frozen: an import makes two for each row
class Draft:
    """A product as somebody wants it stored: checked, normalised, not yet compared."""

    sku: str
    values: Mapping[str, Any]  # the fields that were given, without those of images
    image: ImageRef | None = None  # the first image
    images: Sequence[ImageRef] | None = None  # all images in order; None: they stay
    if_new: Mapping[str, Any] = field(default_factory=dict)
    """Fields that are set only if no product has the sku yet."""


# --- one type for each kind of field: normalised, or ValueError with the reason -------------


def round_money(amount: Decimal) -> float:
    """Round an amount half up to cents.

    The result has at most 12 digits, which a double carries without loss. Raises ValueError for
    what would become 0, and for more than can be stored.
    """
    if amount > Decimal(str(DEAREST)):
        raise ValueError(f"must be less than or equal to {DEAREST}")
    rounded = amount.quantize(CENT, ROUND_HALF_UP)
    if amount and not rounded:
        raise ValueError("must be 0, or at least 0.01 after rounding")
    return float(rounded)


def _round_price(price: float | None) -> float | None:
    return None if price is None else round_money(Decimal(repr(price)))


def _check_currency(code: str | None) -> str | None:
    if code is None:
        return None
    if not _CURRENCY.fullmatch(code := code.upper()):
        raise ValueError("must be a code of three letters (ISO 4217), such as EUR")
    return code


def _check_link(link: str | None) -> str | None:
    """Return an address that a browser opens as a page: a link is shown, and never fetched."""
    if link is None:
        return None
    scheme, separator, rest = link.partition("://")
    scheme = scheme.lower()
    if scheme not in WEB_SCHEMES or not separator:
        raise ValueError("must be an address that begins with https:// or http://")
    if _NOT_IN_LINKS.search(rest) or not _host(f"{scheme}://{rest}"):
        raise ValueError("must be an address with a host, without white space")
    return f"{scheme}://{rest}"


def _host(address: str) -> str | None:
    """Return the host of an address; None for one that cannot be split, such as `https://[`."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


Sku: TypeAlias = Annotated[
    str,
    BeforeValidator(skus.check_sku),
    WithJsonSchema(skus.SCHEMA),
]
Name: TypeAlias = Annotated[
    str | None, Field(max_length=LONGEST_NAME), BeforeValidator(normalise_text)
]
Category: TypeAlias = Annotated[
    str | None, Field(max_length=LONGEST_CATEGORY), BeforeValidator(normalise_text)
]
Year: TypeAlias = Annotated[int | None, Field(ge=YEARS[0], le=YEARS[-1])]
Price: TypeAlias = Annotated[float | None, Field(ge=0, le=DEAREST), AfterValidator(_round_price)]
Currency: TypeAlias = Annotated[
    str | None,
    BeforeValidator(normalise_text),
    AfterValidator(_check_currency),
]
Link: TypeAlias = Annotated[
    str | None,
    Field(max_length=LONGEST_URI),
    BeforeValidator(normalise_text),
    AfterValidator(_check_link),
]


class ProductFields(BaseModel):
    """The fields of a product that a shop may write. No value is converted: "12" is no number."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, json_schema_extra=without_defaults
    )

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
    group_id: Category = Field(None, description="the same for all variants of one product")
    brand: Category = None
    price: Price = None
    currency: Currency = Field(None, description="of the price: a code of ISO 4217, such as EUR")
    in_stock: bool = True
    link: Link = Field(None, description="http(s) address of the product's page")
    attributes: Annotated[
        Attributes | None,
        Field(description="open attributes: scalars, or lists of scalars"),
        BeforeValidator(check_attributes),
    ] = {}
    image_uri: ImageUri = Field(
        None,
        description="http(s):// or s3:// on a host that is allowed, or what was read from here; "
        "absent: the image stays; null: there is none",
    )
    images: list[ImageItem] | None = Field(
        None,
        max_length=MOST_IMAGES,
        description="all images in order, the first of which is shown; absent: they stay. "
        "`image_uri` means the first one; a body that changes both must say the same in both",
    )


FIELDS: Final = tuple(name for name in ProductFields.model_fields if name not in ("sku", "images"))
"""The fields of a product that a shop may write, beside its sku and the list of its images."""


def parse(raw: Mapping[str, Any]) -> Draft:
    """Check a product's sku and fields, and normalise them; fields not given stay absent.

    Text is stripped, and empty text is None, which clears a field. None clears an attribute, or all
    attributes, in the same way. Raises InvalidProduct; `context["errors"]` lists every wrong field
    with its `reason` and, for an unknown one, what is `allowed`.
    """
    try:
        given = ProductFields.model_validate(dict(raw))
    except ValidationError as error:
        raise _invalid_product(error) from None
    is_image_given = "image_uri" in given.model_fields_set
    are_images_given = "images" in given.model_fields_set
    return Draft(
        sku=given.sku,
        image=image_ref(given.image_uri) if is_image_given else None,
        images=[it.reference() for it in given.images or ()] if are_images_given else None,
        values=given.model_dump(exclude_unset=True, exclude={"sku", "image_uri", "images"}),
    )


def _invalid_product(error: ValidationError) -> InvalidProduct:
    errors: list[dict[str, Any]] = []
    for each in error.errors():
        field, *inner = each["loc"] or ("",)
        if inner and field == "images":
            errors.append({"field": "images", "reason": _reason_of_image(each, inner)})
        elif (unknown := unknown_field(each)) is not None:
            allowed = ["sku", *FIELDS, "images"]
            is_first = len(errors) < MOST_NEAREST
            near = near_names.hint(unknown, FIELDS) if is_first else ""
            reason = f"there is no such field{near}"
            errors.append({"field": unknown, "reason": reason, "allowed": allowed})
        else:
            errors.append({"field": str(field), "reason": reason_of(each)})
    reasons = "; ".join(f"{wrong['field']}: {wrong['reason']}" for wrong in errors)
    return InvalidProduct(reasons, errors=errors)


def _reason_of_image(error: ErrorDetails, place: Sequence[str | int]) -> str:
    """Describe what is wrong with one image; it is named by its number, from 1."""
    number, *member = place
    what = f"image {int(number) + 1}" + "".join(f", {name}" for name in member[:1])
    if error["type"] == "extra_forbidden":
        return f"{what}: there is no such member; allowed: {', '.join(ImageItem.model_fields)}"
    return f"{what}: {reason_of(error)}"
