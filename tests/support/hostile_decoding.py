"""What decoder processes of the tests run instead of `images.decode`: it does as the bytes say."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psutil
from PIL import Image

from backend import images
from backend.errors import NotAnImage
from backend.images.decode import Size
from backend.images.limits import ImageLimits


def decode(data: bytes, *, limits: ImageLimits, target: Size) -> Image.Image:
    """Obey an order in place of an image; decode an image."""
    order, _, argument = data.partition(b" ")
    if order == b"DIE":
        os.kill(os.getpid(), signal.SIGSEGV)
    if order == b"DIE-ONCE" and not (mark := Path(os.fsdecode(argument))).exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if order == b"KILL":
        _die_so_often(argument)
    if order == b"WAIT":
        _wait_for(Path(os.fsdecode(argument)))
    if order == b"RAISE":
        raise ZeroDivisionError("a defect of the decoder")
    if order == b"SLEEP":
        time.sleep(float(argument))
    if order == b"MARK":
        time.sleep(0.1)
        Path(os.fsdecode(argument)).touch()
    if order == b"TELL":
        raise NotAnImage(repr((os.getpid(), sorted(sys.modules), dict(os.environ))))
    if order in (b"DIE-ONCE", b"KILL", b"WAIT", b"SLEEP", b"MARK"):
        height, width = target
        return Image.new("RGB", (width, height))
    return images.decode(data, limits=limits, target=target)


def missing(data: bytes, *, limits: ImageLimits, target: Size) -> Image.Image:
    """What a decoder process cannot import, so that it ends while it starts."""
    raise NotImplementedError


missing.__module__ = "no_such_module"


def _die_so_often(argument: bytes) -> None:
    """Be killed the first few times; leave a line with the number of decoders each time."""
    times, _, path = argument.partition(b" ")
    with Path(os.fsdecode(path)).open("a+", encoding="ascii") as log:
        log.write(f"{len(psutil.Process(os.getppid()).children())}\n")
        log.flush()
        log.seek(0)
        tries = len(log.readlines())
    if tries <= int(times):
        os.kill(os.getpid(), signal.SIGKILL)


def _wait_for(gate: Path) -> None:
    """Wait until a file is there; the pool's time limit ends that otherwise."""
    while not gate.exists():
        time.sleep(0.01)
