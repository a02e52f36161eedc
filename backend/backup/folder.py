"""The files in a backup's folder, its manifest, and how its SQLite file is read."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import make_url

from backend.database.failures import meaning_of_sqlite
from backend.database.sqlite_file import SQLITE_TIMEOUT_SECONDS
from backend.errors import (
    ConfigurationError,
    DatabaseDamaged,
    DatabaseFull,
    DiskFull,
    UnusableBackup,
)
from backend.files import replace_file
from backend.images.store import ImageStore
from backend.settings import Settings

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
IMAGES: Final = "images"
DRAFT: Final = "draft.sqlite"
LOCK: Final = "backup.lock"
SERVERS: Final = "docs/backup.md says how to back up PostgreSQL and a Qdrant server"

Report: TypeAlias = Callable[[int, int | None], None]
"""Called with (done, total) after each step; total None: not known."""

Bar: TypeAlias = Callable[[str], AbstractContextManager[Report]]
"""Shows the progress of one named step."""


@contextmanager
def no_bar(_what: str) -> Iterator[Report]:
    """Show nothing."""
    yield lambda _done, _total: None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Describes a backup: when and of what it was made, and what it holds."""

    created_at: str  # ISO 8601, UTC: the moment that the copy of the catalogue shows
    version: str  # of the program
    revision: str  # of the database's tables
    catalogue: str  # sha256 of the SQLite file
    products: int  # in the catalogue, without removed ones
    images: int
    image_bytes: int
    missing: list[str] = field(default_factory=list)  # digests that the store lacked already
    in_place: int = 0  # products whose image is a file outside the store, not in the backup
    folders: dict[str, int] = field(default_factory=dict)  # those files' folders: files in each
    remote: int = 0  # products whose image is on another host

    def write(self, folder: Path) -> None:
        """Write the manifest, which makes this the folder's backup."""
        text = json.dumps({"format": FORMAT, **asdict(self)}, indent=2)
        replace_file(folder / MANIFEST, lambda draft: draft.write_text(text, "utf-8"))

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of a folder; raises UnusableBackup if it is missing or damaged."""
        try:
            found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UnusableBackup(f"{folder} holds no backup: there is no {MANIFEST}") from None
        except (OSError, ValueError) as error:
            raise UnusableBackup(f"the manifest cannot be read: {error}") from None
        return cls._parse(found)

    @classmethod
    def _parse(cls, found: Any) -> Manifest:
        if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
            raise UnusableBackup("the manifest is damaged, or of a newer version of the program")
        try:
            return cls(**found)
        except TypeError as error:
            raise UnusableBackup(f"the manifest is damaged: {error}") from None

    def catalogue_path(self, folder: Path) -> Path:
        """Return the catalogue's path in a backup's folder."""
        return folder / catalogue_name(self.catalogue)


def catalogue_name(digest: str) -> str:
    """Return the file name of a catalogue with this digest."""
    return f"catalogue-{digest}.sqlite"


def images_in(folder: Path) -> ImageStore:
    """Return the image store inside a backup's folder."""
    return ImageStore((folder / IMAGES).absolute().as_uri())


def database_file(settings: Settings) -> Path:
    """Return the file of the embedded catalogue.

    Raises ConfigurationError where the settings name servers, which have backups of their own.
    """
    if not settings.database.startswith("sqlite"):
        raise ConfigurationError(f"DATABASE_URL names a database server: {SERVERS}")
    if settings.qdrant_url:
        raise ConfigurationError(f"QDRANT_URL names a vector store of its own: {SERVERS}")
    found = make_url(settings.database).database
    if not found or found == ":memory:":
        raise ConfigurationError("DATABASE_URL names no file")
    return Path(found).absolute()


@contextmanager
def opened(file: Path, *, mode: Literal["ro", "rw"]) -> Iterator[sqlite3.Connection]:
    """Open an existing SQLite file; each statement is its own transaction."""
    uri = f"{file.absolute().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=SQLITE_TIMEOUT_SECONDS)) as connection:
        connection.isolation_level = None
        yield connection


@contextmanager
def copying(source: Path, target: Path) -> Iterator[None]:
    """Say what SQLite's errors mean while one file is copied to another, and which file it is.

    Raises UnusableBackup for a damaged source, DiskFull for a full disk of the target.
    """
    try:
        yield
    except sqlite3.Error as error:
        kind = meaning_of_sqlite(error)
        if kind is DatabaseFull:
            raise DiskFull(f"the disk of {target} is full; make room on it: {error}") from error
        if kind is DatabaseDamaged:
            raise UnusableBackup(
                f"the catalogue at {source} is damaged, and `lookalike restore` takes a backup "
                f"into use: {error}"
            ) from error
        raise kind(f"{source} cannot be copied to {target}: {error}") from error


def digest_of_file(file: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def read_number(connection: sqlite3.Connection, query: str) -> int:
    """Return the only number that a query selects."""
    return int(connection.execute(query).fetchone()[0])
