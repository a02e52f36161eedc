"""Forward passes over batches of opened images: each image becomes a vector or an error."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice, repeat
from typing import Final, TypeAlias

import numpy as np
import structlog

from backend.embedders import Embedder
from backend.embedders.control import check_works
from backend.errors import ImageError, InvalidVector
from backend.images.decoder_pool import Decoded
from backend.indexing import kept_features
from backend.indexing.image_tasks import ImageOutcome, ImageTask
from backend.indexing.kept_features import Embedded
from backend.metrics.instruments import count_batch

log = structlog.get_logger(__name__)

FIRST_PARTS: Final = (4, 2)
"""What part of a batch the first ones of a claim are, where several passes overlap."""

FEWEST: Final = 8
"""Images of such a part."""

Opened: TypeAlias = Decoded | ImageError
OpenedTask: TypeAlias = tuple[ImageTask, Opened]


def embed_images(
    embedder: Embedder, opened: Iterator[OpenedTask], *, batch_size: int, passes: int
) -> Generator[list[ImageOutcome]]:
    """Yield the outcomes of each batch; the next ones are embedded while the caller records them.

    `passes` of them at the same time. None: one after the other, so that what is recorded shows
    which image has killed the process. Raises EmbedderFailed when the embedder does not work.
    """
    batches = _batches(opened, batch_size, parts=FIRST_PARTS if passes > 1 else ())
    if not passes:
        yield from (_embed(embedder, batch) for batch in batches)
        return
    with ThreadPoolExecutor(passes, thread_name_prefix="embedding") as threads:
        under_way: deque[Future[list[ImageOutcome]]] = deque()
        for batch in batches:
            under_way.append(threads.submit(_embed, embedder, batch))
            if len(under_way) > passes:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _batches(
    opened: Iterator[OpenedTask], size: int, *, parts: Sequence[int]
) -> Iterable[Sequence[OpenedTask]]:
    """Yield batches of a claim; of the first ones only a part, so the network need not wait."""
    first = [size // part for part in parts]
    sizes = chain((few for few in first if few >= FEWEST), repeat(size))
    return iter(lambda: list(islice(opened, next(sizes))), [])


def _embed(embedder: Embedder, batch: Sequence[OpenedTask]) -> list[ImageOutcome]:
    bad = [ImageOutcome(task, error=got) for task, got in batch if isinstance(got, ImageError)]
    good = [(task, got) for task, got in batch if not isinstance(got, ImageError)]
    embedded = _forward_checked(embedder, [decoded for _, decoded in good])
    return bad + [
        ImageOutcome(task, error=one)
        if isinstance(one, Exception)
        else ImageOutcome(task, digest=decoded.digest, vector=one.vector, features=one.features)
        for (task, decoded), one in zip(good, embedded, strict=True)
    ]


def _forward_checked(embedder: Embedder, images: Sequence[Decoded]) -> list[Embedded | Exception]:
    """Embed a batch. If images fail, a grey one shows whether the embedder works at all.

    Raises EmbedderFailed if it does not, as after a device's error, which breaks each later call.
    """
    embedded = _forward(embedder, images)
    errors = [one for one in embedded if isinstance(one, Exception)]
    if errors:
        check_works(embedder)
        log.warning("embedding failed", images=len(errors), error=repr(errors[0]))
    return embedded


def _forward(embedder: Embedder, images: Sequence[Decoded]) -> list[Embedded | Exception]:
    """Embed a batch; if it raises, halve it until the image that raises is alone in its batch."""
    if not images:
        return []
    began = time.perf_counter()
    try:
        embedded = [_check_vector(one) for one in kept_features.embed(embedder, images)]
    except Exception as error:  # noqa: BLE001  (one claim's failure; it is recorded)
        if len(images) == 1:
            return [error]
    else:
        count_batch(images=len(images), seconds=time.perf_counter() - began)
        return embedded
    half = len(images) // 2
    return _forward(embedder, images[:half]) + _forward(embedder, images[half:])


def _check_vector(one: Embedded) -> Embedded | Exception:
    """Return what an image became, or the error for which it must not be stored."""
    if np.isfinite(one.vector).all() and one.vector.any():
        return one
    return InvalidVector("the embedder made a vector that is all zeros or not finite")
