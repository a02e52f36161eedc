"""The one owner of the embedded index: a lock, and beside it the address where the owner answers.

The file with the address also holds a token for commands of the same user on this host. The owner
accepts it as an API key that may read, so that commands can ask a running server. Each start makes
a new token, and only its user can read the file.
"""

from __future__ import annotations

import errno
import hmac
import json
import os
import secrets
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from backend.errors import IndexLocked
from backend.files import replace_file

log = structlog.get_logger(__name__)


class Owner:
    """The right to open the embedded index of one data folder. Released when its process dies."""

    def __init__(self, data_dir: Path) -> None:
        self._lock = FileLock(data_dir / "owner.lock", is_singleton=False, thread_local=False)
        self._address = data_dir / "owner.json"
        self._own_token = secrets.token_urlsafe(32)
        self._answers_for_it = False

    def acquire(self, *, url: str | None = None) -> None:
        """Become the owner, and write down the address where this process answers HTTP.

        One `release` is enough after several calls. Raises IndexLocked when another process is the
        owner.
        """
        self._address.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise IndexLocked(f"another process owns the index: {self.describe()}") from None
        self._announce(pid=os.getpid(), url=url, token=self._own_token)

    def leave(self) -> None:
        """Announce that this process soon stops being the owner: another one may wait for that."""
        if self.is_here:
            self._announce(**self._read() | {"leaving": True})

    @property
    def is_leaving(self) -> bool:
        """Whether the present owner ends, or is dead: the lock will soon be free."""
        found = self._read()
        pid = found.get("pid")
        return bool(found.get("leaving")) or (isinstance(pid, int) and not _is_alive(pid))

    def _announce(self, **known: object) -> None:
        """Write down who the owner is. A full disk keeps nobody from starting or stopping."""
        text = json.dumps(known)
        try:
            replace_file(self._address, lambda draft: draft.write_text(text), mode=0o600)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            log.warning(
                "commands will not find this process", file=str(self._address), error=str(error)
            )
            self._address.unlink(missing_ok=True)  # it names the former owner

    @property
    def is_here(self) -> bool:
        """Whether this process is the owner."""
        return self._lock.is_locked

    def release(self) -> None:
        """Stop being the owner."""
        if self.is_here:
            self._address.unlink(missing_ok=True)
            self._lock.release(force=True)  # it counts how often it was acquired

    @property
    def url(self) -> str | None:
        """The address that the present owner announced, if it serves."""
        url = self._read().get("url")
        return str(url) if url else None

    @property
    def token(self) -> str | None:
        """The token that the present owner accepts, if this user may read the file."""
        token = self._read().get("token")
        return str(token) if token else None

    def answer_for_it(self) -> None:
        """Accept the owner's token from now on: this process answers at the owner's address."""
        self._answers_for_it = True

    def recognises(self, token: str) -> bool:
        """Tell whether the token is the owner's, and this process is it or answers for it."""
        if len(token) != len(self._own_token):  # of a key; the length is no secret
            return False
        own = self._own_token if self.is_here else self.token if self._answers_for_it else None
        return own is not None and hmac.compare_digest(token.encode(), own.encode())

    def describe(self) -> str:
        """Describe the owner for an error message, as far as it is known."""
        found = self._read()
        where = f", serving {found['url']}" if found.get("url") else ""
        return f"process {found.get('pid', 'unknown')}{where}"

    def _read(self) -> dict[str, object]:
        try:
            content = json.loads(self._address.read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True
