"""The images of a table's rows: by a template, or as cells name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from backend.catalogue.sources.cell_texts import as_text
from backend.catalogue.sources.feed import FeedRow, ImageFile, RowWarning, WarningKind
from backend.catalogue.sources.files import Files
from backend.catalogue.sources.held_images import image_in_text, is_image_as_text
from backend.catalogue.sources.image_cells import (
    address_without_scheme,
    checked_address,
    ends_as_image,
    is_address,
    split_images,
)
from backend.catalogue.sources.image_places import folders_of_images, other_places, path_of
from backend.catalogue.sources.image_template import Template
from backend.errors import ForbiddenImage
from backend.vectors.image_points import MOST_IMAGES

FIRST_CHARACTERS: Final = (3, 2, 1)
"""Lengths of the names of folders that a sku begins with: shops with many images have them."""
LONGEST_SHOWN: Final = 300
"""Characters of a path in a warning."""


class RowImages(Protocol):
    """How the images of a table's rows are found."""

    def add_to(self, row: FeedRow, cell: str | None, values: Sequence[Any]) -> FeedRow:
        """Return a row with its images; `cell` is what its column of images says."""
        ...


class TemplatedImages:
    """Images whose paths follow from the values of a row."""

    def __init__(self, files: Files, template: Template) -> None:
        self._files = files
        self._template = template

    def add_to(self, row: FeedRow, cell: str | None, values: Sequence[Any]) -> FeedRow:
        """Add a row's image; without one the row is kept, and will end in the quarantine."""
        row.image, warnings = self._find(values)
        row.warnings += warnings
        return row

    def _find(self, values: Sequence[Any]) -> tuple[ImageFile | None, tuple[RowWarning, ...]]:
        relative = self._template.fill(values)
        if not relative:
            return None, (RowWarning(WarningKind.NO_IMAGE, "no image is named"),)
        try:
            if image := self._files.image(relative, base=self._template.base):
                return image, ()
        except ForbiddenImage as error:
            return None, (RowWarning(WarningKind.IMAGE, error.message),)
        return None, (_missing("/".join(filter(None, (self._template.base, relative)))),)


class NamedImages:
    """Images that cells name, as paths or addresses.

    `more` are the columns of further images. Where `lists` is true the images of a row are all
    that its product has, so a row without any says that there are none. Where no column names
    images (`by_sku`), the file whose name is the sku is the image, in a folder of images.
    """

    def __init__(
        self,
        files: Files,
        *,
        folders: Sequence[str],
        more: Sequence[int],
        lists: bool,
        by_sku: bool = False,
    ) -> None:
        self._files = files
        self._by_sku = by_sku
        self._folders = folders
        self._places = folders_of_images(files)
        self._more = more
        self._lists_images = lists

    def add_to(self, row: FeedRow, cell: str | None, values: Sequence[Any]) -> FeedRow:
        """Return a row with the images that its cell, and its cells for further ones, name."""
        try:
            return self._with_named(row, cell, self._further(values))
        except ForbiddenImage as error:
            return _warned(row, WarningKind.IMAGE, error.message)

    def _further(self, values: Sequence[Any]) -> list[str]:
        cells = (as_text(values[position]) for position in self._more)
        return [each for cell in cells for each in split_images(cell)]

    def _with_named(self, row: FeedRow, cell: str | None, more: Sequence[str]) -> FeedRow:
        """Find the images that a row names; the first that is found is the product's first.

        A cell that is the name of a file is one image, whatever characters it holds.
        """
        named: Sequence[str] = split_images(cell or "")
        if cell and not is_address(cell) and (len(named) > 1 or (named and " " in named[0])):
            named = self._as_files(cell, named)
        listed = tuple(dict.fromkeys((*named, *more)))
        if not listed and self._by_sku and (image := self._named_as(row.sku)):
            return replace(row, image=image)
        if not listed:
            return _warned(row, WarningKind.NO_IMAGE, "no image is named")
        if not (self._lists_images or listed[1:]):
            return self._with_found(row, listed)
        row = self._with_found(replace(row, more_images=listed[1:]), listed[:MOST_IMAGES])
        if len(listed) > MOST_IMAGES:
            text = f"{len(listed)} images are named, {MOST_IMAGES} are kept"
            row = _warned(row, WarningKind.IMAGE, text)
        return row if row.further is not None else replace(row, further=())

    def _as_files(self, cell: str, named: Sequence[str]) -> Sequence[str]:
        """Return the paths in a cell, where the names of files may hold what divides others."""
        if self._anywhere(cell):
            return [cell]
        if len(named) == 1:
            parts = cell.split()
            return parts if all(map(ends_as_image, parts)) else named
        found: list[str] = []
        for part in named:
            last = found[-1] if found else ""
            if last and not (ends_as_image(last) or is_address(last) or self._anywhere(last)):
                start = cell.find(last)
                joined = cell[start : cell.find(part, start + len(last)) + len(part)]
                if self._anywhere(joined):
                    found[-1] = joined
                    continue
            found.append(part)
        return found

    def _anywhere(self, path: str) -> ImageFile | None:
        try:
            return self._find(path) or self._find_elsewhere(path)
        except ForbiddenImage:
            return None

    def _with_found(self, row: FeedRow, listed: Sequence[str]) -> FeedRow:
        """Look for images, each for itself; without one the row is kept."""
        found: list[ImageFile | str] = []
        for named in listed:
            try:
                image = self._image_of(named)
            except ForbiddenImage as error:
                row = _warned(row, WarningKind.IMAGE, error.message)
                continue
            if image is None:
                missing = _missing(named)
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
        if is_image_as_text(named):
            return image_in_text(named)
        if local := path_of(named):
            return self._find_elsewhere(local) or checked_address(named)
        if is_address(named):
            return checked_address(named)
        return self._find(named) or address_without_scheme(named) or self._find_elsewhere(named)

    def _named_as(self, sku: str) -> ImageFile | None:
        """Find the image whose file has the sku as its name, with any extension of an image.

        It may lie in a folder that the sku begins with: `images/011/0111565001.jpg`.
        """
        if "/" in sku or "\\" in sku:
            return None
        begins = [sku[:count] for count in FIRST_CHARACTERS if len(sku) > count]
        paths = [f"{sku}.jpg", *(f"{folder}/{sku}.jpg" for folder in begins if "." not in folder)]
        found = (self._files.image(path, base=base) for base in self._places for path in paths)
        return next(filter(None, found), None)

    def _find_elsewhere(self, path: str) -> ImageFile | None:
        found = map(self._find, other_places(path, self._places))
        return next(filter(None, found), None)

    def _find(self, relative: str) -> ImageFile | None:
        found = (self._files.image(relative, base=base) for base in self._folders)
        return next(filter(None, found), None)


def _warned(row: FeedRow, kind: WarningKind, text: str) -> FeedRow:
    return replace(row, warnings=(*row.warnings, RowWarning(kind, text)))


def _missing(path: str) -> RowWarning:
    shown = path if len(path) <= LONGEST_SHOWN else f"{path[:LONGEST_SHOWN]}…"
    return RowWarning(WarningKind.IMAGE, f"there is no image {shown}")
