"""Learn in which directions variants differ, for shops that do not say which products are variants.

    LOOKALIKE_DATA_DIR=… python -m backend.lab.training.variants --out variants.npz

It reads an installation that has indexed a shop with `lookalike-blocks`: the kept features of up
to 12,000 products, and which of them are variants, by `group_id` or by names that differ in colours
alone. No image is opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from backend import generations
from backend.adaptation.choosing import Shop
from backend.adaptation.fitting import LookFitter, in_several
from backend.adaptation.reading import read_sample
from backend.database.engine import Database
from backend.embedders.variant_axes import VariantAxes
from backend.errors import NotTrainable
from backend.settings import read_settings

FEWEST_GROUPS = 200


def learn(shop: Shop) -> VariantAxes:
    """Learn from the groups of a shop whose features have rows. Raises NotTrainable."""
    count = len(np.unique(shop.groups[in_several(shop.groups)]))
    if not shop.has_rows or count < FEWEST_GROUPS:
        raise NotTrainable(
            f"{count} groups of several variants are known; {FEWEST_GROUPS} are needed, and "
            "features with rows"
        )
    return VariantAxes.of(LookFitter(shop.look, shop.groups).of_groups())


def main(out: Annotated[Path, typer.Option(help="The file to write.")]) -> None:
    """Read the installation that the environment names, learn, and write the file.

    Raises NotTrainable where too few groups are known.
    """
    db = Database(read_settings().database)
    with db.read() as session:
        active = generations.active(session)
        sample = read_sample(session, active.features or "")
    db.close()
    if sample is None:
        raise typer.BadParameter(f"{active.embedder} keeps no features of this catalogue")
    learn(sample.shop).write(out)


if __name__ == "__main__":
    typer.run(main)
