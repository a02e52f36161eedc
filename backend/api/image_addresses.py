"""Which addresses of images a client may set: none that makes this host read its own files."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from backend.api.problems import invalid_request
from backend.api.schemas.problem import ProblemFault
from backend.catalogue import allowed_images
from backend.catalogue.products import Draft
from backend.settings import Settings


def check_addresses(draft: Draft, stored: Collection[str | None], settings: Settings) -> None:
    """Check a draft as `allowed_images.check_addresses` does, by the hosts of the settings."""
    allowed_images.check_addresses(draft, stored, settings.image_hosts)


def check_query_addresses(given: Mapping[str, str], settings: Settings) -> None:
    """Raise RequestError unless all images that a query names are on allowed hosts.

    `given` are the addresses by the pointers to their members.
    """
    detail = f"must be {allowed_images.allowed(settings.image_hosts)}"
    faults = [
        ProblemFault(code="invalid-value", detail=detail, pointer=pointer)
        for pointer, uri in given.items()
        if not allowed_images.is_allowed(uri, settings.image_hosts)
    ]
    if faults:
        raise invalid_request(faults)
