"""Any shop's table: columns by name or `FeedMapping`, images by a template or a column."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from backend.catalogue.sources.columns import Columns, as_text, match
from backend.catalogue.sources.csv_records import Header, TableRecord, read_header, read_records
from backend.catalogue.sources.feed import FeedRow, Reject, RowWarning, WarningKind
from backend.catalogue.sources.files import Files
from backend.catalogue.sources.mapping import FeedMapping
from backend.errors import ConfigurationError, ForbiddenImage

REMOTE: Final = ("https", "http", "s3", "gs")


class Table:
    """A CSV file and the images that its rows name.

    `image` is the template if the mapping has none and the table has no column for images.
    """

    def __init__(
        self, files: Files, name: str, mapping: FeedMapping, *, image: str | None = None
    ) -> None:
        self._files = files
        self._name = name
        self._header = self._read_header()
        self._columns = match(
            self._header.columns,
            mapping.columns,
            decimal=mapping.decimal,
            delimiter=self._header.delimiter,
        )
        self._prices_seen = mapping.decimal is not None or "price" not in self._columns.fields
        if "image_uri" in self._columns.fields:
            image = None
        image = mapping.image or image
        self._template = Template(image, self._header, self._columns) if image else None

    def skus(self) -> Iterator[tuple[int, str]]:
        """Yield line and sku of every row, in order."""
        for record in self._records():
            if isinstance(record, TableRecord):
                self._columns.see(record.values)
                yield record.line, self._columns.sku(record.values)
        self._prices_seen = True

    def read(self) -> Iterator[FeedRow | Reject]:
        """Yield every row, in order. Prices need a look at all of them before the first."""
        if not self._prices_seen:
            self._see_prices()
            self._prices_seen = True
        for record in self._records():
            yield self._row(record) if isinstance(record, TableRecord) else record

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _see_prices(self) -> None:
        for record in self._records():
            if isinstance(record, TableRecord):
                self._columns.see(record.values)

    def _read_header(self) -> Header:
        with self._files.open(self._name) as stream:
            return read_header(stream)

    def _records(self) -> Iterator[TableRecord | Reject]:
        with self._files.open(self._name) as stream:
            read_header(stream)
            sku, name = self._columns.fields["sku"], self._columns.fields.get("display_name", -1)
            free_text = name if name > sku else None  # a correction must not shift the sku
            yield from read_records(stream, self._header, key=sku, free_text=free_text)

    def _row(self, record: TableRecord) -> FeedRow | Reject:
        fields, warnings = self._columns.read(record.values)
        sku, uri = fields.pop("sku"), fields.pop("image_uri", None)
        if sku is None:
            return Reject(record.line, None, "the sku is empty")
        row = FeedRow(line=record.line, sku=sku, fields=fields, warnings=record.warnings + warnings)
        named = self._template.fill(record.values) if self._template else uri
        try:
            address = None if self._template else _address(uri or "")
            if address:
                return replace(row, fields={**row.fields, "image_uri": address})
            return self._with_image(row, (named or "").lstrip("/"))
        except ForbiddenImage as error:
            return _warned(row, WarningKind.IMAGE, error.message)

    def _with_image(self, row: FeedRow, relative: str) -> FeedRow:
        """Look for the row's image; without one the row is kept, and will end in the quarantine."""
        base = self._template.base if self._template else ""
        image = self._files.image(relative, base=base) if relative else None
        if image:
            return replace(row, image=image)
        if not relative:
            return _warned(row, WarningKind.NO_IMAGE, "no image is named")
        path = "/".join(filter(None, (base, relative)))
        return _warned(row, WarningKind.IMAGE, f"there is no image {path}")


def _warned(row: FeedRow, kind: WarningKind, text: str) -> FeedRow:
    return replace(row, warnings=(*row.warnings, RowWarning(kind, text)))


def _address(uri: str) -> str | None:
    """Return the address of a remote image, None for a path.

    Raises ForbiddenImage for a scheme under which no image of a feed can be.
    """
    if uri.startswith("//"):
        return f"https:{uri}"
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return None
    if scheme.lower() not in REMOTE:
        raise ForbiddenImage(f"an image can be a path or at {'://, '.join(REMOTE)}://, not {uri!r}")
    return f"{scheme.lower()}://{rest}"


class Template:
    """The path of a row's image, as a format string over our fields and the shop's columns.

    Only plain names with a format are allowed: `{sku.__class__}` would give access to Python.
    """

    def __init__(self, text: str, header: Header, columns: Columns) -> None:
        start = text.partition("{")[0]
        self.base = start.rpartition("/")[0]
        self._text = text[len(self.base) + 1 :] if self.base else text
        self._positions = {name: at for at, name in enumerate(header.columns)}
        self._positions |= columns.fields
        self._check()

    def fill(self, values: Sequence[Any]) -> str:
        """Return the path of a row's image, below `base`."""
        return self._text.format_map(_Values(values, self._positions))

    def _check(self) -> None:
        try:
            names = list(string.Formatter().parse(self._text))
        except ValueError as error:
            raise ConfigurationError(f"the image template: {error}") from None
        for _, name, spec, conversion in names:
            if name is not None and (name not in self._positions or "{" in (spec or "")):
                known = ", ".join(self._positions)
                raise ConfigurationError(f"the image template has {{{name}}}; there are: {known}")
            if conversion:
                raise ConfigurationError("the image template takes no conversions such as !r")


class _Values(dict[str, Any]):
    """The values of one record by name, stripped when they are read."""

    def __init__(self, values: Sequence[Any], positions: Mapping[str, int]) -> None:
        super().__init__()
        self._values, self._positions = values, positions

    def __missing__(self, name: str) -> str:
        return as_text(self._values[self._positions[name]])
