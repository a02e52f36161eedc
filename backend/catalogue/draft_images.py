"""What a shop may write of a product's images."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from backend.catalogue.request_schema import without_defaults
from backend.catalogue.texts import normalise_text, storable
from backend.images import store

LONGEST_URI: Final = 2_048
LONGEST_ROLE: Final = 64
SCHEMES: Final = ("https", "http", "s3", "gs", "store", "file")

bytes_: TypeAlias = bytes  # `ImageRef.bytes` hides the type in its own class
READ_ONLY: Final = ("url", "digest", "state", "reason")
"""Members of an image that are read; where a client sends them, they are ignored."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(kw_only=True, slots=True, unsafe_hash=True)  # not frozen: imports make many
class ImageRef:
    """Where a product's image lies, and what is known of its content.

    Size and time are those of the file when its digest was taken. Without a size, the file has not
    been read yet.
    """

    uri: str | None
    digest: str | None = None  # sha256 of the bytes, in hex
    bytes: int | None = None
    mtime_ns: int | None = None
    role: str | None = None  # the shop's own word, such as "back"
    upload: bytes_ | None = field(default=None, repr=False)  # the file, which is not stored yet


NO_IMAGE: Final = ImageRef(uri=None)
"""Removes a product's image; a draft whose image is None leaves it as it is."""


def image_ref(uri: str | None, *, role: str | None = None) -> ImageRef:
    """Return a reference to an image whose file has not been read."""
    if uri is None:
        return NO_IMAGE
    scheme, _, digest = uri.partition("://")
    return ImageRef(uri=uri, digest=digest if scheme == store.SCHEME else None, role=role)


def check_uri(uri: str) -> str:
    """Return the address of an image as it is stored. Raises ValueError."""
    scheme, separator, rest = uri.partition("://")
    scheme = scheme.lower()
    if not separator or not rest or scheme not in SCHEMES:
        raise ValueError("must be a URI that begins with https://, http://, s3:// or gs://")
    if len(uri) > LONGEST_URI:
        raise ValueError(f"must have at most {LONGEST_URI} characters")
    if scheme == store.SCHEME and not _DIGEST.fullmatch(rest):
        raise ValueError("store:// is followed by a sha256 in hex")
    return storable(f"{scheme}://{rest}")


def _without_data(uri: Any) -> Any:
    """Refuse an address that is the file itself, before its length is looked at."""
    if isinstance(uri, str) and uri[:5].lower() == "data:":
        raise ValueError("must name a file; one itself is sent as `upload` of an image, in base64")
    return uri


ImageUri: TypeAlias = Annotated[
    str | None,
    Field(max_length=LONGEST_URI),
    BeforeValidator(_without_data),
    BeforeValidator(normalise_text),
    AfterValidator(lambda uri: uri and check_uri(uri)),
]


def _read_upload(text: Any) -> Any:
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError("must be the file in base64, as a string")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"must be the file in base64: {error}") from None


class ImageItem(BaseModel):
    """One image of a product: where it is, or the file itself."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=without_defaults)

    uri: ImageUri = Field(None, description="as `image_uri`; of an image that is there, its `uri`")
    upload: Annotated[
        bytes | None,
        BeforeValidator(_read_upload),
        WithJsonSchema(
            {"anyOf": [{"type": "string", "format": "byte"}, {"type": "null"}], "writeOnly": True}
        ),
    ] = Field(None, description="the image file in base64, instead of a `uri`")
    role: Annotated[str | None, Field(max_length=LONGEST_ROLE), BeforeValidator(normalise_text)] = (
        Field(None, description="the shop's own word for it, such as `back`")
    )

    @model_validator(mode="before")
    @classmethod
    def _without_read_only(cls, given: Any) -> Any:
        """Leave out what clients write back as they have read it."""
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if name not in READ_ONLY}

    @model_validator(mode="after")
    def _check(self) -> ImageItem:
        if (self.uri is None) == (not self.upload):
            raise ValueError("needs a uri or an upload, and not both")
        return self

    def reference(self) -> ImageRef:
        """Return what refers to it; an upload still has to be stored."""
        if self.upload is not None:
            return ImageRef(uri=None, upload=self.upload, role=self.role)
        return image_ref(self.uri, role=self.role)
