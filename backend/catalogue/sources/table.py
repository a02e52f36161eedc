"""Any shop's table: columns by name or `FeedMapping`, images by a template or a column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from backend.catalogue.sources.categories import category_fields
from backend.catalogue.sources.columns import Columns, as_text, match, names_a_sku, plain
from backend.catalogue.sources.csv_lines import Lines
from backend.catalogue.sources.csv_records import (
    Header,
    TableRecord,
    open_csv,
    read_header,
    read_records,
)
from backend.catalogue.sources.feed import (
    CutOff,
    Description,
    FeedRow,
    ImageFile,
    Reject,
    RowWarning,
    WarningKind,
)
from backend.catalogue.sources.files import Files
from backend.catalogue.sources.image_cells import (
    address_without_scheme,
    checked_address,
    is_address,
    split_images,
)
from backend.catalogue.sources.image_places import folders_of_images, other_places, path_of
from backend.catalogue.sources.image_template import Template
from backend.catalogue.sources.mapping import FeedMapping
from backend.catalogue.sources.presets import TABLE, apply_preset, find_preset
from backend.catalogue.sources.publication import Publication
from backend.catalogue.sources.row_plan import RowPlan
from backend.errors import ForbiddenImage, UnreadableCatalogue
from backend.vectors.image_points import MOST_IMAGES

_MOST_LANGUAGES: Final = 5
IMAGES: Final = {"images", "imageurls", "imagelinks", "imagesrc", "imageuris", "photos"}
"""Columns that hold the images where no other column does."""
ALSO_ATTRIBUTES: Final = ("in_stock", "group_id", "brand", "link")
"""Fields whose columns stay in the attributes too, where filters and facets may name them."""
MORE_IMAGES: Final = {
    *("additionalimagelink", "additionalimagelinks", "additionalimages", "additionalimageurl"),
    *("additionalimageurls", "alternateimages", "galleryimages", "moreimages", "otherimages"),
    "imgurlalternative",
}
"""Columns of further images, without case and underscores; they are no attributes."""
_NUMBERED: Final = re.compile(
    r"(?:additional|alternate|extra|further|more|other|product)?"
    r"(?:image|img|photo|picture)(?:url|link|src|uri|file)?"
    r"(?:number|no)?[0-9]{1,2}(?:url|link|src|uri|file)?"
)
"""Columns such as `image_2`, `image_url_2`, `image[1].url`, without case and underscores."""


class Table:
    """A CSV file and the images that its rows name.

    `image` is the template if the mapping has none and the table has no column for images.
    """

    form = "CSV"

    def __init__(
        self, files: Files, name: str, mapping: FeedMapping, *, image: str | None = None
    ) -> None:
        self._files = files
        self._name = name
        self._mapping = mapping
        self._cut_off: CutOff | None = None
        self._header = self._read_header()
        self.preset = find_preset(self._header.columns, mapping.format)
        columns = [*self._header.columns, *self.preset.added]
        mapping = apply_preset(self.preset, columns, mapping)
        self._header = Header(columns, self._header.delimiter)
        self._image_folders = mapping.image_folders
        self._image_places = folders_of_images(files)
        self._columns, self._more = self._match(mapping)
        names = self._header.columns
        self._publication = Publication.find(names, self.preset.hidden, self.preset.in_english)
        category = self._columns.fields.get("article_type", -1)
        as_given = category < 0 or plain(names[category]) == "articletype"
        as_given = as_given or "article_type" in self._mapping.columns
        self._has_category_paths = self.preset is not TABLE or not as_given
        image_at = self._columns.fields.get("image_uri")
        plural = image_at is not None and plain(self._header.columns[image_at]) in IMAGES
        self._lists_images = plural or bool(self._more)  # so an empty list says that there are none
        self._prices_seen = mapping.decimal is not None or "price" not in self._columns.fields
        image = self.preset.image or image
        if "image_uri" in self._columns.fields:
            image = None
        image = mapping.image or image
        self._template = Template(image, self._header, self._columns) if image else None
        is_text_alone = type(self) is Table and self.preset.arrange is None
        self._plan = RowPlan.make(self._columns) if is_text_alone else None

    def _match(self, mapping: FeedMapping) -> tuple[Columns, Sequence[int]]:
        """Find the columns of our fields, and those of further images, which are no attributes."""
        names = self._header.columns
        is_any_shops = self.preset is TABLE
        given = {**_by_bare_names(names, mapping, is_any_shops=is_any_shops), **mapping.columns}
        columns = match(
            names,
            given,
            decimal=mapping.decimal,
            delimiter=self._header.delimiter,
            numeric=mapping.numeric,
            is_any_shops=is_any_shops,
        )
        image = columns.fields.get("image_uri")
        alike = {plain(names[image])} if image is not None else set()
        more = [
            at
            for at, name in enumerate(names)
            if (plain(name) in MORE_IMAGES | IMAGES | alike or _is_numbered_image(name))
            and at not in columns.fields.values()
        ]
        of_file = len(names) - len(self.preset.added)
        rest = {
            name: at
            for name, at in columns.attributes.items()
            if at not in more and at < of_file  # an added column is no attribute
        }
        for field in ALSO_ATTRIBUTES:
            at = columns.fields.get(field)
            if at is not None and field not in self._mapping.columns and self._says_more(field, at):
                rest[names[at]] = at
        return replace(columns, attributes=rest), more

    def _says_more(self, field: str, at: int) -> bool:
        """Tell whether a field's column is worth an attribute, as it was in the file."""
        name = self._header.columns[at]
        is_plain_stock = field == "in_stock" and plain(name) == "instock"
        return not is_plain_stock and name not in self.preset.added

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

    def cut_off(self) -> CutOff | None:
        """Return why the feed may have ended early."""
        return self._cut_off

    def describe(self) -> Description:
        """Return the platform, and which column is which of our fields."""
        names = self._header.columns
        fields = {field: names[position] for field, position in self._columns.fields.items()}
        title = f"{self.preset.title} ({self.form})"
        return Description(title, fields, list(self._columns.attributes))

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def _see_prices(self) -> None:
        for record in self._records():
            if isinstance(record, TableRecord):
                self._columns.see(record.values)

    def _read_header(self) -> Header:
        with self._files.open(self._name) as stream:
            return self._header_of(open_csv(stream, encoding=self._mapping.encoding))

    def _header_of(self, lines: Lines) -> Header:
        named = self._mapping.columns.get("sku")
        return read_header(
            lines,
            delimiter=self._mapping.delimiter,
            is_header=lambda names: named in names if named else names_a_sku(names),
        )

    def _records(self) -> Iterator[TableRecord | Reject]:
        """Yield the records of the file, as the preset arranges them."""
        records = self._file_records()
        columns = self._header.columns
        return self.preset.arrange(columns, records) if self.preset.arrange else records

    def _file_records(self) -> Iterator[TableRecord | Reject]:
        with self._files.open(self._name) as stream:
            lines = open_csv(stream, encoding=self._mapping.encoding)
            header = self._header_of(lines)
            sku, name = self._columns.fields["sku"], self._columns.fields.get("display_name", -1)
            free_text = name if name > sku else None  # a correction must not shift the sku
            last: TableRecord | Reject | None = None
            for last in read_records(lines, header, key=sku, free_text=free_text):
                yield last
            is_broken = isinstance(last, Reject)
            self._cut_off = lines.cut_off(is_broken=is_broken, proven=self._files.proves_the_end)

    def _row(self, record: TableRecord) -> FeedRow | Reject:
        plain = self._plan.read(record.values) if self._plan else None
        sku, uri, fields = plain or (None, None, {})
        warnings = record.warnings
        if plain is None:
            fields, wrong = self._columns.read(record.values)
            sku, uri = fields.pop("sku"), fields.pop("image_uri", None)
            warnings += wrong
        if sku is None:
            return Reject(record.line, None, "the sku is empty")
        if self._publication.columns:
            warnings += self._publication.apply(record.values, fields, warnings)
        if self._has_category_paths:
            fields = dict(category_fields(self.preset, fields))
        image = None
        if self._template:
            image, wrong_image = self._templated_image(self._template.fill(record.values))
            warnings += wrong_image
        row = FeedRow(
            line=record.line,
            sku=sku,
            fields=fields,
            image=image,
            warnings=warnings,
            is_checked=plain is not None,
        )
        return row if self._template else self._with_named_images(row, uri, record)

    def _with_named_images(self, row: FeedRow, cell: str | None, record: TableRecord) -> FeedRow:
        try:
            return self._with_named_image(row, cell, self._more_images(record))
        except ForbiddenImage as error:
            return _warned(row, WarningKind.IMAGE, error.message)

    def _more_images(self, record: TableRecord) -> list[str]:
        cells = (as_text(record.values[position]) for position in self._more)
        return [each for cell in cells for each in split_images(cell)]

    def _with_named_image(self, row: FeedRow, cell: str | None, more: Sequence[str]) -> FeedRow:
        """Find the images that a row names; the first that is found is the product's first.

        A cell that is the name of a file is one image, whatever characters it holds.
        """
        named = split_images(cell or "")
        if cell and len(named) > 1 and not is_address(cell) and self._find(cell):
            named = [cell]
        listed = tuple(dict.fromkeys((*named, *more)))
        if not listed:
            return _warned(row, WarningKind.NO_IMAGE, "no image is named")
        if not (self._lists_images or listed[1:]):
            return self._with_images(row, listed)
        row = self._with_images(replace(row, more_images=listed[1:]), listed[:MOST_IMAGES])
        if len(listed) > MOST_IMAGES:
            text = f"{len(listed)} images are named, {MOST_IMAGES} are kept"
            row = _warned(row, WarningKind.IMAGE, text)
        return row if row.further is not None else replace(row, further=())

    def _with_images(self, row: FeedRow, listed: Sequence[str]) -> FeedRow:
        """Look for images, each for itself; without one the row is kept."""
        found: list[ImageFile | str] = []
        for named in listed:
            try:
                image = self._image_of(named)
            except ForbiddenImage as error:
                row = _warned(row, WarningKind.IMAGE, error.message)
                continue
            if image is None:
                missing = self._missing(named)
                row = replace(row, warnings=(*row.warnings, missing))
            else:
                found.append(image)
        if not found:
            return row
        first, *further = found
        if further:
            row = replace(row, further=tuple(further))
        if isinstance(first, str):
            return replace(row, fields={**row.fields, "image_uri": first})
        return replace(row, image=first)

    def _image_of(self, named: str) -> ImageFile | str | None:
        """Return the file or the address that a row names. Raises ForbiddenImage."""
        if local := path_of(named):
            return self._find_elsewhere(local) or checked_address(named)
        if is_address(named):
            return checked_address(named)
        return self._find(named) or address_without_scheme(named) or self._find_elsewhere(named)

    def _find_elsewhere(self, path: str) -> ImageFile | None:
        found = map(self._find, other_places(path, self._image_places))
        return next(filter(None, found), None)

    def _find(self, relative: str) -> ImageFile | None:
        if self._template:
            return self._files.image(relative, base=self._template.base)
        found = (self._files.image(relative, base=base) for base in self._image_folders)
        return next(filter(None, found), None)

    def _templated_image(self, relative: str) -> tuple[ImageFile | None, tuple[RowWarning, ...]]:
        """Look for a row's image; without one the row is kept, and will end in the quarantine."""
        if not relative:
            return None, (RowWarning(WarningKind.NO_IMAGE, "no image is named"),)
        try:
            if image := self._find(relative):
                return image, ()
        except ForbiddenImage as error:
            return None, (RowWarning(WarningKind.IMAGE, error.message),)
        return None, (self._missing(relative),)

    def _missing(self, relative: str) -> RowWarning:
        base = self._template.base if self._template else ""
        path = "/".join(filter(None, (base, relative)))
        return RowWarning(WarningKind.IMAGE, f"there is no image {path}")


