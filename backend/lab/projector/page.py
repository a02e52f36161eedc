"""One HTML file with a scatter plot of a sample; it loads nothing."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Final

from PIL.Image import Image

from backend.lab.projector.sampling import Sample
from backend.lab.projector.sprite import columns
from backend.lab.types import Floats

QUALITY: Final = 80
DIGITS: Final = 4  # of a coordinate: finer than a pixel


def render(
    sample: Sample, maps: Mapping[str, Floats], sprite: Image, *, side: int, note: str
) -> str:
    """Return the page. `maps` are by their names on it; `note` describes the sample."""
    data = {
        "note": note,
        "skus": [product.sku for product in sample.products],
        "names": [product.name or product.sku for product in sample.products],
        "fields": [_field(sample, field) for field in sample.fields or ["product"]],
        "maps": [
            {"name": name, "x": _rounded(flat[:, 0].tolist()), "y": _rounded(flat[:, 1].tolist())}
            for name, flat in maps.items()
        ],
        "tile": side,
        "columns": columns(len(sample.products)),
    }
    page = resources.files(__package__).joinpath("page.html").read_text("utf-8")
    with_sprite = page.replace("SPRITE_URL", _data_url(sprite))  # before the catalogue's text
    return with_sprite.replace("/*DATA*/null", _script(data))


def _field(sample: Sample, field: str) -> dict[str, Any]:
    """Return a field's values, the most frequent first, and each product's position in them."""
    values = [product.value(field) for product in sample.products]
    counts = Counter(value for value in values if value is not None)
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    position: dict[str | None, int] = {value: at for at, value in enumerate(ordered)} | {None: -1}
    return {
        "name": field.removeprefix("attributes.").replace("_", " "),
        "values": ordered,
        "counts": [counts[value] for value in ordered],
        "codes": [position[value] for value in values],
    }


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, DIGITS) for number in numbers]


def _script(data: Mapping[str, Any]) -> str:
    """Return JSON that is safe inside a script element: it cannot end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _data_url(sprite: Image) -> str:
    buffer = io.BytesIO()
    sprite.save(buffer, "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
