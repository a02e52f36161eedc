"""A feed -> products: streamed, repeatable, one short transaction a chunk.

The feed is read twice. The first time only its skus are read (and its prices, to see how they are
written): which of them come more than once is known then, and progress has a total. The second
time its rows are read, chunk by chunk:

1. check each row's fields, and merge the rows of one sku (`import_rows`)
2. refer to each product's image (`import_images`)
3. save the chunk in one transaction, which also puts what has changed into the queue
4. after the last chunk, if asked: remove the products that the feed does not hold (`pruning`)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from sqlalchemy import select

from backend import queue
from backend.catalogue import product_images, products
from backend.catalogue.import_images import ImageReferrer
from backend.catalogue.import_memory import IdSet, LastLines
from backend.catalogue.import_rows import CheckedRow, read_rows
from backend.catalogue.product_images import Images
from backend.catalogue.products import Draft, ImageRef, Outcome
from backend.catalogue.pruning import DEFAULT_LIMIT, PruneLimit, Pruner
from backend.catalogue.report import Remarks, Summary
from backend.catalogue.skus import is_sku, normalise
from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import CutOff, ImageFile, Reject, WarningKind, kind_of
from backend.catalogue.sources.mapping import DEFAULT_MAPPING, FeedMapping
from backend.database.engine import Database
from backend.database.models import Product
from backend.errors import ImageError
from backend.images.store import ImageStore
from backend.logs import RunLog

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What is known of how a file came here."""

    is_proven: bool = False  # it is as long as its sender said
    ended_early: str | None = None  # why the rest did not come


ImportProgress: TypeAlias = Callable[[int, int], None]
"""Takes the rows done and the rows there are."""
Known: TypeAlias = Mapping[str, tuple[int, Images]]
"""Stored products by sku: id and images."""

CHUNK: Final = 1_000
TAKEN: Final = (Outcome.ADDED, Outcome.CHANGED, Outcome.UNCHANGED)


def import_catalogue(
    db: Database,
    store: ImageStore,
    path: Path,
    *,
    mapping: FeedMapping = DEFAULT_MAPPING,
    prune: bool = False,
    prune_at_most: PruneLimit = DEFAULT_LIMIT,
    transfer: Callable[[], Transfer] = Transfer,
    copy_images: bool = False,
    max_image_bytes: int = 20_000_000,
    chunk: int = CHUNK,
    progress: ImportProgress | None = None,
) -> Summary:
    """Bring the catalogue to what a folder, zip or table says; see `sources.open_source`.

    Fields and images that the feed does not name stay as they are. Images of a folder are
    referred to where they lie, unless copied; those of a zip are copied to the store. With
    `prune`, products that the feed does not hold are removed; none is if the feed has no valid row
    or may be cut off, or if more would go than `prune_at_most` allows. `Summary.not_pruned` says
    why. `transfer` is asked after the last row how the file came here. Raises UnreadableCatalogue,
    and ConfigurationError for a wrong mapping.
    """
    pruner = Pruner(db, limit=prune_at_most, page=chunk)
    with closing(open_source(path, mapping)) as source:
        last_lines = LastLines(source.skus())
        referrer = ImageReferrer(store, copy=copy_images, max_bytes=max_image_bytes)
        run = _Import(db, source.describe().title, referrer)
        lines = RunLog("import", path=str(path), rows=last_lines.total)
        done = 0
        for part in _chunks(read_rows(source, last_lines), chunk):
            run.take(part)
            done += sum(len(row.lines) if isinstance(row, CheckedRow) else 1 for row in part)
            lines.progress(done=done)
            if progress:
                progress(min(done, last_lines.total), last_lines.total)
        if cut_off := _cut_off(source.cut_off(), transfer()):
            run.cut_off = cut_off
            text = f"{cut_off.reason}; the file may be cut off"
            run.warnings.add(last_lines.end, None, text, WarningKind.OTHER)
    if prune:
        run.prune(pruner, last_lines.end)
    summary = run.summary()
    lines.end(**summary.counts())
    return summary


