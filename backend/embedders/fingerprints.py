"""The fingerprint of an embedder: vectors can be compared only if it is the same for both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def fingerprint(recipe: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Digest a recipe (options, constants: JSON) and the arrays (weights, PCA), as sha256 in hex.

    Include whatever changes a vector; leave out the device and the precision.
    """
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()
