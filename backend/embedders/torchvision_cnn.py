"""Any of torchvision's classification CNNs, by name: `torchvision/resnet50?pool=max`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from backend.embedders import Compute, register
from backend.embedders.cnn import CnnEmbedder
from backend.embedders.engines import NetworkPlan, Pool
from backend.embedders.options import parse_choice, parse_share, parse_whole_number
from backend.embedders.pca import files_of, load_pca, pca_options

RANDOM: Final = "random"


@register("torchvision")
def load_torchvision(
    variant: str,
    *,
    compute: Compute,
    pool: str = "avg",
    weights: str = "DEFAULT",
    seed: str = "0",
    pca: str = "none",
    whitening: str = "",
    colour: str = "0",
) -> CnnEmbedder:
    """Load a network and pool its last feature map.

    `weights` is a name of torchvision's enum for this network (`DEFAULT`, `IMAGENET1K_V1` …), the
    path of a state dict, or `random`, a baseline drawn with `seed`. Only the enum's weights may
    have to be downloaded. `pca` is the path of one that was fitted on these features; `whitening`,
    from 0 to 1, replaces its own. `colour` is the share of colour in the cosine.

    The preprocessing is that of the enum's transforms, with one difference: the whole image is
    resized to a square. Torchvision resizes the shorter side, and its crop would cut off the top
    and bottom of a tall photograph. For a square image of that size the result is the same.
    """
    pool_: Pool = parse_choice("pool", pool, ("avg", "max"))
    colour_share = parse_share("colour", colour)
    options = {
        "variant": variant,
        "weights": weights,
        "seed": seed,
        "pool": pool_,
        "pca": pca,
        "whitening": whitening,
        "colour_share": colour_share,
    }
    plan = NetworkPlan(
        maker="backend.embedders.torchvision_models:make",
        options=options,
        files=(*files_of(pca), *([Path(weights)] if Path(weights).is_file() else [])),
    )
    return CnnEmbedder(
        plan,
        name=_name(options),
        compute=compute,
        pca=load_pca(pca, whitening),
        colour_share=colour_share,
    )


def _name(options: Mapping[str, Any]) -> str:
    """Return the name of a network with these options; it leaves out those without an effect."""
    weights, share = options["weights"], options["colour_share"]
    name = f"torchvision/{options['variant']}?pool={options['pool']}"
    name += f"&weights={quote(weights, safe='/')}"
    name += f"&seed={parse_whole_number('seed', options['seed'])}" if weights == RANDOM else ""
    name += pca_options(options["pca"], options["whitening"])
    return name + (f"&colour={share:g}" if share else "")
