"""A sample catalogue, drawn by code: a few hundred studio shots with a faithful styles.csv.

`lookalike demo` reads what this package once drew: backend/catalogue/data/sample-catalogue.zip.
After a change here, `make sample` draws that file again; a test compares both.

Reading order: `pencil` (outlines), `fabric` (cloth), `light` and `sheet` (the studio); `torso`,
`tops`, `bottoms`, `skirts`, `bags`, `footwear`, `accessories` (what is drawn); `assortment` (what
is sold), `styles` (which products there are), and here, how they are written.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from PIL import Image

from sample_catalogue.sheet import Sheet
from sample_catalogue.styles import Item, invent

COLUMNS: Final = (
    "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,"
    "productDisplayName"
)
PRODUCTS: Final = 300
QUALITY: Final = 86  # of the JPEGs: 300 of them stay below 3 MB
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)  # the zip names no day on which it was made


def make_sample(
    folder: Path,
    *,
    products: int = PRODUCTS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw a catalogue into `folder`: styles.csv, images/{id}.jpg, styles/{id}.json.

    Images are JPEGs of 240 x 320. Two products in three have a JSON file with a price. The same
    `products` and `seed` give the same bytes. `progress(done, products)` is called per product.

    Like any feed it has its defects, one each: a name with an unquoted comma (the product at a
    quarter of the file), no image (at half), usage `NA` (at three quarters).

    Raises ValueError for fewer than four products.
    """
    if products < 4:
        raise ValueError("the sample's defects alone take four products")
    items = invent(products, seed=seed)
    for part in ("images", "styles"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    lines = [_line(item, i, products) for i, item in enumerate(items)]
    (folder / "styles.csv").write_text("\n".join([COLUMNS, *lines, ""]), encoding="utf-8")
    for i, item in enumerate(items):
        if i != products // 2:
            (folder / "images" / f"{item.id}.jpg").write_bytes(jpeg(draw(item)))
        if i % 3:
            _write_style(item, folder / "styles" / f"{item.id}.json")
        if progress:
            progress(i + 1, products)


def pack(folder: Path, archive: Path) -> None:
    """Write a folder's files into a zip; the same files give the same bytes.

    They are stored as they are: how well zlib compresses differs from build to build.
    """
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as out:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _LONG_AGO)
            member.create_system = 3  # Unix, also where it is not
            out.writestr(member, path.read_bytes())


def draw(item: Item) -> Image.Image:
    """Draw one product: RGB, 240 x 320."""
    sheet = Sheet()
    item.kind.paint(sheet, item.design)
    return sheet.photograph()


def jpeg(image: Image.Image) -> bytes:
    """Encode an image as the sample's files are."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, optimize=True)
    return out.getvalue()


def _line(item: Item, position: int, products: int) -> str:
    """Return the product's line, unquoted like the original's, with its defect if it has one."""
    name = item.name + (", Limited Edition" if position == products // 4 else "")
    usage = "NA" if position == products * 3 // 4 else item.usage
    fields = (
        str(item.id), item.gender, *item.kind.categories, item.base_colour,
        item.season, item.year, usage, name,
    )  # fmt: skip
    return ",".join(fields)


def _write_style(item: Item, path: Path) -> None:
    style = {
        "id": item.id,
        "price": item.price,
        "discountedPrice": item.price,
        "productDisplayName": item.name,
        "brandName": item.brand,
        "gender": item.gender,
        "baseColour": item.base_colour,
    }
    path.write_text(json.dumps({"data": style}, indent=1), encoding="utf-8")
