"""The address that the API listens on."""

from __future__ import annotations

import errno
import socket
import time
from typing import Final

from backend.errors import ConfigurationError

BACKLOG: Final = 1024
HAND_OVER_SECONDS: Final = 3.0
"""How long a port may still be held by a server that ends: its kernel closes it a moment later."""

LOCAL_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104
"""Where a client on this host reaches a server that is bound to all addresses."""


def listen(host: str, port: int, *, patience: float = HAND_OVER_SECONDS) -> socket.socket:
    """Listen on an address; wait some seconds for a server that is about to release it.

    Raises ConfigurationError when the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + patience
    while True:
        try:
            return socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise ConfigurationError(
                    f"cannot listen on {host}:{port}: {str(error.strerror).partition(' (')[0]}; "
                    "choose another address with --host and --port"
                ) from None
        time.sleep(0.1)


def local_url(host: str, port: int, *, scheme: str = "http") -> str:
    """Return the URL at which a client on this host reaches the server."""
    host = LOCAL_ADDRESS.get(host, host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
