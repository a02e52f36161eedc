"""Choose what runs a network, and open it: OpenVINO from an exported file, or torch.

OpenVINO is taken where it is installed and a CPU computes. It needs the network once as torch has
it; then the exported file is enough, and torch is not imported. `LOOKALIKE_ENGINE=torch` forces
torch, which also runs on GPUs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import structlog

from backend.embedders import Compute, FloatArray, exports
from backend.embedders.gpus import may_have_gpu
from backend.embedders.pixels import Pixels
from backend.images.decode import Size

if TYPE_CHECKING:
    from backend.embedders.traced import TracedNetwork

log = structlog.get_logger(__name__)

Pool: TypeAlias = Literal["avg", "max", "none"]
"""What is taken of each channel of the last map: its mean, its maximum, or all values."""


class PooledNetwork(Protocol):
    """Runs a network without its classifier. Safe to call from several threads."""

    size: int  # features of one image
    precision: str  # bf16 or fp32
    call_size: int  # images that one call should hold

    def __call__(self, pixels: Pixels) -> FloatArray:
        """Return the pooled features, (n, size) float32, not normalised."""
        ...


@dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """How to make a traced network, without importing torch.

    Options and the bytes of the files have to say all that decides the network: an exported file
    is found again by them.
    """

    maker: str  # `module:function`, which takes the options and returns a `TracedNetwork`
    options: Mapping[str, Any] = field(default_factory=dict)  # JSON
    files: tuple[Path, ...] = ()

    def make(self) -> TracedNetwork:
        """Load and trace the network by torch; raises what its family's `load` does."""
        module, _, function = self.maker.partition(":")
        made: TracedNetwork = getattr(import_module(module), function)(**self.options)
        return made


@dataclass(frozen=True, kw_only=True)
class OpenedNetwork:
    """A network that is ready to run."""

    run: PooledNetwork
    fingerprint: str
    input_size: Size  # that images are stretched to
    crop: Size  # of the middle that the network sees


def open_network(plan: NetworkPlan, compute: Compute) -> OpenedNetwork:
    """Open a network by the engine that `compute` leads to.

    A network that cannot be exported is run by torch. Raises UnknownEmbedder, WeightsUnavailable.
    """
    if not by_openvino(compute):
        return _open_in_torch(plan.make(), compute)
    path = _place_of(plan, compute)
    found = exports.find(path) if path else None
    if found is None:
        traced = plan.make()
        found = _export(traced, path)
        if found is None:
            return _open_in_torch(traced, compute)
    running = import_module("backend.embedders.openvino_network")
    return OpenedNetwork(
        run=running.OpenVinoNetwork(found, compute),
        fingerprint=found.about.fingerprint,
        input_size=found.about.input_size,
        crop=found.about.crop,
    )


def by_openvino(compute: Compute) -> bool:
    """Tell whether OpenVINO runs the networks that can be exported."""
    if compute.engine == "torch" or find_spec("openvino") is None:
        return False
    return compute.device == "cpu" or (compute.device == "auto" and not may_have_gpu())


def _place_of(plan: NetworkPlan, compute: Compute) -> Path | None:
    """Return the file of an exported network; None if it has none, or cannot be made at all."""
    folder = compute.networks_dir or exports.cache_folder()
    key = exports.key_of(plan.maker, plan.options, plan.files)
    return folder / f"{key}.network" if folder and key else None


def _export(traced: TracedNetwork, path: Path | None) -> exports.Export | None:
    """Export a network, and keep the file if it can be written; None if it cannot be exported."""
    exporting = import_module("backend.embedders.openvino_export")
    try:
        made: exports.Export = exporting.export(traced)
    except exporting.FAILURES as error:
        log.warning("a network cannot be exported and is run by torch", error=repr(error))
        return None
    if path:
        exports.keep(path, made)
    return made


def _open_in_torch(traced: TracedNetwork, compute: Compute) -> OpenedNetwork:
    network = import_module("backend.embedders.network")
    return OpenedNetwork(
        run=network.Network(
            traced.graph,
            mean=traced.mean,
            std=traced.std,
            pool=traced.pool,
            compute=compute,
            bf16_from=traced.bf16_from,
        ),
        fingerprint=traced.fingerprint,
        input_size=traced.input_size,
        crop=traced.crop or traced.input_size,
    )
