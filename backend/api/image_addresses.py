"""Which addresses of images a client may set: none that makes this host read its own files."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from backend.api.problems import invalid_request
from backend.api.schemas.problem import ProblemFault
from backend.catalogue.products import Draft
from backend.errors import ForbiddenImage, InvalidProduct
from backend.images.addresses import SCHEMES, parse_address
from backend.settings import Settings


def check_addresses(draft: Draft, stored: Collection[str | None], settings: Settings) -> None:
    """Raise InvalidProduct unless each image is on an allowed host, or the product has it already.

    `stored` holds the addresses of the product's images.
    """
    given = [("image_uri", draft.image)] if draft.image else []
    given += [("images", image) for image in draft.images or ()]
    errors = [
        {"field": field, "reason": _reason(settings)}
        for field, image in given
        if image.uri is not None
        and image.bytes is None  # else it was uploaded
        and image.uri not in stored
        and not _is_allowed(image.uri, settings)
    ]
    if errors:
        raise InvalidProduct(_reason(settings), errors=errors[:1])


def check_query_addresses(given: Mapping[str, str], settings: Settings) -> None:
    """Raise RequestError unless all images that a query names are on allowed hosts.

    `given` are the addresses by the pointers to their members.
    """
    detail = f"must be {_allowed(settings)}"
    faults = [
        ProblemFault(code="invalid-value", detail=detail, pointer=pointer)
        for pointer, uri in given.items()
        if not _is_allowed(uri, settings)
    ]
    if faults:
        raise invalid_request(faults)


def _is_allowed(uri: str, settings: Settings) -> bool:
    try:
        parse_address(uri, hosts=settings.image_hosts)
    except ForbiddenImage:
        return False
    return True


def _reason(settings: Settings) -> str:
    return f"must be {_allowed(settings)}, or unchanged; PUT …/image takes the image itself"


def _allowed(settings: Settings) -> str:
    hosts = ", ".join(settings.image_hosts) or "none; see LOOKALIKE_IMAGE_HOSTS"
    schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    return f"an {schemes} address on an allowed host ({hosts})"
