"""Which `image_uri` a client may set: nothing that makes this host read its own files."""

from __future__ import annotations

from urllib.parse import urlsplit

from backend.catalogue.products import ImageRef
from backend.errors import InvalidProduct
from backend.settings import Settings

SCHEMES = ("https", "http", "s3")


def check_address(image: ImageRef | None, stored_uri: str | None, settings: Settings) -> None:
    """Raise InvalidProduct unless the image is on an allowed host, or where it was already."""
    if image is None or image.uri is None or image.uri == stored_uri:
        return
    if not _is_allowed(image.uri, settings.image_hosts):
        hosts = ", ".join(settings.image_hosts) or "none; see LOOKALIKE_IMAGE_HOSTS"
        reason = (
            f"must be an {', '.join(f'{scheme}://' for scheme in SCHEMES)} address on an allowed "
            f"host ({hosts}), or unchanged; PUT …/image takes the picture itself"
        )
        raise InvalidProduct(reason, errors=[{"field": "image_uri", "reason": reason}])


def _is_allowed(uri: str, hosts: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme in SCHEMES and host in hosts
