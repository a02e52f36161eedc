"""A feed -> products: streamed, repeatable, one short transaction a chunk.

The feed is read twice. The first time only its skus are read (and its prices, to see how they are
written): which of them come more than once is known then, and progress has a total. The second
time its rows are read, chunk by chunk:

1. check each row's fields, and merge the rows of one sku (`import_rows`)
2. refer to each product's image (`import_images`)
3. save the chunk in one transaction, which also puts what has changed into the queue
4. after the last chunk, if asked: remove the products that the feed does not hold
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from sqlalchemy import func, select

from backend import queue
from backend.catalogue import products
from backend.catalogue.import_images import ImageReferrer
from backend.catalogue.import_memory import IdSet, LastLines
from backend.catalogue.import_rows import CheckedRow, read_rows
from backend.catalogue.products import Draft, Outcome
from backend.catalogue.report import Remarks, Summary
from backend.catalogue.skus import is_sku, normalise
from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import Reject, WarningKind, kind_of
from backend.catalogue.sources.mapping import DEFAULT_MAPPING, FeedMapping
from backend.database.engine import Database
from backend.database.models import Product
from backend.errors import ImageError, UnreadableCatalogue
from backend.images.store import ImageStore

T = TypeVar("T")
ImportProgress: TypeAlias = Callable[[int, int], None]
"""Takes the rows done and the rows there are."""
Known: TypeAlias = Mapping[str, Any]
"""Stored products by sku: rows with `id` and the columns of the image."""

CHUNK: Final = 1_000
TAKEN: Final = (Outcome.ADDED, Outcome.CHANGED, Outcome.UNCHANGED)


def import_catalogue(
    db: Database,
    store: ImageStore,
    path: Path,
    *,
    mapping: FeedMapping = DEFAULT_MAPPING,
    prune: bool = False,
    copy_images: bool = False,
    max_image_bytes: int = 20_000_000,
    chunk: int = CHUNK,
    progress: ImportProgress | None = None,
) -> Summary:
    """Bring the catalogue to what a folder, zip or table says; see `sources.open_source`.

    Fields and images that the feed does not name stay as they are. Images of a folder are
    referred to where they lie, unless copied; those of a zip are copied to the store. With
    `prune`, products that the feed does not hold are removed. Raises UnreadableCatalogue, also for
    a prune by a feed that has no valid row or may be cut off, and ConfigurationError for a wrong
    mapping.
    """
    with closing(open_source(path, mapping)) as source:
        last_lines = LastLines(source.skus())
        run = _Import(db, ImageReferrer(store, copy=copy_images, max_bytes=max_image_bytes))
        done = 0
        for part in _chunks(read_rows(source, last_lines), chunk):
            run.take(part)
            done += sum(len(row.lines) if isinstance(row, CheckedRow) else 1 for row in part)
            if progress:
                progress(min(done, last_lines.total), last_lines.total)
        if cut_off := source.cut_off():
            text = f"{cut_off}; the file may be cut off"
            run.warnings.add(last_lines.end, None, text, WarningKind.OTHER)
    if prune and cut_off:
        raise UnreadableCatalogue(f"nothing was pruned: {cut_off}; the file may be cut off")
    if prune:
        run.prune(chunk)
    return run.summary()


def _chunks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while part := list(islice(items, size)):
        yield part


@dataclass
class _Import:
    """One import while it runs."""

    db: Database
    images: ImageReferrer
    rejects: Remarks = field(default_factory=Remarks)
    warnings: Remarks = field(default_factory=Remarks)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    removed: int = 0

    def __post_init__(self) -> None:
        self._held = IdSet()  # ids of the products that the feed holds
        with self.db.read() as session:
            self._newest = session.scalar(select(func.max(Product.id))) or 0

    def take(self, part: Sequence[CheckedRow | Reject]) -> None:
        """Save a chunk. Files are read and hashed before the transaction begins."""
        named = {normalise(row.sku) for row in part if row.sku}
        known = self._known(list(filter(is_sku, named)))
        rows = [row for row in part if isinstance(row, CheckedRow)]
        for row in part:
            if isinstance(row, Reject):
                self._reject(row.line, row.sku, row.reason, known)
        drafts = [self._draft(row, known) for row in rows]
        saved = self.db.write(
            lambda session: products.save(session, drafts, priority=queue.IMPORT, complete=False)
        )
        self.outcomes.update(saved.outcomes)
        self._held.update(saved.ids.values())
        for position, reason in saved.reasons.items():
            self._reject(rows[position].lines[-1], rows[position].sku, reason, known)

    def prune(self, chunk: int) -> None:
        """Remove what the feed does not hold, except what was added while the import ran."""
        if not any(self.outcomes[outcome] for outcome in TAKEN):
            raise UnreadableCatalogue("nothing was pruned: the file holds no valid row")
        after = 0
        while page := self._page(after, chunk):
            after = page[-1].id
            gone = [product.sku for product in page if product.id not in self._held]
            if gone:
                self._remove(gone)

    def summary(self) -> Summary:
        """Return what was done so far."""
        return Summary(
            added=self.outcomes[Outcome.ADDED],
            changed=self.outcomes[Outcome.CHANGED],
            unchanged=self.outcomes[Outcome.UNCHANGED],
            removed=self.removed,
            rejects=self.rejects,
            warnings=self.warnings,
        )

    def _known(self, skus: Sequence[str]) -> Known:
        columns = (Product.id, Product.sku, Product.image_uri, Product.image_digest)
        query = select(*columns, Product.image_bytes, Product.image_mtime_ns)
        live = query.where(Product.sku.in_(skus), Product.removed_at.is_(None))
        with self.db.read() as session:
            return {row.sku: row for row in session.execute(live)}

    def _draft(self, row: CheckedRow, known: Known) -> Draft:
        """Refer to a row's image, and note what is wrong with the row."""
        image = None
        for line, warning in row.warnings:
            self.warnings.add(line, row.sku, warning, kind_of(warning))
        if row.image:
            try:
                image = self.images.refer(row.image, known.get(row.sku))
            except ImageError as error:
                self.warnings.add(row.lines[-1], row.sku, error.message, WarningKind.IMAGE)
        return replace(row.draft, image=image) if image else row.draft

    def _reject(self, line: int, sku: str | None, reason: str, known: Known) -> None:
        """Note a row that gives no product. A stored product that it names is not pruned."""
        self.rejects.add(line, sku, reason)
        if sku is not None and normalise(sku) in known:
            self._held.update([known[normalise(sku)].id])

    def _page(self, after: int, limit: int) -> Sequence[Any]:
        wanted = (
            select(Product.id, Product.sku)
            .where(Product.id > after, Product.id <= self._newest, Product.removed_at.is_(None))
            .order_by(Product.id)
            .limit(limit)
        )
        with self.db.read() as session:
            return session.execute(wanted).all()

    def _remove(self, skus: Sequence[str]) -> None:
        removed = self.db.write(
            lambda session: products.remove(session, skus, priority=queue.IMPORT)
        )
        self.removed += len(removed)
