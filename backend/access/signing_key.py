"""The key that signs what clients hand back, such as cursors. All processes share it by SQL."""

from __future__ import annotations

import secrets
from typing import Final

from sqlalchemy.orm import Session

from backend.database.engine import Database
from backend.database.models import Secret
from backend.database.upsert import upsert

NAME: Final = "signing"
BYTES: Final = 32


class SigningKey:
    """Reads the key once, and makes it where there is none. One per process, for all its threads.

    To end all that was signed, delete the row and restart the processes.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._key: bytes | None = None

    def read(self) -> bytes:
        """Return the key. Raises what the database raises, also where it cannot be written."""
        if self._key is None:
            with self._db.read() as session:
                found = session.get(Secret, NAME)
            self._key = found.value if found else self._db.write(_make)
        return self._key


def _make(session: Session) -> bytes:
    """Store a new key, unless another process was first, and return the one that is stored."""
    values = {"name": NAME, "value": secrets.token_bytes(BYTES)}
    session.execute(upsert(session, Secret).values(values).on_conflict_do_nothing())
    return session.get_one(Secret, NAME).value
