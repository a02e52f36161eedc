"""The images that a catalogue names, and copying them between image stores."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backend import images
from backend.backup.folder import Report, read_number
from backend.errors import ImageError, NoImage
from backend.images.limits import ImageLimits
from backend.images.store import ImageStore, digest_of

CHUNK: Final = 500
MOST_FOLDERS: Final = 20

VIEWS: Final = """
CREATE TEMP VIEW images AS
    SELECT id, position, uri, digest, removed_at, CASE
        WHEN uri LIKE 'store://%' THEN 'stored'
        WHEN uri NOT LIKE '%://%' OR uri LIKE 'file://%' THEN 'in place'
        ELSE 'remote' END AS place
    FROM ({every});
CREATE TEMP VIEW stored AS
    SELECT DISTINCT substr(uri, 9) AS digest FROM images
    WHERE place = 'stored' AND removed_at IS NULL;
"""
FIRST: Final = """
    SELECT id, 0 AS position, image_uri AS uri, image_digest AS digest, removed_at
    FROM main.products WHERE image_uri IS NOT NULL"""
FURTHER: Final = """
    UNION ALL SELECT product_id, position, uri, digest, removed_at
    FROM main.product_images JOIN main.products ON id = product_id"""


@dataclass(frozen=True, kw_only=True)
class CopiedImages:
    """What a target holds after the images of a catalogue were copied to it."""

    images: int
    bytes: int
    lost: Sequence[str]  # digests of those that are missing or damaged in the source


def create_views(catalogue: sqlite3.Connection) -> None:
    """Create the views `images` and `stored` on this connection; all functions here read them.

    A backup of an earlier release has one image for each product.
    """
    several = read_number(
        catalogue, "SELECT count(*) FROM main.sqlite_master WHERE name = 'product_images'"
    )
    catalogue.executescript(VIEWS.format(every=FIRST + (FURTHER if several else "")))


def stored_digests(catalogue: sqlite3.Connection) -> Iterator[str]:
    """Yield the digests of the images that a catalogue has in the store, each once, in order."""
    return (row[0] for row in catalogue.execute("SELECT digest FROM stored ORDER BY 1"))


def count_elsewhere(catalogue: sqlite3.Connection) -> dict[str, Any]:
    """Count the images that are not in the store, and list the folders of those files."""
    rows = catalogue.execute(
        "SELECT place, uri FROM images WHERE removed_at IS NULL AND place <> 'stored'"
    )
    places: Counter[str] = Counter()
    folders: Counter[str] = Counter()
    for place, uri in rows:
        places[place] += 1
        if place == "in place":
            folders[str(Path(uri.removeprefix("file://")).parent)] += 1
    return {
        "in_place": places["in place"],
        "folders": dict(folders.most_common(MOST_FOLDERS)),
        "remote": places["remote"],
    }


def copy_stored(
    catalogue: sqlite3.Connection, source: ImageStore, target: ImageStore, report: Report
) -> CopiedImages:
    """Copy the images that a catalogue has in the store; those that the target has are skipped."""
    total = read_number(catalogue, "SELECT count(*) FROM stored")
    report(0, total)
    lost: list[str] = []
    size = 0
    for done, digest in enumerate(stored_digests(catalogue), 1):
        there = _copy(digest, source, target)
        if there is None:
            lost.append(digest)
        size += there or 0
        report(done, total)
    return CopiedImages(images=total - len(lost), bytes=size, lost=lost)


def _copy(digest: str, source: ImageStore, target: ImageStore) -> int | None:
    """Copy one image if need be; return its size in bytes, None if the source lacks it."""
    size, there = source.size(digest), target.size(digest)
    if there is not None and size in (there, None):
        return there
    if size is None:
        return None
    try:
        data = source.read(digest)
    except NoImage:  # deleted meanwhile, by `lookalike purge`
        return None
    if digest_of(data) != digest:
        return None
    target.put(data)
    return len(data)


def find_damaged(catalogue: sqlite3.Connection, store: ImageStore, report: Report) -> list[str]:
    """Read all images that a catalogue has in a store; return those that are missing or damaged."""
    total = read_number(catalogue, "SELECT count(*) FROM stored")
    bad = []
    for done, digest in enumerate(stored_digests(catalogue), 1):
        if not store.exists(digest) or digest_of(store.read(digest)) != digest:
            bad.append(digest)
        report(done, total)
    return bad


def copy_in_place(
    catalogue: sqlite3.Connection, store: ImageStore, *, max_bytes: int, report: Report
) -> None:
    """Copy the images in the shop's folders into a store, and point their rows to the copies.

    An image that cannot be read, or has changed since it was imported, keeps its old address.
    """
    total = read_number(catalogue, "SELECT count(*) FROM images WHERE place = 'in place'")
    done, last = 0, (0, -1)
    while chunk := catalogue.execute(
        "SELECT id, position, uri, digest FROM images WHERE place = 'in place'"
        " AND (id, position) > (?, ?) ORDER BY id, position LIMIT ?",
        (*last, CHUNK),
    ).fetchall():
        copied = [
            (store.uri(kept), id_, position)
            for id_, position, uri, digest in chunk
            if (kept := _copy_one(store, uri, digest, max_bytes))
        ]
        catalogue.execute("BEGIN")
        catalogue.executemany("UPDATE products SET image_uri = ? WHERE id = ? AND ? = 0", copied)
        if further := [each for each in copied if each[2]]:
            catalogue.executemany(
                "UPDATE product_images SET uri = ? WHERE product_id = ? AND position = ?", further
            )
        catalogue.execute("COMMIT")
        last, done = chunk[-1][:2], done + len(chunk)
        report(done, total)


def _copy_one(store: ImageStore, uri: str, known: str | None, max_bytes: int) -> str | None:
    """Copy one image; return its digest, or None where its row has to keep the old address."""
    try:
        path = images.local_path(uri)
        if known and store.size(known) == path.stat().st_size:
            return known
        data = images.read_file(path, limits=ImageLimits(max_bytes=max_bytes))
    except (ImageError, OSError, ValueError):
        return None
    return store.put(data) if known in (None, digest_of(data)) else None
