"""What a cell says about images: one path or address, or several."""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from backend.catalogue.sources.held_images import is_data_address, is_image_as_text, split_data
from backend.errors import ForbiddenImage

REMOTE: Final = ("https", "http", "s3", "gs")
NONE: Final = {
    "no_selection",
    "none",
    "null",
    "n/a",
    "#n/a",
    "nan",
    "-",
    "undefined",
}  # what exports write where there is no image
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_BETWEEN_ADDRESSES: Final = re.compile(
    r"(?<!\s)(?:\s*+(?:[,;|^#~]|::|&&|\\n)\s*+|\s++)(?=(?:https?:|s3:|gs:)?//)"
    r"|(?<=\.jpg|\.png|\.gif)(?=https?://)|(?<=\.jpeg|\.webp|\.avif)(?=https?://)",
    re.IGNORECASE,
)
"""It begins only where blanks begin, so that a cell of many blanks takes linear time."""
_WRAPPED: Final = re.compile(r"<|!\[|=|\{|\[|\(")
"""What a cell begins with in which addresses stand: `<img src="…">`, `![x](…)`, `=IMAGE("…")`."""
_ADDRESS: Final = re.compile(
    r"(?:https?|s3|gs)://(?:(?![,;|]\s*(?:https?|s3|gs)://)[^\s\"'<>()\[\]{}])+", re.IGNORECASE
)
_SEVERAL: Final = re.compile(
    r"[\s,;|^#&~<\[{\"]|::|://.*://"
)  # a cell without these is one image as written
_BETWEEN_PATHS: Final = re.compile(r"(?<!\\)[,;|]|[\r\n]")  # `\\,` is no separator
_ENDS_AS_IMAGE: Final = re.compile(
    r"\.(?:jpe?g|png|webp|gif|avif|bmp|tiff?|heic)(?:[?#]\S*)?$", re.IGNORECASE
)
_ESCAPED_SLASHES: Final = r":\/\/"  # of JSON, in a cell that is none
_REMARK: Final = re.compile(
    r"(?<!\s)\s++!\s++(?:alt|title|desc|caption)\s*+:.*|#\{[^{}]*\}$", re.IGNORECASE
)
"""What says something of an image behind its address: `1.jpg ! alt : Tee`.

CS-Cart writes `1.jpg#{[en]:Tee;}`.
"""
_BEFORE_TITLE: Final = re.compile(
    r"(?<=\.jpg|\.png|\.gif)\||(?<=\.jpeg|\.webp|\.avif)\|", re.IGNORECASE
)
"""What stands between the last part of an address and a title: `1.jpg|Tee`."""
LONGEST_LITERAL: Final = 100_000  # characters
ADDRESS_KEYS: Final = ("url", "src", "uri", "link", "path", "location", "image", "MIME_SOURCE")


def split_images(cell: str) -> list[str]:
    """Return the paths and addresses in a cell: a JSON list, or text with `,` `;` or `|` between.

    An address may hold these characters itself, so it ends only where another one begins.
    """
    cell = cell.strip()
    if _ESCAPED_SLASHES in cell:
        cell = cell.replace("\\/", "/")
    if not _SEVERAL.search(cell):
        return [only] if (only := _normalised(_trimmed(cell))) else []
    if is_data_address(cell):
        return split_data(cell)
    if is_image_as_text(cell):  # its lines are those of Base64
        return [cell]
    if cell.startswith(("[", "{", '"')) and (listed := _from_json(cell)) is not None:
        return listed
    if "&" in cell:
        cell = html.unescape(cell)
    if _WRAPPED.match(cell) and (wrapped := _ADDRESS.findall(cell)):
        return [_normalised(each.rstrip(",;")) for each in dict.fromkeys(wrapped)]
    between = _BETWEEN_ADDRESSES if is_address(cell) else _BETWEEN_PATHS
    named = (_normalised(_trimmed(each)) for each in between.split(cell))
    return [each for each in named if each]


def _trimmed(text: str) -> str:
    """Strip separators and remarks at the ends; WooCommerce writes a backslash before a comma."""
    text = text.strip().strip(" \t\r\n,;|").replace("\\,", ",")
    text = text[1:-1] if len(text) > 2 and text[0] == text[-1] == "'" else text
    if "!" in text or "#{" in text:
        text = _REMARK.sub("", text)
    title = _BEFORE_TITLE.search(text, text.rfind("/") + 1) if "|" in text else None
    return text[: title.start()] if title else text


def is_address(text: str) -> bool:
    """Tell an address from a path; `//host/path` is an address."""
    return bool(_SCHEME.match(text)) or text.startswith("//") or is_data_address(text)


def checked_address(text: str) -> str:
    """Return an address. Raises ForbiddenImage for a scheme that a feed may not use."""
    if text.partition("://")[0] not in REMOTE:
        raise ForbiddenImage(
            f"an image can be a path or at {'://, '.join(REMOTE)}://, not {text[:80]!r}"
        )
    return text


def address_without_scheme(text: str) -> str | None:
    """Return the address that a name such as `www.shop.example/1.jpg` means, if no file has it."""
    return f"https://{text}" if text.lower().startswith("www.") and "/" in text else None


def _normalised(text: str) -> str:
    """Write the scheme in lower case; `//` means https."""
    if text.lower() in NONE:
        return ""
    if text.startswith("//") and text.strip("/"):
        return f"https:{text}"
    scheme = _SCHEME.match(text)
    return scheme[0].lower() + text[scheme.end() :] if scheme else text


def _from_json(cell: str) -> list[str] | None:
    """Return the addresses of a JSON list or object; None if the cell is no JSON."""
    try:
        loaded = json.loads(cell)
    except (ValueError, RecursionError):
        loaded = _python_literal(cell)
        if loaded is None:
            return None
    found = (html.unescape(text.strip()) for text in _named_in(loaded))
    each = (one for text in found for one in _addresses(text))
    return [named for text in each if (named := _normalised(text))]


def _addresses(text: str) -> list[str]:
    """Return the addresses in one item of a list; a path may hold commas itself."""
    is_one = not is_address(text) or is_data_address(text)
    return [text] if is_one else _BETWEEN_ADDRESSES.split(text)


def _python_literal(cell: str) -> Any:
    """Return a list as Python prints it, `['a.jpg', 'b.jpg']`, which many data sets hold."""
    if len(cell) > LONGEST_LITERAL or not cell.startswith(("['", "[{'", "{'")):
        return None
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _named_in(value: Any) -> Iterator[str]:
    """Yield the addresses in a value of JSON, also those in objects within objects."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _named_in(item)
    elif isinstance(value, Mapping):
        named = next((value[key] for key in ADDRESS_KEYS if key in value), None)
        if isinstance(named, str):
            yield named
        else:
            named_images = [it for it in value.values() if isinstance(it, str) and _is_image(it)]
            parts = [it for it in value.values() if isinstance(it, list | Mapping)]
            yield from _named_in([*named_images, *parts])


def ends_as_image(text: str) -> bool:
    """Tell whether a path has the extension of an image."""
    return bool(_ENDS_AS_IMAGE.search("".join(text.rsplit(None, 1)[-1:])))


def _is_image(text: str) -> bool:
    """Tell whether a member of an object, whatever its name, is the address or path of an image."""
    return is_address(text) or ends_as_image(text)
