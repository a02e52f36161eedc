"""Lines of JSON -> products: each line is stored as by a PUT, or rejected with its number."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from backend import queue
from backend.catalogue import products, skus
from backend.catalogue.allowed_images import check_addresses
from backend.catalogue.drafts import Draft, parse
from backend.catalogue.products import Outcome
from backend.database.engine import Database
from backend.errors import InvalidProduct

CHUNK: Final = 500
LONGEST: Final = 1 << 20
"""Bytes of a line."""

SHOWN: Final = 1_000
"""Rejects that a report lists; it counts all of them."""

READ_ONLY: Final = ("state", "reason", "image_url")
"""Members of a product as it is read, which may be sent back and are not stored."""

Numbered = tuple[int, Draft]


@dataclass
class LinesReport:
    """What became of the lines so far."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    rejected: int = 0

    def reject(self, line: int, sku: object, reason: str) -> None:
        """Count a line that gives no product, and list it if it is among the first."""
        self.rejected += 1
        if len(self.rejects) < SHOWN:
            shown = sku if isinstance(sku, str) else None
            self.rejects.append({"line": line, "sku": shown, "reason": reason[:500]})

    def as_json(self) -> dict[str, Any]:
        """Return counts, and the first rejects in the order of their lines."""
        taken = (Outcome.ADDED, Outcome.CHANGED, Outcome.UNCHANGED)
        counts = {outcome.value: self.outcomes[outcome] for outcome in taken}
        rejects = sorted(self.rejects, key=lambda it: int(it["line"]))
        return {"counts": {**counts, "rejected": self.rejected}, "rejects": rejects}


def import_lines(
    db: Database,
    lines: Iterable[bytes],
    *,
    hosts: Collection[str],
    step: Callable[[int], None],
) -> LinesReport:
    """Store the products of some lines, chunk by chunk; of several with one sku the last counts.

    Images may lie on `hosts`. `step` takes the number of lines done, after each chunk, and may
    raise to end the import. To repeat it changes nothing.
    """
    report, numbered = LinesReport(), enumerate(lines, 1)
    done = 0
    while chunk := list(islice(numbered, CHUNK)):
        drafts = [it for line, text in chunk if (it := _read(line, text, report)) is not None]
        _save(db, drafts, hosts, report)
        done += len(chunk)
        step(done)
    return report


def _read(line: int, text: bytes, report: LinesReport) -> Numbered | None:
    """Return the draft of a line; None for an empty one, and one that is rejected."""
    item: Any = None
    try:
        if not text.strip():
            return None
        item = _parse(text)
        draft = parse({name: it for name, it in item.items() if name not in READ_ONLY})
        if any(image.upload for image in draft.images or ()):
            raise ValueError("images: lines name images by address; PUT …/image takes the file")
    except InvalidProduct as error:
        report.reject(line, item.get("sku"), error.message)
        return None
    except (ValueError, RecursionError) as error:
        report.reject(line, item.get("sku") if isinstance(item, Mapping) else None, str(error))
        return None
    return line, draft


def _parse(text: bytes) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise ValueError(f"the line has more than {LONGEST:,} bytes")
    try:
        item = json.loads(text.removeprefix(BOM_UTF8).decode())
    except UnicodeDecodeError:
        raise ValueError("the line is not UTF-8") from None
    except ValueError as error:
        raise ValueError(f"the line is not JSON: {error}") from None
    if not isinstance(item, dict):
        raise ValueError("must be a JSON object")
    if not isinstance(item.get("sku"), str):
        raise ValueError(f"sku: {skus.RULE}")
    return item


def _save(
    db: Database, drafts: Sequence[Numbered], hosts: Collection[str], report: LinesReport
) -> None:
    """Save a chunk in one transaction, and note what became of its lines."""
    last = {draft.sku: line for line, draft in drafts}
    for line, draft in drafts:
        if last[draft.sku] != line:
            report.reject(line, draft.sku, f"line {last[draft.sku]} has the same sku")
    latest = [(line, draft) for line, draft in drafts if last[draft.sku] == line]
    with db.read() as session:
        stored = products.image_uris(session, list(last))
    good = []
    for line, draft in latest:
        try:
            check_addresses(draft, stored[draft.sku], hosts)
        except InvalidProduct as error:
            report.reject(line, draft.sku, error.message)
        else:
            good.append((line, draft))
    found = [draft for _, draft in good]
    saved = db.write(lambda session: products.save(session, found, priority=queue.IMPORT))
    report.outcomes.update(saved.outcomes)
    for position, reason in saved.reasons.items():
        report.reject(good[position][0], good[position][1].sku, reason)
