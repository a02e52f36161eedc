"""What several image links a product cost an import: rows a second and peak memory, as ratios.

    PYTHONPATH=. python benchmarks/image_links.py [--rows 100000] [--links 4]

A feed of Google's columns is written with one link a product and with several. Each is imported
into an empty SQLite database by a process of its own, then again, when nothing may change. The
order is turned in each repeat; figures are medians. No image is fetched.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

KEYS = ("rows_per_second", "again_per_second", "megabytes")


def write_feed(path: Path, rows: int, links: int) -> None:
    columns = "id\ttitle\tlink\timage_link\tadditional_image_link\tavailability\tprice\tcolor"
    with path.open("w", encoding="utf-8") as file:
        file.write(columns + "\n")
        for row in range(rows):
            images = [f"https://images.example/{row}/{each}.jpg" for each in range(links)]
            cells = (f"p{row}", f"Product {row}", f"https://shop.example/{row}", images[0])
            more, price = ",".join(images[1:]), f"{row % 90}.90 EUR"
            file.write("\t".join((*cells, more, "in_stock", price, "Red")) + "\n")


def import_twice(feed: Path, folder: Path) -> None:
    """Run in a process of its own, because the peak of its memory is measured."""
    from backend.catalogue.import_run import import_catalogue  # noqa: PLC0415
    from backend.database.engine import Database  # noqa: PLC0415
    from backend.database.migrate import migrate  # noqa: PLC0415
    from backend.images.store import ImageStore  # noqa: PLC0415

    url = f"sqlite:///{folder / 'shop.db'}"
    db, store = Database(url), ImageStore(f"file://{folder / 'images'}")
    migrate(db)
    seconds, counts = [], []
    for _ in range(2):
        begun = time.perf_counter()
        counts.append(import_catalogue(db, store, feed).counts())
        seconds.append(time.perf_counter() - begun)
    rows = counts[0]["added"]
    assert counts[1]["unchanged"] == rows, counts
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(dict(zip(KEYS, (rows / seconds[0], rows / seconds[1], peak), strict=True))))


def measure(feed: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--feed", str(feed), "--folder", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(rows: int, links: int, repeats: int) -> None:
    kinds = (1, links)
    found: dict[int, list[dict[str, float]]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as folder:
        feeds = {kind: Path(folder) / f"{kind}.tsv" for kind in kinds}
        for kind, path in feeds.items():
            write_feed(path, rows, kind)
        for turn in range(repeats):
            for kind in kinds if turn % 2 == 0 else reversed(kinds):
                found[kind].append(measure(feeds[kind]))
    table = Table("", *(f"{kind} link(s)" for kind in kinds), "ratio", title=f"{rows:,} rows")
    for key in KEYS:
        one, several = (statistics.median(each[key] for each in found[kind]) for kind in kinds)
        table.add_row(
            key.replace("_", " "), f"{one:,.0f}", f"{several:,.0f}", f"{several / one:.2f}"
        )
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--links", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--feed", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.feed:
        import_twice(given.feed, given.folder)
    else:
        compare(given.rows, given.links, given.repeats)


if __name__ == "__main__":
    main()
