"""Backups of the embedded default: the catalogue's SQLite file and the image store.

The index is no part of them: it is derived, and refills from the vectors in SQL. Everything in a
backup's folder is named by the sha256 of its content, and the manifest, which is replaced last,
names the catalogue, which names the images. So an interrupted backup leaves the one before whole,
and whatever is damaged shows.

Reading order: `folder` (what lies where), `saving`, `restoring`.
"""

from backend.backup.folder import Manifest
from backend.backup.restoring import check, restore
from backend.backup.saving import save

__all__ = ["Manifest", "check", "restore", "save"]
