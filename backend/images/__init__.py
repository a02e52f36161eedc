"""Bytes, a path or an address -> an RGB image, within limits.

- `limits`: how large an image may be
- `box`: a region of an image, as clients name it
- `formats`: what kind of file some bytes are
- `opening`: bytes -> an opened image; `png`, `jpeg` and `heif` know what is special about those
- `decode`: bytes -> an upright sRGB image
- `colour`: embedded colour profiles -> sRGB
- `local_files`: image URIs that name local files, and reading them
- `addresses`: which remote addresses are allowed
- `fetch`: reading remote images
- `store`: images by the digest of their bytes
- `structure`: how many parts a file may have
- `decoder_pool`, `decoder`, `decoder_process`: decoding in separate processes
- `guard`: a host that does not answer is asked again only after a delay
- `open_images`: a product's image URI -> a decoded image

This module gives the functions of `limits`, `formats`, `decode` and `local_files`.
"""

from backend.images.decode import FORMATS, ImageInfo, Size, decode, fit, inspect
from backend.images.formats import media_type
from backend.images.limits import ImageLimits
from backend.images.local_files import inside, is_remote, local_path, read_file

__all__ = [
    "FORMATS",
    "ImageInfo",
    "ImageLimits",
    "Size",
    "decode",
    "fit",
    "inside",
    "inspect",
    "is_remote",
    "local_path",
    "media_type",
    "read_file",
]
