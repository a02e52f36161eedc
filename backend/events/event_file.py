"""Events of a file: CSV (also gzipped), JSON lines or Parquet, with the shop's own names.

A row gives an event, or a reject with its reason; the file is read once, and never held whole.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from pydantic import TypeAdapter, ValidationError

from backend.errors import ConfigurationError, UnreadableCatalogue
from backend.events.kinds import Kind
from backend.events.record import MOST_TEXT, NewEvent

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "kind": ("kind", "event", "event_type", "type", "action"),
    "sku": ("sku", "item_id", "product_id", "article_id", "itemid", "productid", "item"),
    "user": ("user", "user_id", "customer_id", "visitorid", "userid", "customer", "shopper"),
    "session": ("session", "session_id", "user_session", "sessionid", "visit"),
    "at": ("at", "timestamp", "event_time", "time", "date", "t_dat", "datetime"),
    "basket": ("basket", "order_id", "transaction_id", "transactionid", "order", "cart_id"),
    "id": ("id", "event_id", "eventid"),
    "recommendation": ("recommendation_id", "recommendation"),
}
"""Our member -> names of columns that are recognised; `--map` names others."""

KINDS: Final[Mapping[str, Kind]] = {
    **{kind.value: kind for kind in Kind},
    **dict.fromkeys(("viewed", "pageview", "page_view", "detail", "view_item"), Kind.VIEW),
    **dict.fromkeys(("clicked", "select_item"), Kind.CLICK),
    **dict.fromkeys(("addtocart", "add_to_cart", "add", "carted"), Kind.CART),
    **dict.fromkeys(("transaction", "buy", "bought", "order", "purchased"), Kind.PURCHASE),
    **dict.fromkeys(("refund", "returned"), Kind.RETURN),
    **dict.fromkeys(("favorite", "favourite", "wishlist", "add_to_wishlist"), Kind.LIKE),
    **dict.fromkeys(("impressions", "shown"), Kind.IMPRESSION),
}
MILLISECONDS: Final = 100_000_000_000
"""A number of this size or more is a time in milliseconds since 1970, a smaller one in seconds."""

PARQUET_ROWS: Final = 10_000
_TIME: Final = TypeAdapter(datetime)


@dataclass(frozen=True)
class RejectedRow:
    """A row that gives no event, and why."""

    line: int
    reason: str


class EventFile:
    """A file of events. Columns are found by their names, or by `columns` {our member: theirs}.

    `kind` is what all rows are where no column tells. Raises ConfigurationError for a mapping that
    cannot be, UnreadableCatalogue for a file that cannot be read or lacks the product's column.
    """

    def __init__(
        self, path: Path, *, columns: Mapping[str, str] | None = None, kind: Kind | None = None
    ) -> None:
        self._path, self._kind = path, kind
        self._mapped = dict(columns or {})
        if unknown := set(self._mapped) - set(NAMES):
            raise ConfigurationError(
                f"--map: there is no member {', '.join(sorted(unknown))}; there are "
                f"{', '.join(NAMES)}"
            )

    def read(self) -> Iterator[NewEvent | RejectedRow]:
        """Yield each row's event, or why there is none."""
        columns: dict[str, str] | None = None
        for line, row in self._rows():
            if isinstance(row, str):
                yield RejectedRow(line, row)
                continue
            if columns is None or not columns.keys() >= {"sku"}:
                columns = self._columns(list(row))
            try:
                yield self._event(row, columns)
            except ValueError as error:
                yield RejectedRow(line, str(error))

    def _columns(self, names: list[str]) -> dict[str, str]:
        plain = {name.strip().lower().replace(" ", "_"): name for name in names if name}
        found = dict(self._mapped)
        for member, known in NAMES.items():
            if member not in found and (name := next((it for it in known if it in plain), None)):
                found[member] = plain[name]
        missing = [name for name in self._mapped.values() if name not in names]
        if missing or "sku" not in found or ("kind" not in found and self._kind is None):
            lacks = ", ".join(missing) or ("the product" if "sku" not in found else "the kind")
            raise UnreadableCatalogue(
                f"{self._path.name}: no column for {lacks}; there are {', '.join(names)[:500]}. "
                "Name it with --map member=column, or give all rows one --kind"
            )
        return found

    def _event(self, row: Mapping[str, Any], columns: Mapping[str, str]) -> NewEvent:
        texts = {member: _text(row.get(name)) for member, name in columns.items()}
        if not texts["sku"]:
            raise ValueError("it names no product")
        kind = self._kind
        if word := texts.get("kind"):
            kind = KINDS.get(word.lower().replace(" ", "_").replace("-", "_"))
        if kind is None:
            raise ValueError(f"kind: {word!r} is none of {', '.join(Kind)}")
        for member, text in texts.items():
            if text and len(text) > MOST_TEXT:
                raise ValueError(f"{member}: it is longer than {MOST_TEXT} characters")
        return NewEvent(
            kind=kind,
            sku=texts["sku"],
            id=texts.get("id"),
            user=texts.get("user"),
            session=texts.get("session"),
            at=_time(row[columns["at"]]) if texts.get("at") else None,
            basket=texts.get("basket"),
            recommendation=texts.get("recommendation"),
        )

    def _rows(self) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
        """Yield (line, row), or (line, why it cannot be read)."""
        try:
            with self._path.open("rb") as stream:
                head = stream.read(4)
            if head.startswith(b"PAR1"):
                yield from self._parquet_rows()
                return
            opener: Any = gzip.open if head.startswith(b"\x1f\x8b") else open
            with opener(self._path, "rt", encoding="utf-8-sig", errors="replace") as text:
                yield from _text_rows(text)
        except (OSError, EOFError) as error:
            raise UnreadableCatalogue(f"{self._path.name}: {error}") from None

    def _parquet_rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        try:
            import pyarrow.parquet as pq  # noqa: PLC0415  (an extra)
        except ImportError:
            raise ConfigurationError(
                "Parquet needs the package pyarrow: pip install 'lookalike[parquet]'"
            ) from None
        line = 0
        with pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                for row in batch.to_pylist():
                    line += 1
                    yield line, row


def _text_rows(text: IO[str]) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    first = text.readline()
    if first.lstrip().startswith("{"):
        yield 1, _json_row(first)
        for line, following in enumerate(text, start=2):
            if following.strip():
                yield line, _json_row(following)
        return
    delimiter = max(",;\t|", key=first.count)
    names = next(csv.reader([first], delimiter=delimiter), [])
    reader = csv.reader(text, delimiter=delimiter)
    for values in reader:
        line = reader.line_num + 1
        if len(values) == len(names):
            yield line, dict(zip(names, values, strict=True))
        elif values:
            yield line, f"it has {len(values)} values, the header {len(names)}"


def _json_row(text: str) -> Mapping[str, Any] | str:
    try:
        found = json.loads(text)
    except ValueError as error:
        return f"it is not JSON: {error}"
    return found if isinstance(found, dict) else "it is not a JSON object"


def _text(value: Any) -> str | None:
    """Return a value as text, None for an empty one; 12.0 of a table of numbers is 12."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def _time(value: Any) -> datetime:
    """Return a time; a number counts from 1970, and a time without a zone is in UTC."""
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        number = None
    try:
        if number is not None and not (isinstance(value, str) and len(text) == 8):
            return datetime.fromtimestamp(
                number / 1000 if number >= MILLISECONDS else number, tz=UTC
            )
        found = _TIME.validate_python(value if isinstance(value, datetime) else text)
    except (ValidationError, OverflowError, OSError, ValueError):
        raise ValueError(f"at: {text[:50]!r} is no time") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
