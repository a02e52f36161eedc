"""The nearest products: of all images of a product the nearest one counts.

A product has a point for each of its images. So the index is asked for more points than products
are wanted, and once more, without the products found so far, if they were too few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from backend.filters import Where
from backend.vectors import Hit, Searchable, SearchMode, Vector
from backend.vectors.image_points import STRIDE, point_ids

MOST_TIMES: Final = 4
"""How many times more points are asked for than products, at most."""

MOST_SPARE: Final = 64
"""Up to so many products are left out here: so many further points cost the engine a few per cent,
a filter that leaves them out a third of a search."""

ROUNDS: Final = 8
"""How often the index is asked at most. Each time finds another product, if there is one."""


def nearest_products(
    index: Searchable,
    vector: Vector,
    *,
    limit: int,
    most_images: int | None,
    where: Where | None = None,
    exclude: Sequence[int] = (),
    min_score: float | None = None,
    mode: SearchMode | None = None,
    payloads: bool = True,
) -> list[Hit]:
    """Return up to `limit` products, best first; the id of a hit is that of its product.

    `most_images` is that of the generation: where products have one image each, the index is asked
    once, for `limit` points. `exclude` holds ids of products. Raises as `VectorIndex.nearest` does.
    """
    ask = partial(
        index.nearest, vector, where=where, min_score=min_score, mode=mode, payloads=payloads
    )
    images = most_images or 1
    if images > 1:
        return _nearest_of_several(ask, limit, images, exclude)
    if payloads or len(exclude) > MOST_SPARE:
        return ask(limit=limit, exclude=sorted(set(exclude)))
    left_out = frozenset(exclude)
    hits = ask(limit=limit + len(exclude))
    return [hit for hit in hits if hit.id not in left_out][:limit]


def _nearest_of_several(
    ask: Callable[..., list[Hit]], limit: int, images: int, exclude: Sequence[int]
) -> list[Hit]:
    """Ask by turns until there are enough products, each with its nearest image."""
    found: dict[int, Hit] = {}
    seen = set(exclude)
    for _ in range(ROUNDS):
        asked = (limit - len(found)) * min(images, MOST_TIMES)
        hits = ask(limit=asked, exclude=point_ids(sorted(seen), images))
        for hit in hits:
            product = hit.id % STRIDE
            if product not in found:
                found[product] = hit if hit.id == product else hit._replace(id=product)
        seen.update([hit.id % STRIDE for hit in hits])
        is_all = len(hits) < asked or max([hit.id for hit in hits]) < STRIDE
        if is_all or len(found) >= limit:
            break
    best = sorted(found.values(), key=lambda hit: -hit.score)  # stable: of equals the first
    return best[:limit]
