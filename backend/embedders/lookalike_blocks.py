"""`lookalike-blocks`: look and colour as two blocks, and features that are kept.

The look is a plain network's maxima, means and textures, whitened, beside what a network tuned on
fashion says of the kind of product. Statistics of a shop's own catalogue, which
`lookalike adapt` fits, take the place of the shipped ones: `lookalike-blocks?adapted=DIGEST`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

import numpy as np
from PIL.Image import Image

from backend.embedders import CATALOGUE, PHOTOGRAPH, Compute, FloatArray, QueryImage, register
from backend.embedders.block_statistics import BlockStatistics
from backend.embedders.checkpoint import Checkpoint
from backend.embedders.engines import NetworkPlan, OpenedNetwork, open_network
from backend.embedders.fingerprints import fingerprint
from backend.embedders.kept_features import COLOUR_RECIPE, LAST, TEXTURES, KeptFeatures
from backend.embedders.kept_rows import WITH_ROWS, of_one_length, shipped_rows
from backend.embedders.numpy_threads import on_one_thread
from backend.embedders.photographs import CLASSES, has_many_colours, shipped_head
from backend.embedders.pixels import Pixels, to_pixels
from backend.embedders.regions import SIZE as OF_REGIONS
from backend.embedders.regions import (
    find_regions,
    is_pasted,
    mask_of,
    may_be_pasted,
    pasted_first,
)
from backend.embedders.tuned import SHIPPED as TUNED
from backend.embedders.tuned import files_of_backbone
from backend.errors import UnknownEmbedder, WeightsUnavailable

NAME: Final = "lookalike-blocks"
DATA: Final = Path(__file__).parent / "data"
REDUCTION: Final = DATA / "lookalike-blocks.npz"
REGIONS: Final = DATA / "lookalike-blocks-regions.npz"
PASTED: Final = DATA / "lookalike-blocks-pasted.npz"
STATISTICS: Final = DATA / "lookalike-blocks-statistics.npz"

POOLED: Final = 3 * LAST + TEXTURES
"""Numbers of the network that features are made from; those of regions and of rows follow."""


@register(NAME)
def load_blocks(
    variant: str,
    *,
    compute: Compute,
    read_statistics: Callable[[str], bytes | None],
    adapted: str = "",
) -> BlocksEmbedder:
    """Load the embedder with the shipped statistics, or with those whose digest is `adapted`.

    Raises UnknownEmbedder for a variant, and WeightsUnavailable where the statistics are lost.
    """
    if variant:
        raise UnknownEmbedder(f"{NAME} has no variant {variant!r}")
    statistics = _read_adapted(adapted, read_statistics) if adapted else shipped_statistics()
    name = f"{NAME}?adapted={adapted}" if adapted else NAME
    return BlocksEmbedder(statistics, name=name, compute=compute)


def statistics_of(
    spec: str, read_statistics: Callable[[str], bytes | None]
) -> BlockStatistics | None:
    """Return the statistics that a spec names; None if it is of another family.

    Raises WeightsUnavailable where they are lost.
    """
    family, _, query = spec.partition("?")
    if family != NAME:
        return None
    adapted = dict(parse_qsl(query)).get("adapted", "")
    return _read_adapted(adapted, read_statistics) if adapted else shipped_statistics()


def shipped_statistics() -> BlockStatistics:
    """Return the statistics for shops that nothing is known of. Raises WeightsUnavailable."""
    try:
        return BlockStatistics.from_bytes(STATISTICS.read_bytes())
    except OSError as error:
        raise WeightsUnavailable(f"no usable statistics in {STATISTICS}: {error}") from None


def fingerprint_of(features_fingerprint: str, statistics: BlockStatistics) -> str:
    """Return the fingerprint of the embedder that makes vectors of kept features by statistics."""
    made_of = {"features": features_fingerprint, "statistics": statistics.digest}
    if statistics.reads_rows:
        made_of["rows"] = shipped_rows().fingerprint
    return fingerprint(made_of, {})


def _read_adapted(digest: str, read_statistics: Callable[[str], bytes | None]) -> BlockStatistics:
    content = read_statistics(digest)
    if content is None:
        raise WeightsUnavailable(f"the statistics {digest} of {NAME} are not in the database")
    return BlockStatistics.from_bytes(content)


def open_stacked(checkpoint: Checkpoint, compute: Compute) -> OpenedNetwork:
    """Open the network; the first POOLED of its numbers are those that features are made from."""
    plan = NetworkPlan(
        maker="backend.embedders.stacked_tracing:make",
        options={"path": str(TUNED), "regions": str(REGIONS), "pasted": str(PASTED)},
        files=(TUNED, REGIONS, PASTED, *files_of_backbone(checkpoint.backbone)),
    )
    return open_network(plan, compute)


class BlocksEmbedder:
    """Embeds an image as its look and its colours, from features that can be kept."""

    def __init__(self, statistics: BlockStatistics, *, name: str, compute: Compute) -> None:
        self.name = name
        self.statistics = statistics
        self._checkpoint = Checkpoint.load(TUNED)
        self._reduction = KeptFeatures.load(REDUCTION)
        self._rows = shipped_rows()
        self._head = shipped_head()
        opened = open_stacked(self._checkpoint, compute)
        self._network = opened.run
        self.input_size = opened.input_size
        self.batch_size = self._network.call_size
        self.blocks = statistics.blocks
        self.size = self.blocks[-1].stop
        recipe = {"network": opened.fingerprint, "colours": COLOUR_RECIPE}
        self.features_size = WITH_ROWS
        self.features_fingerprint = fingerprint(recipe, self._reduction.arrays)
        self.fingerprint = fingerprint_of(self.features_fingerprint, statistics)

    @property
    def precision(self) -> str:
        """The precision that the network runs in: bf16 or fp32."""
        return self._network.precision

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """Embed RGB images of any size: (n, size) float32, L2-normalised, in input order."""
        return self.project(self.extract(images))

    def extract(self, images: Sequence[Image]) -> FloatArray:
        """Return the features that are kept of images, rounded to float16, (n, 1632)."""
        return self.extract_pixels(to_pixels(images, self.input_size))

    def extract_pixels(self, pixels: Pixels) -> FloatArray:
        """Do as `extract` for images of `input_size`: (n, height, width, 3) uint8, RGB."""
        return self._reduce(self._network(pixels), pixels)

    def embed_query(self, image: Image) -> QueryImage:
        """Embed a query image, tell what kind it is, and find its regions, in one pass.

        A photograph's look is moved towards the shop's products of its class; `own` is not.
        """
        pixels = to_pixels([image], self.input_size)
        computed = self._network(pixels)
        features = self._reduce(computed, pixels)
        judged = computed[0, POOLED : POOLED + OF_REGIONS]
        regions = find_regions(judged, self.input_size)
        possible = may_be_pasted(judged) and bool(has_many_colours(pixels)[0])
        composed = possible and is_pasted(judged)
        found = QueryImage(
            vector=self.project(features)[0],
            kind=CATALOGUE,
            regions=pasted_first(regions, judged) if possible else regions,
            composed=composed,
            doubtful=possible and not composed,
            mask=mask_of(judged),
        )
        if not self._head.are_photographs(pixels, features)[0]:
            return found
        shares = self._head.shares(features)[:, :CLASSES]
        (moved,) = self.statistics.move_to_class(found.vector[None], shares)
        return found._replace(vector=moved, kind=PHOTOGRAPH, own=found.vector)

    def _reduce(self, computed: FloatArray, pixels: Pixels) -> FloatArray:
        with on_one_thread():
            reduced = self._reduction.reduce(computed[:, :POOLED], pixels, self._checkpoint)
            return np.hstack([reduced, self._rows.reduce(computed[:, POOLED + OF_REGIONS :])])

    def usable(self, features: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Return those of the kept features that the statistics can read, in one length."""
        return of_one_length(features, with_rows=self.statistics.reads_rows)

    def project(self, features: FloatArray) -> FloatArray:
        """Turn kept features into vectors, (n, size) float32, L2-normalised."""
        with on_one_thread():
            return self.statistics.project(features)
