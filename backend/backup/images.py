"""Which pictures a catalogue names, and how they come from one place to another."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from backend import images
from backend.backup.folder import Report, number
from backend.errors import ImageError
from backend.images.limits import ImageLimits
from backend.images.store import ImageStore, digest_of

PART: Final = 500
FOLDERS_TOLD: Final = 20

VIEWS: Final = """
CREATE TEMP VIEW pictures AS
    SELECT id, image_uri AS uri, image_digest AS digest, removed_at, CASE
        WHEN image_uri LIKE 'store://%' THEN 'stored'
        WHEN image_uri NOT LIKE '%://%' OR image_uri LIKE 'file://%' THEN 'in place'
        ELSE 'remote' END AS place
    FROM main.products WHERE image_uri IS NOT NULL;
CREATE TEMP VIEW stored AS
    SELECT DISTINCT substr(uri, 9) AS digest FROM pictures WHERE place = 'stored';
"""


def sort_out(catalogue: sqlite3.Connection) -> None:
    """Give this connection the views `pictures` and `stored`, which the rest needs."""
    catalogue.executescript(VIEWS)


def stored(catalogue: sqlite3.Connection) -> Iterator[str]:
    """Yield the digests of the images that a catalogue has in the store, each once, in order."""
    return (row[0] for row in catalogue.execute("SELECT digest FROM stored ORDER BY 1"))


def elsewhere(catalogue: sqlite3.Connection) -> dict[str, Any]:
    """Count the products whose picture is not in the store, and say where those files lie."""
    rows = catalogue.execute(
        "SELECT place, uri FROM pictures WHERE removed_at IS NULL AND place <> 'stored'"
    )
    places: Counter[str] = Counter()
    folders: Counter[str] = Counter()
    for place, uri in rows:
        places[place] += 1
        if place == "in place":
            folders[str(Path(uri.removeprefix("file://")).parent)] += 1
    return {
        "in_place": places["in place"],
        "folders": dict(folders.most_common(FOLDERS_TOLD)),
        "remote": places["remote"],
    }


def copy_stored(
    catalogue: sqlite3.Connection, source: ImageStore, target: ImageStore, report: Report
) -> tuple[int, int, list[str]]:
    """Copy the images that a catalogue has in the store, but for those that are there already.

    Returns how many are there now, their bytes, and the digests of those that the source has lost
    or spoilt.
    """
    total = number(catalogue, "SELECT count(*) FROM stored")
    report(0, total)
    bad: list[str] = []
    size = 0
    for done, digest in enumerate(stored(catalogue), 1):
        there = _copy(digest, source, target)
        if there is None:
            bad.append(digest)
        size += there or 0
        report(done, total)
    return total - len(bad), size, bad


def _copy(digest: str, source: ImageStore, target: ImageStore) -> int | None:
    """Return the bytes of an image that the target holds now, None if the source has it not."""
    size, there = source.size(digest), target.size(digest)
    if there is not None and size in (there, None):
        return there
    if size is None:
        return None
    data = source.read(digest)
    if digest_of(data) != digest:
        return None
    target.put(data)
    return len(data)


def spoilt(catalogue: sqlite3.Connection, store: ImageStore, report: Report) -> list[str]:
    """Read all images that a catalogue has in a store; return those that are lost or damaged."""
    total = number(catalogue, "SELECT count(*) FROM stored")
    bad = []
    for done, digest in enumerate(stored(catalogue), 1):
        if not store.exists(digest) or digest_of(store.read(digest)) != digest:
            bad.append(digest)
        report(done, total)
    return bad


def take_in(
    catalogue: sqlite3.Connection, store: ImageStore, *, max_bytes: int, report: Report
) -> None:
    """Copy pictures that lie in place into a store, and let their rows refer to the copies.

    One that cannot be read, or is no longer the one that was imported, stays a reference.
    """
    total = number(catalogue, "SELECT count(*) FROM pictures WHERE place = 'in place'")
    done = last = 0
    while part := catalogue.execute(
        "SELECT id, uri, digest FROM pictures WHERE place = 'in place' AND id > ?"
        " ORDER BY id LIMIT ?",
        (last, PART),
    ).fetchall():
        taken = [(_take_one(store, uri, digest, max_bytes), id_) for id_, uri, digest in part]
        catalogue.execute("BEGIN")
        catalogue.executemany(
            "UPDATE products SET image_uri = ? WHERE id = ?",
            [(store.uri(digest), id_) for digest, id_ in taken if digest],
        )
        catalogue.execute("COMMIT")
        last, done = part[-1][0], done + len(part)
        report(done, total)


def _take_one(store: ImageStore, uri: str, known: str | None, max_bytes: int) -> str | None:
    """Copy one picture; return its digest, or None where it has to stay what it is."""
    try:
        path = images.local_path(uri)
        if known and store.size(known) == path.stat().st_size:
            return known
        data = images.read_file(path, limits=ImageLimits(max_bytes=max_bytes))
    except (ImageError, OSError, ValueError):
        return None
    return store.put(data) if known in (None, digest_of(data)) else None
