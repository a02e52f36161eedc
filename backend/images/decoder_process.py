"""The program of a decoder process: decode images from a pipe, until the pipe closes.

Started as `python -m backend.images.decoder_process` by the decoder pool. It answers in JSON and
pixels, not in pickles: if a malicious image takes over this process, it must not get at its parent.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

from PIL.Image import Image

from backend.errors import ImageError, ImageTooLarge
from backend.images.box import Box
from backend.images.decode import Size, decode_region, inspect, size_within
from backend.images.limits import ImageLimits
from backend.images.local_files import read_file

Decode: TypeAlias = Callable[..., Image]
"""`(data, *, limits, target) -> RGB image of exactly that (height, width)`; `images.decode`."""

READY = b"ready"


def main(setup: str) -> None:
    """Serve the pipe that `setup`, a JSON object, describes; see `backend.images.decoder_pool`."""
    options = json.loads(setup)
    module, _, name = options["decode"].partition(":")
    decode = getattr(import_module(module), name)
    silence_libraries()
    limit_process(memory_bytes=options["memory_bytes"])
    with Connection(options["pipe"]) as pipe, suppress(EOFError, OSError):  # the parent has gone
        serve(
            pipe, decode=decode, limits=ImageLimits(**options["limits"]), seconds=options["seconds"]
        )


def limit_process(*, memory_bytes: int) -> None:
    """Bound the address space (0: no bound), leave Ctrl-C to the parent, dump no core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def silence_libraries() -> None:
    """Discard what C libraries write to standard error, such as libtiff about damaged files."""
    ours = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  (only its descriptor is needed)
        os.dup2(nowhere.fileno(), 2)
    sys.stderr = open(ours, "w", buffering=1)  # noqa: PTH123, SIM115


def serve(pipe: Connection, *, decode: Decode, limits: ImageLimits, seconds: float) -> None:
    """Answer requests until the other end closes the pipe.

    A request is `{"target": [height, width], "path": …}`, or without a path followed by the
    bytes; a target that is one number is the longest side allowed. With `"box": […]` only that
    region is decoded. An answer is `{"digest": …, "size": [height, width]}` followed by the RGB
    pixels, or `{"error": class, "message": …}`. With `"paths": […]` it is a list of these, followed
    by the pixels of all images, one after the other. The kernel kills the process when an image
    takes longer than `seconds`, because the parent may have been killed itself.
    """
    pipe.send_bytes(READY)
    while True:
        request = json.loads(pipe.recv_bytes())
        sent = None if "path" in request or "paths" in request else pipe.recv_bytes()
        answers = []
        for path in request.get("paths", [request.get("path")]):
            signal.setitimer(signal.ITIMER_REAL, seconds)
            answers.append(_answer({**request, "path": path}, sent, decode, limits))
        if "paths" in request:
            _send(pipe, [header for header, _ in answers])
            for _, pixels in answers:
                _write(pipe, pixels)
        else:
            ((header, pixels),) = answers
            _send(pipe, header)
            if pixels:
                pipe.send_bytes(pixels)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(
    request: Mapping[str, Any], sent: bytes | None, decode: Decode, limits: ImageLimits
) -> tuple[dict[str, Any], bytes]:
    """Return what is said of one image, and its pixels."""
    try:
        data = read_file(Path(request["path"]), limits=limits) if sent is None else sent
        if "box" in request:
            image = _decode_box(request, data, limits)
        else:
            size = _size_of(request["target"], data, limits)
            image = decode(data, limits=limits, target=size)
        pixels = image.tobytes()
    except ImageError as error:
        return {"error": type(error).__name__, "message": error.message}, b""
    except MemoryError:
        return {"error": ImageTooLarge.__name__, "message": "it needs too much memory"}, b""
    digest = hashlib.sha256(data).hexdigest()
    return {"digest": digest, "size": [image.height, image.width]}, pixels


def _size_of(target: list[int] | int, data: bytes, limits: ImageLimits) -> Size:
    """Return the (height, width) that a request asks for."""
    if not isinstance(target, int):
        return target[0], target[1]
    info = inspect(data, limits=limits)
    return size_within(target, info.height, info.width)


def _decode_box(request: Mapping[str, Any], data: bytes, limits: ImageLimits) -> Image:
    size = request["target"]
    target = size if isinstance(size, int) else (size[0], size[1])
    return decode_region(data, limits=limits, box=Box(*request["box"]), target=target)


def _send(pipe: Connection, header: dict[str, Any] | list[dict[str, Any]]) -> None:
    pipe.send_bytes(json.dumps(header).encode())


def _write(pipe: Connection, pixels: bytes) -> None:
    """Write pixels as they are: whoever reads them knows how many there are."""
    rest = memoryview(pixels)
    while rest:
        rest = rest[os.write(pipe.fileno(), rest) :]


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)  # at once: there is nothing to clean up, and the parent may be waiting
