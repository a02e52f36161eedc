"""How full the disks of the stores are."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import text

from backend.database.bounds import bounded
from backend.database.engine import Database
from backend.settings import Settings

STATEMENT_SECONDS: Final = 5.0
DATABASE: Final = "database"


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The disk of a store."""

    store: str  # database, index or images
    free_bytes: int
    capacity_bytes: int


def look_at_disks(settings: Settings) -> list[Disk]:
    """Return the disk of each store that is on a disk of this host; raises OSError."""
    found = []
    for store, folder in _folders(settings).items():
        usage = shutil.disk_usage(_existing(folder))
        found.append(Disk(store=store, free_bytes=usage.free, capacity_bytes=usage.total))
    return found


def read_disks(settings: Settings) -> Sequence[Metric]:
    """Return free space and capacity of each disk that this host has, and the size of the index.

    A store in a bucket or on a server of its own is measured there.
    """
    free = GaugeMetricFamily(
        "lookalike_store_free_bytes", "Free space on the disk of a store.", labels=("store",)
    )
    capacity = GaugeMetricFamily(
        "lookalike_store_capacity_bytes", "Size of the disk of a store.", labels=("store",)
    )
    for disk in look_at_disks(settings):
        free.add_metric((disk.store,), disk.free_bytes)
        capacity.add_metric((disk.store,), disk.capacity_bytes)
    return [free, capacity]


def read_sizes(settings: Settings, db: Database) -> Sequence[Metric]:
    """Return how much the database and an embedded index take.

    Images are not counted: there may be millions of them.
    """
    used = GaugeMetricFamily(
        "lookalike_store_used_bytes", "Bytes that a store takes.", labels=("store",)
    )
    used.add_metric((DATABASE,), _database_size(db))
    if not settings.qdrant_url:
        used.add_metric(("index",), _size_below(settings.index_dir))
    return [used]


def _folders(settings: Settings) -> dict[str, Path]:
    """Return the folders of the stores that are on disks of this host."""
    found = {}
    if settings.database.startswith("sqlite:///"):
        found[DATABASE] = settings.data_dir
    if not settings.qdrant_url:
        found["index"] = settings.index_dir
    images = urlsplit(settings.image_store_url)
    if images.scheme in ("", "file"):
        found["images"] = Path(unquote(images.path))
    return found


def _existing(folder: Path) -> Path:
    """Return a folder or, before it is made, the nearest one above it."""
    return next((it for it in (folder, *folder.absolute().parents) if it.exists()), folder)


def _database_size(db: Database) -> int:
    if not db.is_sqlite:
        with db.read() as session, bounded(session, seconds=STATEMENT_SECONDS):
            return int(session.scalar(text("SELECT pg_database_size(current_database())")) or 0)
    main = Path(str(db.engine.url.database))
    return sum(map(_size_of, (main, Path(f"{main}-wal"), Path(f"{main}-shm"))))


def _size_below(folder: Path) -> int:
    return sum(_size_of(path) for path in folder.rglob("*"))


def _size_of(path: Path) -> int:
    """Return the blocks that a file takes: the engine's files have holes. 0 if it is gone."""
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_blocks * 512
