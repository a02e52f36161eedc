"""Fetch remote images: only from allowed hosts, only over public addresses, never redirected.

`open_http` is the one way to another host, for feeds too: what it refuses, nobody can reach. The
host's name is resolved once. Its addresses are checked, and the connection is made to one of these,
so a name that resolves differently a moment later (DNS rebinding) cannot lead elsewhere. No proxy
is used, because it would resolve the name again.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ipaddress import ip_address
from threading import Event, Timer
from time import monotonic
from typing import Final
from urllib.parse import SplitResult, quote

from backend.errors import (
    ForbiddenImage,
    HostUnavailable,
    ImageUnavailable,
    MissingImage,
    NoImage,
)
from backend.images.addresses import PORTS, parse_address
from backend.images.limits import ImageLimits
from backend.images.public_addresses import Address, is_public

CHUNK: Final = 1 << 16
HEADERS: Final = {"Accept": "image/*", "User-Agent": "lookalike"}
SAFE: Final = "/?%:@!$&'()*+,;=~"
"""Characters of a path and query that are sent as they are."""

TRANSIENT: Final = {408, 425, 429}
"""Statuses after which another try may help, beside those from 500 on."""

NOT_THERE: Final = 404
GONE: Final = {NOT_THERE, 410}
"""Of these, 410 says that it will not come back."""


def fetch(
    uri: str,
    *,
    hosts: Sequence[str],
    limits: ImageLimits,
    seconds: float,
    may_connect: Callable[[Address], bool] = is_public,
) -> bytes:
    """Return the bytes behind an address that `parse_address` allows for these `hosts`.

    Takes at most `seconds`, beside the look-up of the host's name. Raises ForbiddenImage, NoImage,
    ImageTooLarge, and where trying again may help ImageUnavailable and MissingImage.
    """
    parts = parse_address(uri, hosts=hosts)
    if parts.scheme == "s3":
        return _fetch_s3(uri, limits=limits, seconds=seconds)
    return _fetch_http(parts, limits=limits, seconds=seconds, may_connect=may_connect)


# --- http ----------------------------------------------------------------------------------


def _fetch_http(
    parts: SplitResult,
    *,
    limits: ImageLimits,
    seconds: float,
    may_connect: Callable[[Address], bool],
) -> bytes:
    with open_http(parts, headers=HEADERS, seconds=seconds, may_connect=may_connect) as response:
        _check_status(response, parts)
        return _read(response, limits)


@contextmanager
def open_http(
    parts: SplitResult,
    *,
    headers: Mapping[str, str],
    seconds: float,
    may_connect: Callable[[Address], bool] = is_public,
) -> Iterator[HTTPResponse]:
    """Ask for an address of `parse_address`, and yield the answer, whatever its status.

    The block included, it takes at most `seconds`, beside the look-up of the host's name. Raises
    ForbiddenImage, and ImageUnavailable for what fails here, in the block, or by time.
    """
    host = str(parts.hostname)
    port = parts.port or PORTS[parts.scheme]
    address = _resolve(host, port, may_connect)
    ends = monotonic() + seconds
    try:
        with _connect(host, address, port, seconds) as plain:
            connection = _for_tls(plain, host) if parts.scheme == "https" else plain
            with (
                connection,
                _deadline(connection, ends - monotonic()),
                _get(connection, parts, headers) as response,
            ):
                yield response
    except ssl.SSLCertVerificationError as error:
        raise ForbiddenImage(f"{host} has no valid certificate: {error.verify_message}") from None
    except (OSError, HTTPException) as error:
        raise ImageUnavailable(f"fetching from {host} failed: {error!r}") from None
    except ValueError as error:
        raise ForbiddenImage(f"the image's address is malformed: {error}") from None


def _connect(host: str, address: str, port: int, seconds: float) -> socket.socket:
    try:
        return socket.create_connection((address, port), timeout=seconds)
    except OSError as error:
        raise HostUnavailable(f"{host} cannot be reached: {error!r}") from None


def _resolve(host: str, port: int, may_connect: Callable[[Address], bool]) -> str:
    """Return one address of a host. Raises ForbiddenImage unless all of them may be connected to.

    No honest host has public and private addresses at once, so one bad address refuses the host.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise HostUnavailable(f"{host} cannot be resolved: {error.strerror}") from None
    except UnicodeError:
        raise ForbiddenImage(f"{host} is not a host's name") from None
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not may_connect(ip_address(address)):
            raise ForbiddenImage(f"{host} has an address that is not public: {address}")
    return addresses[0]


