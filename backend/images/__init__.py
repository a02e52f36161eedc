"""Bytes, a path or an address -> an RGB image, within limits."""

from backend.images.decode import (
    FORMATS,
    ImageInfo,
    ImageLimits,
    Size,
    decode,
    fit,
    inside,
    inspect,
    is_remote,
    local_path,
    read_file,
)

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
    "read_file",
]
