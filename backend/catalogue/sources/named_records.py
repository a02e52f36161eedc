"""Records whose values have names, such as the objects of JSON Lines and the items of XML.

The whole file is read once for the names, so that it is then read like any table.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final, NamedTuple

from backend.catalogue.sources import named_lists, nested_variants
from backend.catalogue.sources.csv_dialect import Header
from backend.catalogue.sources.csv_records import TableRecord
from backend.catalogue.sources.error_answers import said_error
from backend.catalogue.sources.feed import Reject
from backend.catalogue.sources.files import Files
from backend.catalogue.sources.json_shapes import item_of, rows_of_columns
from backend.catalogue.sources.mapping import FeedMapping
from backend.catalogue.sources.named_lists import NamedLists
from backend.catalogue.sources.nested_variants import skus_within, variants_of, with_offer
from backend.catalogue.sources.table import Table
from backend.errors import UnreadableCatalogue

MOST_NAMES: Final = 2_000  # of different values in one file


NESTED: Final = named_lists.LISTS | nested_variants.LISTS_OF_ANY
"""Members of a record that may hold other values or products of ours."""


class NamedRecord(NamedTuple):
    """One record: its line, or its number where lines mean nothing."""

    line: int
    values: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


def _kept(skus: Sequence[str]) -> str:
    shown = ", ".join(skus[:3])
    return (
        f"the product has a sku, so the items in it ({shown}) stay text in its attributes; "
        "so do those of all such products"
    )


class NamedRecords(Table):
    """A file of records with names, read like a table with all these names as columns."""

    def __init__(
        self, files: Files, name: str, mapping: FeedMapping, *, image: str | None = None
    ) -> None:
        self._lists = NamedLists()
        super().__init__(files, name, mapping, image=image)

    @abstractmethod
    def _parse(self, stream: BinaryIO) -> Iterator[NamedRecord | Reject]:
        """Yield the records of the file; may set `_cut_off`."""

    _has_variants = False
    """Whether a record may hold a list of its variants."""
    _keeps_ids = False  # a product with an id is one, as with a sku; nothing is by columns
    _are_split = False  # one of the file did

    def _each(self, stream: BinaryIO) -> Iterator[NamedRecord | Reject]:
        """Yield the records, and the variants in place of a record that holds them."""
        may_tell = True
        for record in self._with_skus(self._parse(stream)):
            if not self._has_variants or isinstance(record, Reject):
                yield record
                continue
            if NESTED.isdisjoint(record.values):
                yield from self._plain(record)
                continue
            found = self._lists.spread(record.values)
            if variants := self._within(found):
                self._are_split = True
                for values in variants:
                    yield record._replace(values=values)
            elif self._are_split and not found.get("sku") and found.get("id"):
                yield record._replace(values={**with_offer(found), "sku": found["id"]})
            elif may_tell and (others := skus_within(found)):
                may_tell = False
                yield record._replace(values=found, warnings=(*record.warnings, _kept(others)))
            else:
                yield record._replace(values=with_offer(found))

    def _with_skus(self, records: Iterator[NamedRecord | Reject]) -> Iterator[NamedRecord | Reject]:
        for it in records:
            yield it if isinstance(it, Reject) else it._replace(values=self._own(it.values))

    def _own(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values of a record with its sku under a usual name."""
        return values

    def _own_values(self, variant: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a variant with what its lists and its offer hold as its own."""
        return self._lists.spread(item_of(variant, None))

    def _plain(self, record: NamedRecord) -> Iterator[NamedRecord]:
        """Yield a record without variants, or the rows of its columns."""
        values = record.values
        if rows := [] if self._keeps_ids else rows_of_columns(values):
            self._are_split = True
            yield from (record._replace(values=row) for row in rows)
        elif self._are_split and not values.get("sku") and values.get("id"):
            yield record._replace(values={**values, "sku": values["id"]})
        else:
            yield record

    def _within(self, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the products in a record: its variants, and maybe itself."""
        if not self._keeps_ids:
            return variants_of(values, prepare=self._own_values)
        if values.get("id") and (items := variants_of(values, ("items",))):
            return items
        return variants_of(values, by_id=True, prepare=self._lists.spread)

    def _read_header(self) -> Header:
        names: dict[str, None] = {}
        records: list[Mapping[str, Any]] = []  # the first two
        wrong = ""
        with self._files.open(self._name) as stream:
            for record in self._each(stream):
                if isinstance(record, Reject):
                    wrong = wrong or f" ({record.reason})"
                else:
                    if len(records) < 2:
                        records.append(record.values)
                    names.update(dict.fromkeys(record.values))
                if len(names) > MOST_NAMES:
                    raise UnreadableCatalogue(
                        f"{self._name}: the records have more than {MOST_NAMES} different names"
                    )
        if len(records) == 1 and (said := said_error(records[0])):
            raise UnreadableCatalogue(
                f"{self._name}: this is an error answer, no list of products: {said}"
            )
        if not names:
            raise UnreadableCatalogue(f"{self._name}: {self._nothing}{wrong}")
        return Header(list(names), "")

    _nothing = "there is no record in it"

    def _file_records(self) -> Iterator[TableRecord | Reject]:
        columns = self._header.columns
        names = columns[: len(columns) - len(self.preset.added)]  # the others are added later
        others = _other_spellings(names)
        with self._files.open(self._name) as stream:
            for record in self._each(stream):
                if isinstance(record, Reject):
                    yield record
                else:
                    values = [record.values.get(name) for name in names]
                    if others:
                        values = [
                            _spelled_otherwise(record.values, others.get(name, ()), value)
                            for name, value in zip(names, values, strict=True)
                        ]
                    yield TableRecord(record.line, values, record.warnings)


def _other_spellings(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the names that differ in their case alone: {name: the others}."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(name.casefold(), []).append(name)
    several = [group for group in alike.values() if len(group) > 1]
    return {name: [it for it in group if it != name] for group in several for name in group}


def _spelled_otherwise(values: Mapping[str, Any], others: Sequence[str], value: Any) -> Any:
    """Return a value; where there is none, that of a name that differs in its case alone."""
    found = (values[name] for name in others if values.get(name) is not None)
    return next(found, None) if value is None and others else value
