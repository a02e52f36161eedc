"""What Schemathesis has to know of this API's bodies; it reads the module by SCHEMATHESIS_HOOKS."""

from __future__ import annotations

import json

import schemathesis
from hypothesis import strategies as st

from support.image_files import colour_image

IMAGES = st.sampled_from(
    [colour_image("red"), colour_image("blue", format="JPEG"), b"", b"\xff\xd8\xff"]
)
for media_type in ("image/*", "image/png", "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, IMAGES)


@schemathesis.serializer("application/x-ndjson")
def as_lines(_context: object, value: object) -> bytes:
    """Send lines of JSON as they are, with what is not UTF-8 escaped."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "backslashreplace")
