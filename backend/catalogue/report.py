"""What an import did: counts, and a remark for each line with a fault."""

from __future__ import annotations

import io
import json
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Final

from backend.catalogue.sources.feed import Remark

KEPT_IN_MEMORY: Final = 1_000_000  # bytes of remarks; more go to a temporary file


class Remarks:
    """Any number of remarks in little memory; can be iterated more than once."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed with the object
            max_size=KEPT_IN_MEMORY, mode="w+", encoding="utf-8"
        )
        self._count = 0
        weakref.finalize(self, self._file.close)

    def add(self, line: int, sku: str | None, reason: str) -> None:
        """Note what was wrong in a line of the file."""
        self._file.seek(0, io.SEEK_END)
        self._file.write(json.dumps({"line": line, "sku": sku, "reason": reason}) + "\n")
        self._count += 1

    def first(self, count: int) -> list[Remark]:
        """Return the first few."""
        return list(islice(self, count))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Remark]:
        self._file.seek(0)
        for text in self._file:
            yield Remark(**json.loads(text))


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The result of an import: how many products, and which lines were rejected or corrected."""

    added: int
    changed: int
    unchanged: int
    removed: int
    rejects: Remarks
    warnings: Remarks  # of rows that were taken, with something left out or corrected

    @property
    def rejected(self) -> int:
        """How many lines gave no product."""
        return len(self.rejects)

    def counts(self) -> dict[str, int]:
        """Return the five numbers by name."""
        names = ("added", "changed", "unchanged", "removed", "rejected")
        return {name: getattr(self, name) for name in names}

    def write_report(self, path: Path) -> None:
        """Write the counts, all rejects and all warnings to a JSON file."""
        with path.open("w", encoding="utf-8") as file:
            file.write(json.dumps(self.counts())[:-1])
            for name, remarks in (("rejects", self.rejects), ("warnings", self.warnings)):
                file.write(f', "{name}": [')
                _write_list(file, remarks)
                file.write("]")
            file.write("}\n")


def _write_list(file: IO[str], remarks: Remarks) -> None:
    separator = "\n"
    for remark in remarks:
        file.write(separator + json.dumps(asdict(remark), ensure_ascii=False))
        separator = ",\n"
