"""Which image addresses a client may set: none that makes this host read its own files."""

from __future__ import annotations

from collections.abc import Collection

from backend.catalogue.drafts import Draft
from backend.errors import ForbiddenImage, InvalidProduct
from backend.images.addresses import SCHEMES, parse_address


def check_addresses(draft: Draft, stored: Collection[str | None], hosts: Collection[str]) -> None:
    """Raise InvalidProduct unless each image is on an allowed host, or the product has it already.

    `stored` holds the addresses of the product's images.
    """
    given = [("image_uri", draft.image)] if draft.image else []
    given += [("images", image) for image in draft.images or ()]
    reason = f"must be {allowed(hosts)}, or unchanged; PUT …/image takes the image itself"
    for field, image in given:
        is_new = image.uri is not None and image.uri not in stored
        if is_new and image.bytes is None and not is_allowed(str(image.uri), hosts):
            raise InvalidProduct(reason, errors=[{"field": field, "reason": reason}])


def is_allowed(uri: str, hosts: Collection[str]) -> bool:
    """Tell whether an image may be fetched from an address."""
    try:
        parse_address(uri, hosts=tuple(hosts))
    except ForbiddenImage:
        return False
    return True


def allowed(hosts: Collection[str]) -> str:
    """Say which addresses are allowed."""
    names = ", ".join(hosts) or "none; see LOOKALIKE_IMAGE_HOSTS"
    schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    return f"an {schemes} address on an allowed host ({names})"
