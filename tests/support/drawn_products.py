"""A drawn catalogue for training, without a database: labelled products and their images."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend import images
from backend.embedders import Compute
from backend.errors import ImageError
from backend.images.decode import Size
from backend.images.decoder_pool import Decoded
from backend.images.limits import ImageLimits
from backend.images.store import digest_of
from backend.lab.evaluation.labels import COLUMNS, CatalogueProduct
from backend.lab.training.objective import Aim
from backend.lab.training.tuning_recipe import TuningRecipe
from backend.lab.training.tuning_run import TrainingContext
from sample_catalogue import draw
from sample_catalogue.styles import Item, invent

TINY = TuningRecipe(
    input_size=(64, 48),
    aims=(Aim(by="article_type", weight=1), Aim(by="base_colour+article_type", weight=1)),
    held_out=0.25,
    unseen=0.1,
    epochs=2,
    head_epochs=3,
    batch_size=16,
    views=2,
    warm_up=2,
    size=32,
)
"""The recipe of a run that takes seconds."""


class Window:
    """Products of the sample; an image is drawn when it is opened."""

    def __init__(self, count: int) -> None:
        self._items = {str(item.id): item for item in invent(count, seed=3)}
        self.products = [_product(item) for item in self._items.values()]

    def open(self, uris: Sequence[str | None], target: Size) -> Iterator[Decoded | ImageError]:
        """Decode each image as a decoder process would; the URI `broken` is no image."""
        for uri in uris:
            data = b"nothing" if uri == "broken" else self._photograph(str(uri))
            try:
                yield Decoded.of(
                    images.decode(data, limits=ImageLimits(), target=target), digest_of(data)
                )
            except ImageError as error:
                yield error

    def _photograph(self, uri: str) -> bytes:
        file = io.BytesIO()
        draw(self._items[uri]).resize((60, 80)).save(file, "JPEG", quality=90)
        return file.getvalue()


def _product(item: Item) -> CatalogueProduct:
    master, sub, article = item.kind.categories
    known = {
        "gender": item.gender,
        "master_category": master,
        "sub_category": sub,
        "article_type": article,
        "base_colour": item.base_colour,
    }
    fields = tuple(known.get(name) for name in COLUMNS)
    sku = str(item.id)
    return CatalogueProduct(
        sku=sku, name=item.name, uri=sku, digest=None, fields=fields, attributes={}
    )


@contextmanager
def show_nothing(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show no progress."""
    yield lambda done, total: None


def training_context(folder: Path, window: Window, **options: Any) -> TrainingContext:
    """Return the context of a run on the CPU that shows no progress."""
    usual = TrainingContext(
        folder=folder,
        read_products=lambda: window.products,
        open_images=window.open,
        compute=Compute(device="cpu"),
        watch=show_nothing,
        print_line=lambda line: None,
        command="lookalike train finetune …",
    )
    return replace(usual, **options)
