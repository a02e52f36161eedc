"""The images of an import: referred to where they are, or copied to the image store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backend.catalogue.drafts import ImageRef
from backend.catalogue.sources.feed import ImageFile
from backend.errors import ImageError, NoImage
from backend.images.store import SCHEME, ImageStore, digest_of


@dataclass(frozen=True)
class ImageReferrer:
    """Makes a reference for each image of a feed; reads only those that have changed."""

    store: ImageStore
    copy: bool
    max_bytes: int  # of one image

    def refer(self, image: ImageFile, known: Any) -> ImageRef:
        """Return a reference with the digest of the image's bytes.

        `known` is the stored product's row, None for a new one. An image that stays where it is
        and cannot be read is referred to without a digest; it will end in the quarantine, with
        the reason. Raises an ImageError where there is nothing to refer to.
        """
        if known is not None and self._is_unchanged(image, known):
            return ImageRef(
                uri=known.image_uri,
                digest=known.image_digest,
                bytes=known.image_bytes,
                mtime_ns=known.image_mtime_ns,
            )
        uri, digest = image.uri, None
        if uri is None or self.copy:
            digest = self.store.put(image.read(self.max_bytes))
            uri = self.store.uri(digest)
        else:
            digest = self._digest(image)
        return ImageRef(uri=uri, digest=digest, bytes=image.size, mtime_ns=image.mtime_ns)

    def _is_unchanged(self, image: ImageFile, known: Any) -> bool:
        """Compare size and time, not the bytes. Without a digest, the image was never read."""
        measured = (image.size, image.mtime_ns)
        if not known.image_digest or measured != (known.image_bytes, known.image_mtime_ns):
            return False
        if image.uri is not None and not self.copy:
            return bool(known.image_uri == image.uri)
        kept = self.store.path(known.image_digest)
        in_store = known.image_uri.startswith(f"{SCHEME}://")
        return in_store and (kept is None or kept.exists())

    def _digest(self, image: ImageFile) -> str | None:
        try:
            return digest_of(image.read(self.max_bytes))
        except NoImage:
            raise
        except ImageError:
            return None
