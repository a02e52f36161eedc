"""Which `image_uri` a client may set: nothing that makes this host read its own files."""

from __future__ import annotations

from backend.catalogue.products import ImageRef
from backend.errors import ForbiddenImage, InvalidProduct
from backend.images.addresses import SCHEMES, parse_address
from backend.settings import Settings


def check_address(image: ImageRef | None, stored_uri: str | None, settings: Settings) -> None:
    """Raise InvalidProduct unless the image is on an allowed host, or its address is unchanged."""
    if image is None or image.uri is None or image.uri == stored_uri:
        return
    try:
        parse_address(image.uri, hosts=settings.image_hosts)
    except ForbiddenImage:
        hosts = ", ".join(settings.image_hosts) or "none; see LOOKALIKE_IMAGE_HOSTS"
        reason = (
            f"must be an {', '.join(f'{scheme}://' for scheme in SCHEMES)} address on an allowed "
            f"host ({hosts}), or unchanged; PUT …/image takes the image itself"
        )
        raise InvalidProduct(reason, errors=[{"field": "image_uri", "reason": reason}]) from None
