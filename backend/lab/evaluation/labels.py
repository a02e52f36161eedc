"""The products that are evaluated, and the labels that make a neighbour relevant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.catalogue.drafts import CATEGORICAL
from backend.database.models import Product
from backend.errors import NotEvaluable
from backend.lab.types import Positions

COLUMNS: Final = (*CATEGORICAL, "year")
"""The columns that can be labels; open attributes can be labels too."""

JOINT: Final = " · "
"""Between the parts of a label of several fields."""


@dataclass(frozen=True, kw_only=True)
class CatalogueProduct:
    """A product with an image: what an evaluation and a training read of it."""

    sku: str
    name: str | None
    uri: str
    digest: str | None  # None: the image has not been opened yet
    fields: tuple[Any, ...]  # values of COLUMNS
    attributes: dict[str, Any]

    def value(self, field: str) -> str | None:
        """Return a field's value as text; None where the product has none."""
        if field in COLUMNS:
            found = self.fields[COLUMNS.index(field)]
        else:
            found = self.attributes.get(field.removeprefix("attributes."))
        return None if found is None else str(found)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The categories of products by one or several fields together."""

    by: str  # such as base_colour+article_type
    names: Sequence[str]  # of the categories, sorted
    codes: Positions  # (products,): in names; -1: without a category

    def take(self, positions: npt.NDArray[np.integer]) -> Labels:
        """Return the labels of some products, by their positions (any,); names stay."""
        return Labels(by=self.by, names=self.names, codes=self.codes[positions])

    def counts(self) -> Positions:
        """Return how many products each category has, (names,)."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))


def read_products(session: Session) -> list[CatalogueProduct]:
    """Read all products that have an image and are not removed, in the order of their ids."""
    columns = [getattr(Product, name) for name in COLUMNS]
    rows = session.execute(
        select(
            Product.sku,
            Product.display_name,
            Product.image_uri,
            Product.image_digest,
            Product.attributes,
            *columns,
        )
        .where(Product.removed_at.is_(None), Product.image_uri.is_not(None))
        .order_by(Product.id)
    )
    return [
        CatalogueProduct(
            sku=sku, name=name, uri=uri, digest=digest, attributes=attributes, fields=tuple(fields)
        )
        for sku, name, uri, digest, attributes, *fields in map(tuple, rows)
    ]


def label(products: Sequence[CatalogueProduct], by: str) -> Labels:
    """Label products by a field, or by several joined with +, such as base_colour+article_type.

    A product without one of the fields has no category: it stays in the index, never relevant.
    Raises NotEvaluable for a field that no product has.
    """
    fields = by.split("+")
    for field in fields:
        if all(product.value(field) is None for product in products):
            raise NotEvaluable(f"no product has {field!r}; {_known(products)}", field=field)
    texts = [_joint(product, fields) for product in products]
    names = sorted({text for text in texts if text is not None})
    code = {name: position for position, name in enumerate(names)} | {None: -1}
    return Labels(by=by, names=names, codes=np.array([code[text] for text in texts], np.int64))


def _joint(product: CatalogueProduct, fields: Sequence[str]) -> str | None:
    values = [product.value(field) for field in fields]
    known = [value for value in values if value is not None]
    return JOINT.join(known) if len(known) == len(fields) else None


def _known(products: Sequence[CatalogueProduct]) -> str:
    columns = [name for name in COLUMNS if any(product.value(name) for product in products)]
    attributes = sorted(
        {f"attributes.{name}" for product in products for name in product.attributes}
    )
    names = ", ".join([*columns, *attributes[:20]])
    return f"there are {names}" if names else "there is no label at all"