def _for_tls(connection: socket.socket, host: str) -> ssl.SSLSocket:
    """Wrap a connection to this host. The handshake is made later, under the deadline."""
    context = ssl.create_default_context()
    return context.wrap_socket(connection, server_hostname=host, do_handshake_on_connect=False)


@contextmanager
def _deadline(connection: socket.socket, seconds: float) -> Iterator[None]:
    """Shut the connection down after some seconds, and raise TimeoutError then.

    A socket's own timeout begins anew with each byte, so a slow host could hold us for ever.
    """
    expired = Event()

    def cut() -> None:
        expired.set()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = Timer(seconds, cut)
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError as error:
        raise ImageUnavailable(f"the host starts no further thread ({error})") from None
    try:
        yield
    finally:
        timer.cancel()
        if expired.is_set():  # what was read until then may look complete
            raise TimeoutError("out of time")


@contextmanager
def _get(
    connection: socket.socket, parts: SplitResult, headers: Mapping[str, str]
) -> Iterator[HTTPResponse]:
    if isinstance(connection, ssl.SSLSocket):
        connection.do_handshake()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with closing(HTTPConnection(parts.netloc)) as http:
        http.sock = connection  # or it would resolve the name and connect by itself
        http.request("GET", quote(path, safe=SAFE), headers=dict(headers))
        with http.getresponse() as response:
            yield response


def _check_status(response: HTTPResponse, parts: SplitResult) -> None:
    status, host = response.status, parts.hostname
    if status == 200:
        return
    if 300 <= status < 400:
        raise ForbiddenImage(f"{host} redirects the image, which is not followed")
    if status == NOT_THERE:
        raise MissingImage(f"{host} does not have the image (status {status})")
    if status in GONE:
        raise NoImage(f"{host} does not have the image any more (status {status})")
    if status in TRANSIENT or status >= 500:
        raise ImageUnavailable(f"{host} answered with status {status}")
    raise ForbiddenImage(f"{host} refuses the image (status {status})")


def _read(response: HTTPResponse, limits: ImageLimits) -> bytes:
    limits.check_bytes(response.length or 0)
    data = bytearray()
    while chunk := response.read(CHUNK):
        data += chunk
        limits.check_bytes(len(data))
    if response.length:  # `read` takes a cut connection for the end of the data
        raise ImageUnavailable("the connection ended before the image did")
    return bytes(data)


# --- s3 ------------------------------------------------------------------------------------


def _fetch_s3(uri: str, *, limits: ImageLimits, seconds: float) -> bytes:
    """Fetch with the credentials and the endpoint of s3fs's own environment."""
    try:  # an optional dependency, and slow to import
        import s3fs  # type: ignore[import-untyped]  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError:
        raise ForbiddenImage("s3:// images need the extra 'server' to be installed") from None
    timeouts = {"connect_timeout": seconds, "read_timeout": seconds, "retries": {"max_attempts": 1}}
    try:
        with s3fs.S3FileSystem(config_kwargs=timeouts).open(uri, "rb") as file:
            limits.check_bytes(file.size or 0)
            data: bytes = file.read(limits.max_bytes + 1)
    except FileNotFoundError:
        raise MissingImage(f"there is no {uri}") from None
    except PermissionError as error:
        raise ForbiddenImage(f"no permission to read {uri}: {error}") from None
    except (OSError, BotoCoreError) as error:
        raise ImageUnavailable(f"{uri} cannot be fetched: {error}") from None
    limits.check_bytes(len(data))
    return data