def _warned(row: FeedRow, kind: WarningKind, text: str) -> FeedRow:
    return replace(row, warnings=(*row.warnings, RowWarning(kind, text)))


def _by_bare_names(
    names: Sequence[str], mapping: FeedMapping, *, is_any_shops: bool
) -> dict[str, str]:
    """Find columns whose names hold more than a name (`_bare_names`), and columns of images."""
    found: dict[str, str] = {}
    for bare in _bare_names(names):
        found = _by_names(names, bare, found, is_any_shops=is_any_shops)
    bare = next(_bare_names(names), list(names))
    images = next(_columns_of_images(names, bare), None)
    if images and "image_uri" not in found and not mapping.image:
        known = _fields(names, {"sku": names[0]}, is_any_shops and _is_numbered_image(images))
        if "image_uri" not in known:
            found["image_uri"] = images
    taken = set(mapping.columns.values())
    return {field: column for field, column in found.items() if column not in taken}


def _bare_names(names: Sequence[str]) -> Iterator[list[str]]:
    """Yield names without hints in parentheses, `sku (required)`, then by each of their languages.

    That is for headers such as `Artikelnummer / SKU`; nothing is yielded where all names are bare.
    """
    bare = [re.sub(r"\s*\([^()]*\)", "", name) for name in names]
    if bare != list(names):
        yield bare
    parts = [re.split(r"\s+[/|]\s+", name) for name in bare]
    for at in range(min(max(map(len, parts), default=1), _MOST_LANGUAGES)):
        if any(len(each) > 1 for each in parts):
            yield [each[min(at, len(each) - 1)] for each in parts]


def _by_names(
    names: Sequence[str], bare: Sequence[str], found: Mapping[str, str], *, is_any_shops: bool
) -> dict[str, str]:
    """Add to `found` the columns that bare names tell; a column that its own name tells stays."""
    here = {field: names[at] for field, at in _fields(bare, {}, False).items()}
    added = {**here, **found}
    if is_any_shops:
        there = _fields(names, added, True)
        further = _fields(bare, {}, True).items()
        added |= {field: names[at] for field, at in further if field not in there}
    return added


def _fields(
    names: Sequence[str], given: Mapping[str, str], is_any_shops: bool
) -> Mapping[str, int]:
    """Return where the columns of our fields are; nothing for a table without a sku."""
    with suppress(UnreadableCatalogue):
        return match(names, given, is_any_shops=is_any_shops).fields
    return {}


def _columns_of_images(names: Sequence[str], bare: Sequence[str]) -> Iterator[str]:
    yield from (name for name, each in zip(names, bare, strict=True) if plain(each) in IMAGES)
    yield from filter(_is_numbered_image, names)


def _is_numbered_image(name: str) -> bool:
    return bool(_NUMBERED.fullmatch(plain(name)))
