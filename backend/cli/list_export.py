"""The lists of all products in one file, written part by part so that a killed run goes on.

Beside the file lie a draft, JSON with a line for each product, and a state: how far the draft is
complete, and what it was asked for. What a killed run wrote beyond that is cut off by the next one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

from backend.errors import ConfigurationError, WouldOverwrite
from backend.files import move_into_place, replace_file

ROWS_AT_ONCE: Final = 5_000
"""Lists of one row group of Parquet."""


class Ask(Protocol):
    """Asks the API, as `api_client.ApiClient.ask` does."""

    def __call__(
        self,
        path: str,
        parameters: Sequence[tuple[str, str]] = (),
        *,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return what the API answers."""
        ...


@dataclass
class DraftState:
    """How far a draft is: `cursor` of the next products, and how many bytes are complete."""

    asked: dict[str, Any]  # what all lists are asked with
    cursor: str | None = None
    bytes: int = 0
    generation: int | None = None
    products: int = 0
    lists: int = 0
    without: dict[str, int] = field(default_factory=dict)  # code of the problem: products
    is_complete: bool = False


class ListExport:
    """One file of lists. `asked` are members of a batch, `products` the filter of the products."""

    def __init__(
        self,
        path: Path,
        *,
        asked: Mapping[str, Any],
        products: Sequence[tuple[str, str]] = (),
        at_once: int = 100,
    ) -> None:
        self.path = path
        self._asked = dict(asked)
        self._products = list(products)
        self._at_once = at_once
        self._draft = path.with_name(f".{path.name}.draft")
        self._state = path.with_name(f".{path.name}.state")
        self.progress = DraftState(asked=self._identity)

    @property
    def _identity(self) -> dict[str, Any]:
        return {"lists": self._asked, "products": [list(it) for it in self._products]}

    def resume(self) -> bool:
        """Go on with the draft of an earlier run; return whether there is one.

        Raises WouldOverwrite if that one was asked for something else.
        """
        try:
            known = DraftState(**json.loads(self._state.read_text()))
            written = self._draft.stat().st_size
        except FileNotFoundError:
            return False
        if written < known.bytes:
            return False
        if known.asked != self._identity:
            raise WouldOverwrite(
                f"{self._state} is of an unfinished export with other options: finish that one, or "
                "give --restart"
            )
        self.progress = known
        return True

    def restart(self) -> None:
        """Forget the draft of an earlier run."""
        self._state.unlink(missing_ok=True)
        self._draft.unlink(missing_ok=True)

    def parts(self, ask: Ask) -> Iterator[DraftState]:
        """Write the draft; yields after each part, when it is safe against a kill."""
        now = self.progress
        with self._draft.open("ab") as file:
            file.truncate(now.bytes)
            while not now.is_complete:
                for line in self._lists(ask):
                    file.write(line)
                file.flush()
                now.bytes = self._draft.stat().st_size
                replace_file(self._state, lambda it: it.write_text(json.dumps(asdict(now))))
                yield now

    def _lists(self, ask: Ask) -> Iterator[bytes]:
        """Yield the lines of the next products, and note how far they are."""
        now = self.progress
        options = [("limit", str(self._at_once)), ("fields", "sku"), *self._products]
        options += [("cursor", now.cursor)] if now.cursor else []
        page = ask("/v1/products", options)
        skus = [item["sku"] for item in page["items"]]
        if skus:
            pinned = {} if now.generation is None else {"generation": now.generation}
            answer = ask("/v1/similar:batch", body={"skus": skus, **self._asked, **pinned})
            now.generation = answer["generation"] or now.generation
            yield from self._lines(answer["items"])
        now.products += len(skus)
        now.cursor = page["next_cursor"]
        now.is_complete = now.cursor is None

    def _lines(self, items: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
        without = Counter(self.progress.without)
        for item in items:
            if item["status"] != 200:
                without[item["problem"]["code"]] += 1
                continue
            self.progress.lists += 1
            found = [{"sku": it["sku"], "score": round(it["score"], 6)} for it in item["items"]]
            line = {"sku": item["sku"], "items": found}
            yield json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        self.progress.without = dict(without)

    def finish(self) -> None:
        """Put the file in its place, as Parquet if that is its ending."""
        if self.path.suffix == ".parquet":
            replace_file(self.path, lambda draft: _write_parquet(self._draft, draft))
            self._draft.unlink()
        else:
            move_into_place(self._draft, self.path)
        self._state.unlink()


def check_format(path: Path) -> None:
    """Raise ConfigurationError for another ending, or if Parquet is not installed."""
    if path.suffix not in (".ndjson", ".jsonl", ".parquet"):
        raise ConfigurationError(f"{path}: the file must end in .ndjson, .jsonl or .parquet")
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401  (an extra)
        except ImportError:
            raise ConfigurationError(
                "Parquet needs the package pyarrow: pip install 'lookalike[parquet]'"
            ) from None


def _write_parquet(draft: Path, path: Path) -> None:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    item = pa.struct([("sku", pa.string()), ("score", pa.float32())])
    schema = pa.schema([("sku", pa.string()), ("items", pa.list_(item))])
    with draft.open("rb") as lines, ParquetWriter(path, schema) as writer:
        while rows := [json.loads(line) for line in islice(lines, ROWS_AT_ONCE)]:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
