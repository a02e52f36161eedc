"""The digest by which vectors are told apart: equal fingerprints, comparable vectors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def fingerprint(recipe: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Digest a recipe (options, constants: JSON) and the arrays (weights, PCA), as sha256 in hex.

    Whatever changes a vector belongs in; the device and the precision do not.
    """
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()
