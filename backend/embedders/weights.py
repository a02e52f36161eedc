"""Read trained weights from files that are not trusted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch
from torch import Tensor, nn

from backend.errors import WeightsUnavailable

UNREADABLE: Final = (  # what torch raises for a file of another kind
    OSError,
    RuntimeError,
    EOFError,
    UnpicklingError,
    LookupError,
    ValueError,
)


def read_tensors(path: Path) -> Any:
    """Return what `torch.save` wrote: tensors, on the CPU, and plain values, never code.

    Raises WeightsUnavailable for a file that is missing or holds anything else.
    """
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except UNREADABLE as error:
        why = str(error) if isinstance(error, OSError) else "it is cut off, or is not a state dict"
        raise WeightsUnavailable(f"{path} is not a readable state dict: {why}") from None


def fit_tensors(
    model: nn.Module, state: Mapping[str, Tensor], *, name: str, unused: tuple[str, ...] = ()
) -> None:
    """Load a state dict into a network; the trained classes may be others.

    Tensors that the network does not have are ignored, and those of its own whose names begin with
    one of `unused` may be missing. Raises WeightsUnavailable, with the `name` of the network, if
    others are missing or of another shape.
    """
    own = model.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    missing = [k for k in own if k not in fitting and not k.startswith(unused)]
    if missing:
        raise WeightsUnavailable(
            f"the weights do not fit {name}: {len(missing)} tensors are missing or "
            f"of another shape, such as {missing[0]}"
        )
    model.load_state_dict(fitting, strict=False)
