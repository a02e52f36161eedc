"""Draw the sample catalogue: the file that ships, or a folder of any size.

From the folder `examples`:

    python -m sample_catalogue                               the shipped file, made again
    python -m sample_catalogue --into folder --products 1000  a folder for `lookalike import`
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from sample_catalogue import PRODUCTS, make_sample, pack

SHIPPED = Path(__file__).parents[2] / "backend" / "catalogue" / "data" / "sample-catalogue.zip"


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(prog="python -m sample_catalogue", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--into", type=Path, help="write a folder here, not the shipped file")
    parser.add_argument("--products", type=int, default=PRODUCTS, help="how many products to draw")
    parser.add_argument("--seed", type=int, default=0, help="which products to invent")
    given = parser.parse_args()
    if given.into:
        make_sample(given.into, products=given.products, seed=given.seed, progress=_show)
        return
    if (given.products, given.seed) != (PRODUCTS, 0):
        parser.error("the shipped file has its number of products and its seed; name a folder")
    with tempfile.TemporaryDirectory() as folder:
        make_sample(Path(folder), progress=_show)
        SHIPPED.parent.mkdir(exist_ok=True)
        pack(Path(folder), SHIPPED)
    sys.stdout.write(f"{SHIPPED}: {SHIPPED.stat().st_size:,} bytes\n")


def _show(done: int, products: int) -> None:
    sys.stderr.write(f"\r{done} of {products}" + ("\n" if done == products else ""))


if __name__ == "__main__":
    main()
