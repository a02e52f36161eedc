"""Products as JSON for the client of this request."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from sqlalchemy.orm import Session

from backend import generations
from backend.api.image_urls import ImageAddresses, may_see_paths
from backend.api.schemas import Json
from backend.catalogue import product_images
from backend.catalogue.draft_images import ImageRef
from backend.catalogue.products import FIELDS
from backend.database import models
from backend.queue.progress import State, image_errors, states

PUBLIC_SCHEMES: Final = ("https://", "http://", "store://")
"""What an `image_uri` begins with that says nothing about the server's files."""


class Image(Protocol):
    """What is shown of an image of a product."""

    @property
    def uri(self) -> str | None: ...  # noqa: D102
    @property
    def role(self) -> str | None: ...  # noqa: D102
    @property
    def digest(self) -> str | None: ...  # noqa: D102


class ProductWriter:
    """Writes products; what depends on the request is read once.

    `fields` names the members to write besides the sku; if it is empty, all are written.
    """

    def __init__(self, fields: Collection[str] = ()) -> None:
        self._addresses = ImageAddresses.of_request()
        self._shows_paths = may_see_paths()
        self._wanted = {"sku", *fields} if fields else None
        self._shows_images = not fields or "images" in fields

    def write(
        self,
        columns: Json,
        state: str,
        reason: str | None,
        *,
        digest: str | None,
        images: Sequence[Image] = (),
        errors: Mapping[str, str] | None = None,
    ) -> Json:
        """Return one product as JSON: its columns, `sku` and FIELDS in this order, completed.

        `digest` is that of its first image. `errors` says by address why one of its images has no
        point.
        """
        sku, uri = columns["sku"], columns["image_uri"]
        url = self._addresses.of(sku, uri=uri, digest=digest)
        if uri is not None and not self._shows_paths and not uri.startswith(PUBLIC_SCHEMES):
            columns["image_uri"], shown_reason = None, _without_path(reason)
        else:
            shown_reason = reason
        if len(images) == 1 and not errors and self._shows_images and images[0].uri == uri:
            image = images[0]  # as `_images` writes it
            columns["images"] = [
                {
                    "uri": columns["image_uri"],
                    "role": image.role,
                    "digest": image.digest,
                    "url": url,
                    "state": state,
                    "reason": shown_reason,
                }
            ]
        else:
            columns["images"] = self._images(sku, url, images, state, reason, errors or {})
        columns["state"], columns["reason"], columns["image_url"] = state, shown_reason, url
        if self._wanted is None:
            return columns
        return {name: value for name, value in columns.items() if name in self._wanted}

    def _images(
        self,
        sku: str,
        first_url: str | None,
        images: Sequence[Image],
        state: str,
        reason: str | None,
        errors: Mapping[str, str],
    ) -> list[Json]:
        if not self._shows_images:
            return []
        found = []
        for number, image in enumerate(images, start=1):
            uri, its_state, why = image.uri, state, reason
            if errors and state != State.PENDING and (own := errors.get(uri or "")):
                its_state, why = State.QUARANTINED.value, own
            url = first_url
            if number > 1:
                url = self._addresses.of(sku, number, uri=uri, digest=image.digest)
            if uri is not None and self._hides(uri):
                uri, why = None, _without_path(why)
            found.append(
                {
                    "uri": uri,
                    "role": image.role,
                    "digest": image.digest,
                    "url": url,
                    "state": its_state,
                    "reason": why,
                }
            )
        return found

    def _hides(self, uri: str) -> bool:
        """Tell whether an address says where a file lies on the server, and must not be seen."""
        return not self._shows_paths and not uri.startswith(PUBLIC_SCHEMES)


def _without_path(reason: str | None) -> str | None:
    """Return the code of a reason, whose text may name the file too."""
    return reason and reason.partition(":")[0]


def write_products(
    session: Session, products: Sequence[models.Product], *, fields: Collection[str] = ()
) -> list[Json]:
    """Return products as JSON, with their state in the active generation.

    `fields` as in `ProductWriter`.
    """
    generation = generations.active_or_none(session)
    generation_id = generation.id if generation else None
    found = states(session, generation_id, [it.id for it in products])
    several = [it.id for it in products if it.more_images]
    images: Mapping[int, Sequence[ImageRef]] = {}
    errors: Mapping[int, Mapping[str, str]] = {}
    if not fields or "images" in fields:
        images = product_images.load_all(session, products)
        errors = image_errors(session, generation_id, several)
    writer = ProductWriter(fields)
    shown = []
    for it in products:
        state, reason = found[it.id]
        columns = {name: getattr(it, name) for name in ("sku", *FIELDS)}
        shown.append(
            writer.write(
                columns,
                state.value,
                reason,
                digest=it.image_digest,
                images=images.get(it.id, ()),
                errors=errors.get(it.id),
            )
        )
    return shown
