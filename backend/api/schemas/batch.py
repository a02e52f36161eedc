"""Many products in one request: what is asked for, and the result of each."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import Field, PlainValidator, ValidationInfo, field_validator

from backend.api.schemas.document import BodyLimits, Document, RequestBody
from backend.api.schemas.problem import BatchProblem
from backend.api.schemas.product import Product, ProductBody, ProductMember, ProductPatch
from backend.api.schemas.query import MOST_WORDS
from backend.catalogue.drafts import Sku

T = TypeVar("T")


class BatchProduct(ProductBody):
    """A product in a batch, which must name its sku."""

    sku: Sku


def _pass(item: Any) -> Any:
    """Leave an item unchecked: `parse` checks each one alone, so that valid ones are stored."""
    return item


BatchInput: TypeAlias = Annotated[Any, PlainValidator(_pass, json_schema_input_type=BatchProduct)]


def check_batch(items: list[T], info: ValidationInfo[BodyLimits]) -> list[T]:
    """Raise ValueError if these are more products than the settings allow in one request."""
    most = info.context.max_batch
    if len(items) > most:
        raise ValueError(f"holds {len(items)} products; at most {most} are allowed")
    return items


class BatchBody(RequestBody):
    """Products, each written as by a PUT."""

    items: list[BatchInput]

    @field_validator("items")
    @classmethod
    def _check_number(cls, items: list[Any], info: ValidationInfo[BodyLimits]) -> list[Any]:
        return check_batch(items, info)


class BatchPatchItem(ProductPatch):
    """What is to be changed of one product of a batch."""

    sku: Sku


PatchInput: TypeAlias = Annotated[Any, PlainValidator(_pass, json_schema_input_type=BatchPatchItem)]


class BatchPatchBody(BatchBody):
    """Changes of products, each as by a PATCH."""

    items: list[PatchInput]


class SkusBody(RequestBody):
    """Products, named by their skus."""

    skus: list[Sku]

    @field_validator("skus")
    @classmethod
    def _check_number(cls, skus: list[str], info: ValidationInfo[BodyLimits]) -> list[str]:
        return check_batch(skus, info)


class ReadBody(SkusBody):
    """Which products to read, and which of their members."""

    fields: list[ProductMember] = Field(
        [], max_length=MOST_WORDS, description="only these members of a product"
    )


class FoundProducts(Document):
    """The products that there are, in the order in which they were asked for."""

    items: list[Product]
    unknown: list[str] = Field(description="skus that no product has")


class BatchItem(Document):
    """The result of one product of a batch."""

    sku: str | None
    status: int = Field(description="201 new, 200 stored, 204 removed, or that of the problem")
    problem: BatchProblem | None = None


class BatchAnswer(Document):
    """The result of each product, in the order of the request."""

    items: list[BatchItem]
