"""A catalogue's file -> products: streamed, idempotent, one short transaction a chunk.

The file is read twice: once for its skus alone, so that of several rows with one sku only the
last is ever written (and progress has a total), then for its rows.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from sqlalchemy import func, select

from backend import queue
from backend.catalogue import products
from backend.catalogue.products import Draft, ImageRef, Outcome
from backend.catalogue.report import Remarks, Summary
from backend.catalogue.sources import open_source
from backend.catalogue.sources.layout import PLAIN, FeedMapping
from backend.catalogue.sources.rows import FeedRow, Picture, Reject, Source
from backend.database.engine import Database
from backend.database.models import Product
from backend.errors import ImageError, InvalidProduct, NoImage, UnreadableCatalogue
from backend.images.store import SCHEME, ImageStore, digest_of

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
    layout: FeedMapping = PLAIN,
    prune: bool = False,
    copy_images: bool = False,
    max_image_bytes: int = 20_000_000,
    chunk: int = CHUNK,
    progress: ImportProgress | None = None,
) -> Summary:
    """Bring the catalogue to what a folder, zip or CSV file says; see `sources.open_source`.

    Fields and images that the file does not name stay as they are. Images of a folder are
    referenced where they lie, unless copied; those of a zip are copied to the store. With `prune`,
    products that the file does not hold are removed. Raises UnreadableCatalogue, also for a prune
    by a file without one valid row, and ConfigurationError for a wrong layout.
    """
    with closing(open_source(path, layout)) as source:
        last_lines = _LastLines(source.skus())
        run = _Import(db, _Keeper(store, copy=copy_images, most=max_image_bytes))
        done = 0
        for part in _chunks(_last_only(source, last_lines), chunk):
            run.take(part)
            done += len(part)
            if progress:
                progress(min(done, last_lines.total), last_lines.total)
    if prune:
        run.prune(chunk)
    return run.summary()


@dataclass
class _Import:
    """One import under way."""

    db: Database
    keeper: _Keeper
    rejects: Remarks = field(default_factory=Remarks)
    warnings: Remarks = field(default_factory=Remarks)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    removed: int = 0

    def __post_init__(self) -> None:
        self._held = _Bitmap()  # ids of the products that the file holds
        with self.db.read() as session:
            self._newest = session.scalar(select(func.max(Product.id))) or 0

    def take(self, part: Sequence[FeedRow | Reject]) -> None:
        """Save a chunk. Files are read and hashed before the transaction begins."""
        known = self._known([row.sku for row in part if row.sku])
        drafted = [(row, self._draft(row, known)) for row in part]
        rows = [row for row, draft in drafted if draft]
        drafts = [draft for _, draft in drafted if draft]
        saved = self.db.write(
            lambda session: products.save(session, drafts, priority=queue.IMPORT, complete=False)
        )
        self.outcomes.update(saved.outcomes)
        self._held.update(saved.ids.values())
        for position, reason in saved.reasons.items():
            self._reject(rows[position], reason, known)

    def prune(self, chunk: int) -> None:
        """Remove what the file does not hold, except what came while the import ran."""
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
        with self.db.read() as session:
            return {row.sku: row for row in session.execute(query.where(Product.sku.in_(skus)))}

    def _draft(self, row: FeedRow | Reject, known: Known) -> Draft | None:
        """Check a row and refer to its image; note what is wrong with it, None if all is."""
        if isinstance(row, Reject):
            self._reject(row, row.reason, known)
            return None
        try:
            draft, warnings = _checked(row)
        except InvalidProduct as error:
            self._reject(row, error.message, known)
            return None
        try:
            image = self.keeper.refer(row.picture, known.get(row.sku)) if row.picture else None
        except ImageError as error:
            image = None
            warnings = (*warnings, error.message)
        for warning in (*row.warnings, *warnings):
            self.warnings.add(row.line, row.sku, warning)
        return replace(draft, image=image) if image else draft

    def _reject(self, row: FeedRow | Reject, reason: str, known: Known) -> None:
        """Note a row that gives no product; the file holds the product all the same."""
        self.rejects.add(row.line, row.sku, reason)
        if row.sku is not None and row.sku in known:
            self._held.update([known[row.sku].id])

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


def _checked(row: FeedRow) -> tuple[Draft, tuple[str, ...]]:
    """Check a row's fields; those that are wrong are left out, with a warning for each.

    Raises InvalidProduct for a wrong sku: nothing can be stored under it.
    """
    try:
        return products.parse({**row.fields, "sku": row.sku}), ()
    except InvalidProduct as error:
        wrong = {each["field"]: each["reason"] for each in error.context["errors"]}
        if "sku" in wrong:
            raise InvalidProduct(f"sku: {wrong['sku']}") from None
    rest = {name: value for name, value in row.fields.items() if name not in wrong}
    draft = products.parse({**rest, "sku": row.sku})
    return draft, tuple(f"{name}: {reason}; left out" for name, reason in wrong.items())


@dataclass(frozen=True)
class _Keeper:
    """Refers to pictures where they lie, or copies them to the store; reads only changed ones."""

    store: ImageStore
    copy: bool
    most: int  # bytes of a picture

    def refer(self, picture: Picture, known: Any) -> ImageRef:
        """Return a reference with the digest of the picture's bytes.

        A file that cannot be read is referred to without one where it can stay, and so ends in
        the quarantine with the reason. Raises an ImageError where there is nothing to refer to.
        """
        if known is not None and self._is_as_known(picture, known):
            return ImageRef(
                uri=known.image_uri,
                digest=known.image_digest,
                bytes=known.image_bytes,
                mtime_ns=known.image_mtime_ns,
            )
        uri, digest = picture.uri, None
        if uri is None or self.copy:
            digest = self.store.put(picture.read(self.most))
            uri = self.store.uri(digest)
        else:
            digest = self._digest(picture)
        return ImageRef(uri=uri, digest=digest, bytes=picture.size, mtime_ns=picture.mtime_ns)

    def _is_as_known(self, picture: Picture, known: Any) -> bool:
        """Compare size and time, not the bytes; a digest tells that they were read once."""
        measured = (picture.size, picture.mtime_ns)
        if not known.image_digest or measured != (known.image_bytes, known.image_mtime_ns):
            return False
        if picture.uri is not None and not self.copy:
            return bool(known.image_uri == picture.uri)
        kept = self.store.path(known.image_digest)
        in_store = known.image_uri.startswith(f"{SCHEME}://")
        return in_store and (kept is None or kept.exists())

    def _digest(self, picture: Picture) -> str | None:
        try:
            return digest_of(picture.read(self.most))
        except NoImage:
            raise
        except ImageError:
            return None


class _LastLines:
    """The last line of every sku that comes more than once; 16 bytes a row while it is made.

    Compares hashes of 64 bits, so as not to hold the skus of ten million rows.
    """

    def __init__(self, skus: Iterable[tuple[int, str]]) -> None:
        lines, hashes = array("q"), array("q")
        for line, sku in skus:
            lines.append(line)
            hashes.append(hash(sku))
        self.total = len(lines)
        order = np.argsort(np.asarray(hashes), kind="stable")
        in_order = np.asarray(hashes)[order]
        again = np.flatnonzero(in_order[1:] == in_order[:-1]) + 1
        self._last = {int(in_order[at]): lines[order[at]] for at in again}

    def after(self, row: FeedRow) -> int | None:
        """Return the last line with this row's sku, None if it is this row's own."""
        last = self._last.get(hash(row.sku))
        return None if last == row.line else last


def _last_only(source: Source, last_lines: _LastLines) -> Iterator[FeedRow | Reject]:
    """Yield a source's rows, with a reject for each that comes again."""
    for row in source.read():
        later = last_lines.after(row) if isinstance(row, FeedRow) else None
        yield Reject(row.line, row.sku, f"line {later} has the same sku") if later else row


def _chunks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while part := list(islice(items, size)):
        yield part


class _Bitmap:
    """A set of ids, one bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def update(self, ids: Iterable[int]) -> None:
        """Add ids."""
        for number in ids:
            missing = number // 8 + 1 - len(self._bits)
            if missing > 0:
                self._bits.extend(bytes(missing + len(self._bits) // 8))
            self._bits[number // 8] |= 1 << number % 8

    def __contains__(self, number: int) -> bool:
        place = number // 8
        return place < len(self._bits) and bool(self._bits[place] >> number % 8 & 1)
