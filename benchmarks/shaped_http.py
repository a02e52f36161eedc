"""What each option that shapes a list costs over HTTP, beside plain similar items.

    python benchmarks/drawn_shop.py catalogue.zip /tmp/shaped   # a minute, once
    python benchmarks/shaped_http.py /tmp/shaped --rounds 3

It copies the data folder that `drawn_shop.py` or `similar_http.py prepare` has made, puts a
placement and rules into the copy, and lets `wrk` ask the product's own server for each kind of list
in turn. The figures are medians over the rounds; the ratios are those to `plain` in the same round.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer
from similar_http import LOOKALIKE, Asked, Load, free_port, load, serving, some_skus

from backend.database.engine import Database
from backend.merchandising import placements, rules

PLACEMENT: Final = "benchmark"
RULES: Final[list[dict[str, Any]]] = [
    {"action": "hide", "filter": {"base_colour": ["Pink"]}},
    {"action": "boost", "filter": {"season": ["Summer"]}, "weight": 0.05},
    {"action": "bury", "filter": {"usage": ["Sports"]}, "weight": 0.05},
    {"action": "boost", "filter": {"gender": ["Women"]}, "condition": {"gender": ["Women"]}},
    {"action": "pin", "position": 3},
]
"""Rules of the placement; the last one gets a sku of the catalogue."""

KINDS: Final = {
    "plain": "",
    "plain, again": "",
    "group_by": "?group_by=group_id",
    "group_by, large groups": "?group_by=article_type",
    "diversity": "?diversity=0.4",
    "boost": "?boost=in_stock:0.1,year:0.05:2005:2020",
    "restrict": "?restrict=gender,master_category",
    "explain": "?explain=true",
    "placement with rules": f"?placement={PLACEMENT}",
    "everything": f"?placement={PLACEMENT}&group_by=group_id&diversity=0.4"
    "&boost=in_stock:0.1,year:0.05:2005:2020&restrict=gender,master_category&explain=true",
}

app = typer.Typer()


@dataclass(frozen=True)
class Ratio:
    """A figure of one kind of list as a multiple of that of plain lists in the same round."""

    p50: float
    p99: float
    processor: float


def put_rules(folder: Path, sku: str) -> None:
    """Store the placement and its rules."""
    db = Database(f"sqlite:///{folder / 'lookalike.sqlite'}")
    db.write(lambda session: placements.put(session, PLACEMENT, {"limit": 10}))
    for rule in RULES:
        pinned = {"skus": [sku]} if rule["action"] == "pin" else {}
        settings = {**rule, **pinned, "placement": PLACEMENT}
        db.write(lambda session, it=settings: rules.create(session, it, by=None))  # type: ignore[misc]
    db.engine.dispose()


def ratio(one: Load, plain: Load) -> Ratio:
    """Compare two loads of one round."""
    return Ratio(one.p50 / plain.p50, one.p99 / plain.p99, one.processor / plain.processor)


@app.command()
def main(
    folder: Path, rounds: int = 3, lasts: int = 3, connections: int = 8, only: str = ""
) -> None:
    """Measure all kinds of lists, or `plain` and those whose names contain `only`."""
    kinds = {name: tail for name, tail in KINDS.items() if name == "plain" or only in name}
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "data"
        shutil.copytree(folder / "ours", copy)
        skus, port = some_skus(copy), free_port()
        put_rules(copy, skus[0])
        serve = [str(LOOKALIKE), "serve", "--port", str(port)]
        with serving(serve, port, copy, LOOKALIKE_REQUIRE_KEYS="true") as process:
            asked = Asked(port, process, skus, (folder / "key").read_text())
            load(asked, "", connections=connections, lasts=max(lasts, 10))  # loads what is lazy
            measured = [
                {
                    name: load(asked, tail, connections=connections, lasts=lasts)
                    for name, tail in kinds.items()
                }
                for _ in range(rounds)
            ]
    for name in kinds:
        show(name, [(each[name], each["plain"]) for each in measured])


def show(name: str, pairs: list[tuple[Load, Load]]) -> None:
    """Print the line of a table."""
    ratios = [ratio(one, plain) for one, plain in pairs]
    p50, p99, processor = (
        statistics.median(getattr(it, field) for it in ratios)
        for field in ("p50", "p99", "processor")
    )
    loads = [one for one, _ in pairs]
    ms = statistics.median(it.processor for it in loads)
    slow, usual = (
        statistics.median(getattr(it, field) for it in loads) for field in ("p99", "p50")
    )
    print(
        f"{name:22} p50 {p50:5.2f} x ({usual:6.1f} ms)  p99 {p99:5.2f} x ({slow:6.1f} ms)"
        f"  processor {processor:5.2f} x ({ms:5.2f} ms)",
        flush=True,
    )


if __name__ == "__main__":
    app()
