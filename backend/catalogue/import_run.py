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
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from sqlalchemy.orm import Session

from backend import queue
from backend.catalogue import products
from backend.catalogue.closing_remarks import closing_remarks
from backend.catalogue.import_changes import FieldChange, stand, write_fields
from backend.catalogue.import_images import ImageReferrer
from backend.catalogue.import_memory import IdSet, LastLines, rare_collections
from backend.catalogue.import_rows import CheckedRow, read_rows
from backend.catalogue.import_unchanged import StoredRows
from backend.catalogue.product_images import Images
from backend.catalogue.products import Draft, ImageRef, Outcome, Saved
from backend.catalogue.pruning import DEFAULT_LIMIT, PruneLimit, Pruner
from backend.catalogue.report import Remarks, Summary
from backend.catalogue.skus import is_sku, normalise
from backend.catalogue.sources import open_source
from backend.catalogue.sources.feed import CutOff, ImageFile, Reject, WarningKind, kind_of
from backend.catalogue.sources.mapping import DEFAULT_MAPPING, FeedMapping
from backend.database.engine import Database
from backend.errors import ImageError
from backend.images.store import ImageStore
from backend.logs import RunLog

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What is known of the transfer of a feed's file."""

    is_proven: bool = False  # it is as long as its sender said
    ended_early: str | None = None  # why the rest did not come


ImportProgress: TypeAlias = Callable[[int, int], None]
"""Takes the rows done and the rows there are."""
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

    Fields and images that the feed does not name stay as they are. Images of a folder are referred
    to where they lie, unless copied; those of a zip are copied to the store. With `prune`, products
    that the feed does not hold are removed; none is if the feed has no valid row or may be cut off,
    or if more would go than `prune_at_most` allows. `Summary.not_pruned` says why. `transfer` is
    called after the last row, and says how the file came here. Raises UnreadableCatalogue, and
    ConfigurationError for a wrong mapping.
    """
    pruner = Pruner(db, limit=prune_at_most, page=chunk)
    with closing(open_source(path, mapping)) as source, rare_collections():
        last_lines = LastLines(source.skus())
        referrer = ImageReferrer(store, copy=copy_images, max_bytes=max_image_bytes)
        run = _Import(db, source.describe().title, referrer)
        lines = RunLog("import", path=str(path), rows=last_lines.total)
        for done in run.take_all(read_rows(source, last_lines), chunk):
            lines.progress(done=done)
            if progress:
                progress(min(done, last_lines.total), last_lines.total)
        run.cut_off = _cut_off(source.cut_off(), transfer())
        for remark in closing_remarks(source.describe(), last_lines, run.cut_off):
            run.warnings.add(last_lines.end, None, remark, remark.kind, is_of_file=True)
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

    def take_all(self, rows: Iterator[CheckedRow | Reject], chunk: int) -> Iterator[int]:
        """Save rows, and yield after each chunk how many of the feed's lines are done."""
        done = 0
        for part in _chunks(rows, chunk):
            self._take(part)
            done += sum(len(row.lines) if isinstance(row, CheckedRow) else 1 for row in part)
            yield done

    def _take(self, part: Sequence[CheckedRow | Reject]) -> None:
        """Save a chunk. Files are read and hashed before the transaction begins."""
        rows = [row for row in part if isinstance(row, CheckedRow)]
        rejects = [row for row in part if isinstance(row, Reject)]
        skus = {row.sku for row in rows}
        named = {normalise(row.sku) for row in rejects if row.sku}
        version = self.db.version()
        with self.db.read() as session:
            wanted = [*skus, *filter(is_sku, named - skus)]
            known = StoredRows.read(session, wanted, (row.draft for row in rows))
        for reject in rejects:
            self._reject(reject.line, reject.sku, reject.reason, known)
        left: list[CheckedRow] = []
        changes: list[FieldChange] = []
        for row in rows:
            for line, warning in row.warnings:
                self.warnings.add(line, row.sku, warning, kind_of(warning))
            fields = known.differing(row, self.images) if len(skus) == len(rows) else None
            if fields is None:
                left.append(row)
            elif fields:
                id_, at = known.rows[row.sku][0], known.version_of(row.sku)
                changes.append(FieldChange(id_, at, fields, row))
            else:
                self._note_unchanged(row, known)
        if left or changes:
            self._save(left, changes, known, version)

    def _save(
        self,
        rows: list[CheckedRow],
        changes: Sequence[FieldChange],
        known: StoredRows,
        version: int | None,
    ) -> None:
        """Write what differs, without a second look if what was read stands.

        It does if nobody has committed since `version`, or where that is not known, if the rows to
        change are as they were.
        """
        drafts = [self._draft(row, known) for row in rows]

        def write_at_once(session: Session) -> Saved | None:
            if self.db.version() != version or not stand(session, changes):
                return None
            write_fields(session, changes)
            return products.save(
                session,
                drafts,
                priority=queue.IMPORT,
                complete=False,
                is_new=known.is_new,
                changed=[change.product_id for change in changes],
            )

        may_stand = version is not None or not self.db.is_sqlite
        saved = self.db.write(write_at_once) if may_stand else None
        if saved is not None:
            self.outcomes[Outcome.CHANGED] += len(changes)
            self._held.update(change.product_id for change in changes)
        else:
            rows = [*rows, *(change.row for change in changes)]
            drafts += [self._draft(change.row, known) for change in changes]
            saved = self.db.write(
                lambda session: products.save(
                    session, drafts, priority=queue.IMPORT, complete=False
                )
            )
        self._note_saved(saved, rows, known)

    def _note_saved(self, saved: Saved, rows: Sequence[CheckedRow], known: StoredRows) -> None:
        self.outcomes.update({outcome: saved.count(outcome) for outcome in Outcome})
        self._held.update(saved.ids.values())
        for position, reason in saved.reasons.items():
            self._reject(rows[position].lines[-1], rows[position].sku, reason, known)

    def _note_unchanged(self, row: CheckedRow, known: StoredRows) -> None:
        self.outcomes[Outcome.UNCHANGED] += 1
        self._held.update([known.rows[row.sku][0]])

    def prune(self, pruner: Pruner, line: int) -> None:
        """Remove what the feed does not hold, or note at its last line why nothing is removed."""
        reason = f"{self.cut_off.reason}; the file may be cut off" if self.cut_off else None
        if not reason and not any(self.outcomes[outcome] for outcome in TAKEN):
            reason = "the file holds no valid row"
        if not reason:
            self.removed, reason = pruner.prune(self._held)
        if reason:
            self.not_pruned = f"nothing was pruned: {reason}"
            self.warnings.add(line, None, self.not_pruned, WarningKind.PRUNE, is_of_file=True)

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

    def _draft(self, row: CheckedRow, known: StoredRows) -> Draft:
        """Refer to a row's images, and note which cannot be referred to."""
        before = known.images_of(row.sku)
        first = self._refer(row, row.image, before, 0) if row.image else row.draft.image
        if row.further is None:
            row.draft.image = first
            return row.draft
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

    def _reject(self, line: int, sku: str | None, reason: str, known: StoredRows) -> None:
        """Note a row that gives no product. A stored product that it names is not pruned."""
        self.rejects.add(line, sku, reason)
        if sku is not None and (id_ := known.id_of(normalise(sku))) is not None:
            self._held.update([id_])
