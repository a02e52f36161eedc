"""A folder that TensorBoard's projector opens: `tensorboard --logdir FOLDER`.

The format is that of its plugin: tab-separated vectors and metadata, a sprite, and a configuration
in protobuf's text format. TensorBoard is not needed to write it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL.Image import Image

from backend.lab.projector.sampling import Sample

CONFIG = """\
embeddings {{
  tensor_name: "lookalike"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
  sprite {{
    image_path: "sprite.png"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
}}
"""


def write_folder(folder: Path, sample: Sample, sprite: Image, *, side: int) -> None:
    """Write vectors.tsv, metadata.tsv, sprite.png and projector_config.pbtxt into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / "vectors.tsv", sample.vectors, fmt="%.5g", delimiter="\t")
    (folder / "metadata.tsv").write_text(_metadata(sample), "utf-8")
    sprite.save(folder / "sprite.png")
    (folder / "projector_config.pbtxt").write_text(CONFIG.format(side=side), "utf-8")


def _metadata(sample: Sample) -> str:
    """Return a row for each product; the projector shows the first column as its label."""
    rows = [["name", "sku", *sample.fields]]
    for product in sample.products:
        values = (product.value(field) or "" for field in sample.fields)
        rows.append([product.name or product.sku, product.sku, *values])
    return "".join("\t".join(" ".join(text.split()) for text in row) + "\n" for row in rows)
