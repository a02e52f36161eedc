"""Ask a host for an image; when it does not answer, ask it again only after a delay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from backend.errors import HostUnavailable, ImageError, ImageUnavailable
from backend.outages import Outages

TOLERATED: Final = 2
"""Images in a row that one host may fail to give before none of its images is at fault."""


def guarded(outages: Outages, host: str, read: Callable[[], bytes]) -> bytes:
    """Return what `read` returns, unless the host is not asked at the moment. Raises ImageError.

    HostUnavailable where the host is at fault, with the seconds to wait in `context["wait"]`: it
    cannot be reached, or has failed for several images in a row. An image for which a host fails
    that gives others stays ImageUnavailable.
    """
    if not outages.may_try(host):
        reason, wait = outages.reason(host), outages.seconds_left(host)
        raise HostUnavailable(reason or f"the {host} does not answer", wait=wait)
    try:
        data = read()
    except ImageUnavailable as error:
        wait = outages.fail(host, error.message, tolerated=TOLERATED)
        if wait or isinstance(error, HostUnavailable):
            raise HostUnavailable(error.message, wait=wait) from None
        raise
    except ImageError:
        outages.work(host)
        raise
    outages.work(host)
    return data