def _cut_off(found: CutOff | None, transfer: Transfer) -> CutOff | None:
    """Return why a feed may have ended early: by what the transfer says, and the file itself."""
    if transfer.ended_early:
        return CutOff(transfer.ended_early, is_certain=True)
    return found if found and (found.is_certain or not transfer.is_proven) else None


def _chunks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while part := list(islice(items, size)):
        yield part


@dataclass
class _Import:
    """One import while it runs."""

    db: Database
    read_as: str
    images: ImageReferrer
    rejects: Remarks = field(default_factory=Remarks)
    warnings: Remarks = field(default_factory=Remarks)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    removed: int = 0
    cut_off: CutOff | None = None
    not_pruned: str | None = None

    def __post_init__(self) -> None:
        self._held = IdSet()  # ids of the products that the feed holds

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

    def prune(self, pruner: Pruner, line: int) -> None:
        """Remove what the feed does not hold, or note at its last line why nothing is removed."""
        reason = f"{self.cut_off.reason}; the file may be cut off" if self.cut_off else None
        if not reason and not any(self.outcomes[outcome] for outcome in TAKEN):
            reason = "the file holds no valid row"
        if not reason:
            self.removed, reason = pruner.prune(self._held)
        if reason:
            self.not_pruned = f"nothing was pruned: {reason}"
            self.warnings.add(line, None, self.not_pruned, WarningKind.PRUNE)

    def summary(self) -> Summary:
        """Return what was done so far."""
        return Summary(
            read_as=self.read_as,
            added=self.outcomes[Outcome.ADDED],
            changed=self.outcomes[Outcome.CHANGED],
            unchanged=self.outcomes[Outcome.UNCHANGED],
            removed=self.removed,
            rejects=self.rejects,
            warnings=self.warnings,
            ended_early=self.cut_off.reason if self.cut_off and self.cut_off.is_certain else None,
            not_pruned=self.not_pruned,
        )

    def _known(self, skus: Sequence[str]) -> Known:
        columns = (Product.id, Product.sku, Product.image_uri, Product.image_digest)
        query = select(*columns, Product.image_bytes, Product.image_mtime_ns, Product.image_role)
        query = query.add_columns(Product.more_images).where(Product.sku.in_(skus))
        query = query.where(Product.removed_at.is_(None))
        with self.db.read() as session:
            rows = session.execute(query).all()
            several = [row.id for row in rows if row.more_images]
            further = product_images.load_further(session, several)
        return {
            row.sku: (row.id, (*product_images.first_of(row), *further.get(row.id, ())))
            for row in rows
        }

    def _draft(self, row: CheckedRow, known: Known) -> Draft:
        """Refer to a row's images, and note what is wrong with the row."""
        for line, warning in row.warnings:
            self.warnings.add(line, row.sku, warning, kind_of(warning))
        _, before = known.get(row.sku, (0, ()))
        first = self._refer(row, row.image, before, 0) if row.image else row.draft.image
        if row.further is None:
            return row.draft if first is row.draft.image else replace(row.draft, image=first)
        found = (self._refer(row, it, before, at) for at, it in enumerate(row.further, 1))
        roles = {image.uri: image.role for image in before}
        images = [
            replace(image, role=roles.get(image.uri))
            for image in (first, *found)
            if image is not None
        ]
        return replace(row.draft, image=None, images=images or None)

    def _refer(
        self, row: CheckedRow, image: ImageFile | str, known: Images, place: int
    ) -> ImageRef | None:
        try:
            return self.images.refer(image, known, place=place)
        except ImageError as error:
            self.warnings.add(row.lines[-1], row.sku, error.message, WarningKind.IMAGE)
            return None

    def _reject(self, line: int, sku: str | None, reason: str, known: Known) -> None:
        """Note a row that gives no product. A stored product that it names is not pruned."""
        self.rejects.add(line, sku, reason)
        if sku is not None and normalise(sku) in known:
            self._held.update([known[normalise(sku)][0]])
