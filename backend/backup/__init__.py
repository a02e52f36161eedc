"""Backups of the embedded default: the catalogue's SQLite file and the image store.

The index is not part of a backup: it is derived, and is filled again from the vectors in SQL. Every
file in a backup's folder is named by the sha256 of its content, so damage is found. The manifest
names the catalogue, which names the images, and is replaced last: an interrupted backup leaves the
backup before it complete.

Reading order: `folder` (the files of a backup), `saving`, `restoring`, `images`.
"""

from backend.backup.folder import Manifest
from backend.backup.restoring import check, restore
from backend.backup.saving import save

__all__ = ["Manifest", "check", "restore", "save"]
