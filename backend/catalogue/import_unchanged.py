"""Which rows of a feed say what is stored already, or differ in fields alone: found by one SELECT.

Only what is surely so is found here, before anything is saved; `save_products` compares every other
row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import compress
from operator import itemgetter, ne
from typing import Any, Final

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from backend.catalogue import product_images
from backend.catalogue.drafts import Draft
from backend.catalogue.import_images import ImageReferrer
from backend.catalogue.import_rows import CheckedRow
from backend.catalogue.product_images import Images
from backend.catalogue.save_products import PRODUCTS
from backend.database.many_rows import is_among, row_version
from backend.database.models import Product

_FACTS: Final = (
    *("id", "sku", "image_uri", "image_digest", "image_bytes", "image_mtime_ns", "image_role"),
    "more_images",
)
_ATTRIBUTES: Final = "attributes"


@dataclass(frozen=True)
class StoredRows:
    """The stored products that a chunk of a feed names: their ids, images and named fields."""

    rows: Mapping[str, Row[Any]]  # by sku
    removed: Set[str]  # skus of products that were removed
    further: Mapping[int, Images]
    fields: Sequence[str]
    _getters: dict[tuple[str, ...], _Getters] = field(default_factory=dict)

    @classmethod
    def read(cls, session: Session, skus: Sequence[str], drafts: Iterable[Draft]) -> StoredRows:
        """Read them, with the fields that the drafts have values for."""
        headers = dict.fromkeys(tuple(draft.values) for draft in drafts)
        fields = tuple(dict.fromkeys(name for names in headers for name in names))
        columns: list[Any] = [getattr(Product, name) for name in (*_FACTS, *fields)]
        columns += [row_version(session, PRODUCTS), Product.removed_at.is_not(None)]
        query = select(*columns).where(is_among(session, Product.sku, skus))
        found = session.execute(query).all()
        rows = {row.sku: row for row in found if not row[-1]}
        removed = {row.sku for row in found if row[-1]} if len(rows) < len(found) else frozenset()
        several = [row.id for row in rows.values() if row.more_images]
        further = product_images.load_further(session, several)
        return cls(rows, removed, further, fields)

    def id_of(self, sku: str) -> int | None:
        """Return a product's id, None for a sku that no product has."""
        row = self.rows.get(sku)
        return None if row is None else row[0]

    def version_of(self, sku: str) -> str | None:
        """Return a value that differs after each change of a stored product; None on SQLite."""
        stored: Any = self.rows[sku]
        version: str | None = stored[-2]
        return version

    def images_of(self, sku: str) -> Images:
        """Return the stored images of a product."""
        row = self.rows.get(sku)
        if row is None:
            return ()
        return (*product_images.first_of(row), *self.further.get(row.id, ()))

    def is_new(self, sku: str) -> bool:
        """Tell whether no product has this sku, nor had it before it was removed."""
        return sku not in self.rows and sku not in self.removed

    def differing(self, row: CheckedRow, referrer: ImageReferrer) -> Sequence[str] | None:
        """Return the fields in which a row differs from what is stored, () for none.

        None where that is not sure, or something else than fields may differ: another image, or
        attributes.
        """
        stored = self.rows.get(row.sku)
        if stored is None or row.further is not None:
            return None
        names = tuple(row.draft.values)
        getters = self._getters.get(names)
        if getters is None:
            getters = self._getters[names] = _Getters.make(names, self.fields)
        found = getters.differing(row.draft.values, stored)
        return found if found is not None and _has_image(row, stored, referrer) else None


def _has_image(row: CheckedRow, stored: Row[Any], referrer: ImageReferrer) -> bool:
    """Tell whether a row names the first image that is stored, and its file has not changed."""
    if row.image is None:
        return row.draft.image is None or row.draft.image.uri == stored.image_uri
    if stored.image_bytes != row.image.size or stored.image_uri is None:
        return False
    return referrer.stays(row.image, product_images.first_of(stored)[0])


@dataclass(frozen=True)
class _Getters:
    """Take the fields, without the attributes, out of a draft and out of a stored row."""

    plain: Sequence[str]
    given: Callable[[Mapping[str, Any]], Any]
    stored: Callable[[Row[Any]], Any]
    attributes: int | None  # where they are in a row; None: the draft has none

    @classmethod
    def make(cls, names: Sequence[str], fields: Sequence[str]) -> _Getters:
        places = {name: at for at, name in enumerate(fields, len(_FACTS))}
        plain = [name for name in names if name != _ATTRIBUTES]
        attributes = places[_ATTRIBUTES] if _ATTRIBUTES in names else None
        return cls(plain, _taking(plain), _taking([places[name] for name in plain]), attributes)

    def differing(self, given: Mapping[str, Any], stored: Row[Any]) -> Sequence[str] | None:
        """Return the plain fields that differ; None if the attributes do."""
        at = self.attributes
        if at is not None and not _has_attributes(given[_ATTRIBUTES], stored[at]):
            return None
        new, old = self.given(given), self.stored(stored)
        return () if new == old else tuple(compress(self.plain, map(ne, new, old)))


def _taking(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what takes the values of these keys; `itemgetter` gives a single one bare."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda found: tuple(found[key] for key in keys)


def _has_attributes(given: Mapping[str, Any] | None, stored: Mapping[str, Any]) -> bool:
    """Tell whether the given ones are stored with the same values and types; True is not 1."""
    return given is not None and all(
        name not in stored if value is None else repr(stored.get(name)) == repr(value)
        for name, value in given.items()
    )
