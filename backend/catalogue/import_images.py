"""The images of an import: referred to where they are, or copied to the image store."""

from __future__ import annotations

from dataclasses import dataclass

from backend.catalogue.draft_images import ImageRef, image_ref
from backend.catalogue.product_images import Images
from backend.catalogue.sources.feed import ImageFile
from backend.errors import ImageError, NoImage
from backend.images.store import SCHEME, ImageStore, digest_of


@dataclass(frozen=True)
class ImageReferrer:
    """Makes a reference for each image of a feed; reads only those that have changed."""

    store: ImageStore
    copy: bool
    max_bytes: int  # of one image

    def refer(self, image: ImageFile | str, known: Images, *, place: int = 0) -> ImageRef:
        """Return a reference with the digest of the image's bytes; an address is not opened.

        `known` are the product's stored images, and `place` is the image's own, from 0. An image
        that stays where it is and cannot be read is referred to without a digest; it will end in
        the quarantine, with the reason. Raises an ImageError where there is nothing to refer to.
        """
        if isinstance(image, str):
            return image_ref(image)
        before = self._before(image, known, place) if known else None
        if before is not None and self._is_as_it_was(image, before):
            return before
        uri, digest = image.uri, None
        if uri is None or self.copy:
            digest = self.store.put(image.read(self.max_bytes))
            uri = self.store.uri(digest)
        else:
            digest = self._digest(image)
        return ImageRef(uri=uri, digest=digest, bytes=image.size, mtime_ns=image.mtime_ns)

    def _before(self, image: ImageFile, known: Images, place: int) -> ImageRef | None:
        """Return what is stored of an image: by its address, or by its place for a copied one.

        Two images of a product can have the same size and time, so a copy is not looked for.
        """
        if image.uri is not None and not self.copy:
            return next((each for each in known if each.uri == image.uri), None)
        return known[place] if place < len(known) else None

    def stays(self, image: ImageFile, known: ImageRef) -> bool:
        """Tell whether `refer` returns the product's only known image as it is."""
        if image.uri is not None and not self.copy and image.uri != known.uri:
            return False
        return self._is_as_it_was(image, known)

    def _is_as_it_was(self, image: ImageFile, known: ImageRef) -> bool:
        """Compare size and time, not the bytes. Without a digest, the image was never read."""
        measured = (image.size, image.mtime_ns)
        if not known.digest or measured != (known.bytes, known.mtime_ns):
            return False
        if image.uri is not None and not self.copy:
            return True
        kept = self.store.path(known.digest)
        in_store = (known.uri or "").startswith(f"{SCHEME}://")
        return in_store and (kept is None or kept.exists())

    def _digest(self, image: ImageFile) -> str | None:
        try:
            return digest_of(image.read(self.max_bytes))
        except NoImage:
            raise
        except ImageError:
            return None
