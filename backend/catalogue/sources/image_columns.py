"""Which columns of a table name images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from backend.catalogue.sources.column_names import plain

IMAGES: Final = {"images", "imageurls", "imagelinks", "imagesrc", "imageuris", "photos"}
"""Columns that hold the images where no other column does."""
MORE_IMAGES: Final = {
    *("additionalimagelink", "additionalimagelinks", "additionalimages", "additionalimageurl"),
    *("additionalimageurls", "alternateimages", "galleryimages", "moreimages", "otherimages"),
    *("imgurlalternative", "additionalimage", "alternateimage", "extraimageurl", "otherimageurl"),
    *("productmedia", "variantmedia", "variantassets"),
    *("secondaryimage", "secondaryimages", "otherimage", "extraimages", "detailimages"),
}
"""Columns of further images, without case and underscores; they are no attributes."""
_NUMBERED: Final = re.compile(
    r"(?:additional|alternate|extra|further|more|other|product|secondary|item|ox|asset|media|mediaasset|main)?"
    r"(?:image|media|img|photo|picture|pic|bild|foto|imagen|imagem|immagine|afbeelding|zdjęcie|obrázek"
    r"|görsel|resim|visuel|kép|kuva|фото|картинка|изображение)(?:url|link|src|uri|file|path)?"
    r"(?:number|no)?[0-9]{1,2}(?:url|link|src|uri|file)?"
)
"""Columns such as `image_2`, `image_url_2`, `image[1].url`, without case and underscores."""


def further_columns(names: Sequence[str], image: int | None) -> list[int]:
    """Return the columns of further images, beside the one that holds the first."""
    alike = {plain(names[image])} if image is not None else set()
    known = MORE_IMAGES | IMAGES | alike
    return [at for at, name in enumerate(names) if plain(name) in known or is_numbered(name)]


def columns_of_images(names: Sequence[str], bare: Sequence[str]) -> Iterator[str]:
    """Yield the columns that can hold the first image where no other column does."""
    yield from (name for name, each in zip(names, bare, strict=True) if plain(each) in IMAGES)
    yield from filter(is_numbered, names)


def is_numbered(name: str) -> bool:
    """Tell whether a column is one of several, such as `image_2`."""
    return bool(_NUMBERED.fullmatch(plain(name)))
