"""What an import did: counts, and a remark for each line with a fault."""

from __future__ import annotations

import io
import json
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from backend.catalogue.sources.feed import Remark, WarningKind

KEPT_IN_MEMORY: Final = 1_000_000  # bytes of remarks; more go to a temporary file


EXAMPLES: Final = 3
"""The first warnings of a kind that are shown as its examples."""


def shown(text: str) -> str:
    """Return a text of a feed as every file can hold it: half a surrogate pair as an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


@dataclass(kw_only=True)
class KindOfWarnings:
    """How many warnings of one kind there are, and the first of them."""

    count: int
    first: list[Remark]


class Remarks:
    """Any number of remarks in little memory; can be iterated more than once."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed with the object
            max_size=KEPT_IN_MEMORY, mode="w+", encoding="utf-8"
        )
        self._count = 0
        self._by_kind: dict[WarningKind, KindOfWarnings] = {}
        weakref.finalize(self, self._file.close)

    def add(
        self,
        line: int,
        sku: str | None,
        reason: str,
        kind: WarningKind | None = None,
        *,
        is_of_file: bool = False,
    ) -> None:
        """Note what was wrong in a line of the file, or in all of it."""
        sku, reason = sku and shown(sku), shown(reason)
        self._file.seek(0, io.SEEK_END)
        self._file.write(json.dumps([line, sku, reason, kind, is_of_file]) + "\n")
        self._count += 1
        if kind is not None:
            first = self._by_kind.setdefault(kind, KindOfWarnings(count=0, first=[]))
            first.count += 1
            if len(first.first) < EXAMPLES:
                first.first.append(Remark(line, sku, reason, kind, is_of_file))

    def by_kind(self) -> dict[WarningKind, KindOfWarnings]:
        """Return how many warnings there are of each kind, the most frequent first."""
        return dict(sorted(self._by_kind.items(), key=lambda item: -item[1].count))

    def first(self, count: int) -> list[Remark]:
        """Return the first few."""
        return list(islice(self, count))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Remark]:
        self._file.seek(0)
        for text in self._file:
            line, sku, reason, kind, is_of_file = json.loads(text)
            yield Remark(line, sku, reason, WarningKind(kind) if kind else None, is_of_file)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The result of an import: how many products, and which lines were rejected or corrected."""

    read_as: str  # what the feed is
    added: int
    changed: int
    unchanged: int
    removed: int
    rejects: Remarks
    warnings: Remarks  # of rows that were taken, with something left out or corrected
    ended_early: str | None = None  # why something of the feed is surely missing
    not_pruned: str | None = None  # why nothing was removed although it was asked for

    @property
    def rejected(self) -> int:
        """How many lines gave no product."""
        return len(self.rejects)

    def counts(self) -> dict[str, int]:
        """Return the five numbers by name."""
        names = ("added", "changed", "unchanged", "removed", "rejected")
        return {name: getattr(self, name) for name in names}

    def warnings_by_kind(self) -> dict[str, dict[str, Any]]:
        """Return the number of warnings of each kind, and the first of them, as JSON."""
        return {
            kind.value: {"count": it.count, "first": [as_json(remark) for remark in it.first]}
            for kind, it in self.warnings.by_kind().items()
        }

    def write_report(self, path: Path) -> None:
        """Write the counts, all rejects and all warnings to a JSON file, and make its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            counts = {
                **self.counts(),
                "not_pruned": self.not_pruned,
                "warnings_by_kind": self.warnings_by_kind(),
            }
            file.write(json.dumps(counts, ensure_ascii=False)[:-1])
            for name, remarks in (("rejects", self.rejects), ("warnings", self.warnings)):
                file.write(f', "{name}": [')
                _write_list(file, remarks)
                file.write("]")
            file.write("}\n")


def as_json(remark: Remark) -> dict[str, Any]:
    """Return a remark as JSON; only a warning has a kind."""
    found = {"line": remark.line, "sku": remark.sku, "reason": remark.reason}
    return found if remark.kind is None else found | {"kind": remark.kind.value}


def _write_list(file: IO[str], remarks: Remarks) -> None:
    separator = "\n"
    for remark in remarks:
        file.write(separator + json.dumps(as_json(remark), ensure_ascii=False))
        separator = ",\n"
