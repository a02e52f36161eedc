"""A shopper's image, embedded by the process that owns the embedded index."""

from __future__ import annotations

from typing import Any, Final

from backend.calls import Caller, NoAnswer
from backend.database.models import Generation
from backend.errors import EmbedderBusy
from backend.generations import EmbedderIdentity
from backend.images.box import Box
from backend.search.query_image import EmbeddedQuery
from backend.vectors import Vector

EMBED_SECONDS: Final = 60.0
"""How long an image waits. The first one may wait for the network to be loaded."""


class OwnerQueryEncoder:
    """A `QueryEncoder` for the API processes beside an owner: they load no network.

    The vector is the one that the owner would use itself.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def encode(self, generation: Generation, data: bytes, box: Box | None = None) -> Vector:
        """As in `QueryEncoder`: (size,) float32 of length 1."""
        return self.embed_image(generation, data, box).vector

    def embed_image(
        self, generation: Generation, data: bytes, box: Box | None = None
    ) -> EmbeddedQuery:
        """As in `QueryEncoder`; the owner answers."""
        found: EmbeddedQuery = self._ask("embed_image", generation.id, data, box)
        return found

    def check(self, generation: Generation) -> None:
        """As in `QueryEncoder`."""
        self._ask("check_encoder", generation.id)

    def identify(self, spec: str) -> EmbedderIdentity:
        """As in `QueryEncoder`."""
        found: EmbedderIdentity = self._ask("identify", spec)
        return found

    def _ask(self, name: str, *arguments: Any) -> Any:
        try:
            return self._caller.call(name, *arguments, seconds=EMBED_SECONDS)
        except NoAnswer as error:
            raise EmbedderBusy(f"the process that embeds images does not answer: {error}") from None
