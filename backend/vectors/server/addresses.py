"""Where the nodes of a Qdrant cluster are: from QDRANT_URL and, behind a name, from its records."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs, urlsplit

import structlog

from backend.errors import ConfigurationError

log = structlog.get_logger(__name__)

GRPC_PORT: Final = "grpc_port"
"""The query parameter of an address whose gRPC port is not that of the others."""


@dataclass(frozen=True)
class Address:
    """One node. `host` is what is connected to; `name` is what its certificate is made for."""

    host: str
    name: str
    grpc_port: int
    is_tls: bool
    port: int = 6333
    path: str = ""

    @property
    def url(self) -> str:
        """The node's address without what gRPC needs."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}{self.path}"

    def __str__(self) -> str:
        return f"{self.host}:{self.grpc_port}"


def split(urls: str) -> list[str]:
    """Return the addresses of a list with commas."""
    return [url for part in urls.split(",") if (url := part.strip())]


def read(url: str, *, grpc_port: int) -> Address:
    """Read one address. Raises ConfigurationError, which names QDRANT_URL."""
    full = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(full)
        port = parts.port or 6333
        own = int(parse_qs(parts.query).get(GRPC_PORT, [str(grpc_port)])[0])
    except ValueError:
        raise ConfigurationError(f"QDRANT_URL={url!r} is no address with a port") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"QDRANT_URL={url!r} must be such as http://qdrant:6333")
    return Address(
        host=parts.hostname,
        name=parts.hostname,
        grpc_port=own,
        is_tls=parts.scheme == "https",
        port=port,
        path=parts.path.rstrip("/"),
    )


def find(urls: str, *, grpc_port: int) -> list[Address]:
    """Return all nodes: each address of the list, and each record of a name that has several.

    A name that cannot be resolved now stays a name.
    """
    found: dict[Address, None] = {}
    for url in split(urls):
        address = read(url, grpc_port=grpc_port)
        for host in _hosts(address.host):
            node = Address(
                host=host,
                name=address.name,
                grpc_port=address.grpc_port,
                is_tls=address.is_tls,
                port=address.port,
                path=address.path,
            )
            found[node] = None
    return list(found)


def _hosts(name: str) -> Sequence[str]:
    """Return the records of a name if it has several of one family, IPv4 first; else the name.

    One host often has a record of either family, which gRPC tries itself.
    """
    try:
        ip_address(name)
    except ValueError:
        pass
    else:
        return [name]
    try:
        records = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return [name]
    for family in (socket.AF_INET, socket.AF_INET6):
        hosts = sorted({str(record[4][0]) for record in records if record[0] == family})
        if hosts:
            return hosts if len(hosts) > 1 else [name]
    return [name]


def warn_about_plain_key(urls: str | None, api_key: str | None) -> None:
    """Log one line if the key is sent to another host without TLS."""
    if not urls or not api_key:
        return
    for url in split(urls):
        host = urlsplit(url if "://" in url else f"http://{url}").hostname or ""
        if not url.startswith("https:") and host not in ("localhost", "127.0.0.1", "::1"):
            log.warning(
                "QDRANT_API_KEY is sent without TLS; use https:// where others share the network",
                setting="QDRANT_URL",
                host=host,
            )
            return
