"""Imported rows a second, as a share of writing the same rows by one bare `executemany`.

    python benchmarks/importing.py [--rows 4000] [--repeats 3] [--prices] [--postgresql]
    python benchmarks/importing.py --catalogue /path/to/fashion-products-small
    PYTHONPATH=/path/to/another/release python benchmarks/importing.py   # its code, in turns

All figures are of this process' CPU time, so other work on the machine changes them less. The rows
are those of a `styles.csv` with small images beside it, imported into a new SQLite file: once,
again unchanged, again with another colour in each hundredth row, and then in each row; of a real
catalogue only red and blue rows change. With `--prices` the rows have a price, too, and it changes
in place of the colour. `--no-images` leaves out the images, which the first import reads and
hashes. Bare: the finished rows, written to a table of the same columns through SQLAlchemy Core, in
one transaction, with nothing read, checked or compared. `--postgresql` starts a server, whose own
processor time is printed beside ours.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine, insert, select, text

from backend.bootstrap import Services, build
from backend.catalogue.import_run import import_catalogue
from backend.database.models import Product
from backend.settings import read_settings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.servers import empty_database, migrated, postgres_server

COLUMNS: Final = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage"
ROW: Final = "Women,Apparel,Topwear,Tops,Red,Fall,2012,Casual"
IMPORTS: Final = ("first", "unchanged", "1% changed", "changed", "bare")
TICK: Final = 1 / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-images", action="store_true")
    parser.add_argument("--prices", action="store_true")
    parser.add_argument("--catalogue", type=Path, help="a folder with styles.csv and images")
    parser.add_argument("--postgresql", action="store_true")
    options = parser.parse_args()
    rounds: list[list[tuple[float, float]]] = []
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="importing-"))
        server = stack.enter_context(postgres_server()) if options.postgresql else None
        for repeat in range(options.repeats):
            shop, folder = Path(name) / f"shop-{repeat}", Path(name) / f"data-{repeat}"
            if options.catalogue:
                options.rows = link_catalogue(shop, options.catalogue)
            else:
                images, prices = not options.no_images, options.prices
                write_catalogue(shop, options.rows, images=images, prices=prices)
            with services_of(folder, server) as services:
                rounds.append(times_of(services, shop))
    times = [statistics.median(one[0] for one in each) for each in zip(*rounds, strict=True)]
    served = [statistics.median(one[1] for one in each) for each in zip(*rounds, strict=True)]
    for what, ours, servers in zip(IMPORTS, times, served, strict=True):
        line = f"{what:<11}{options.rows / ours:8.0f} rows per second of CPU"
        line += f", {times[-1] / ours:.2f} of bare"
        if server:
            line += f"; {(times[-1] + served[-1]) / (ours + servers):.2f} with the server's CPU"
        print(line)


@contextmanager
def services_of(folder: Path, server: str | None) -> Iterator[Services]:
    """Build an installation on a new SQLite file, or on a new database of a server."""
    with ExitStack() as stack:
        urls = {}
        if server:
            urls = {"database_url": migrated(stack.enter_context(empty_database(server)))}
        services = build(read_settings(data_dir=folder, embedder="mean-colour", **urls))
        stack.callback(services.close)
        services.first_generation()
        yield services


def times_of(services: Services, shop: Path) -> list[tuple[float, float]]:
    """Import four times and write once bare; return the seconds of our CPU and the server's."""
    found = []
    for change in (None, None, r"^\d*00,.*$", r"^\d+,.*$"):
        if change:
            change_rows(shop / "styles.csv", change)
        found.append(seconds(services, lambda: imported(services, shop)))
    return [*found, seconds(services, bare(services))]


def change_rows(table: Path, which: str) -> None:
    """Give another price, or without prices another colour, to the rows that match."""
    rows = table.read_text()
    values = ("19.90", "18.50", "17.90") if ",19.90," in rows else ("Red", "Blue", "Green")
    later = dict(pairwise(values))
    word = re.compile("|".join(later))

    def changed(row: re.Match[str]) -> str:
        return word.sub(lambda found: later[found[0]], row[0])

    table.write_text(re.sub(which, changed, rows, flags=re.MULTILINE))


def write_catalogue(folder: Path, rows: int, *, images: bool, prices: bool) -> None:
    (folder / "images").mkdir(parents=True)
    lines = [f"{COLUMNS}{',price' * prices},productDisplayName"]
    row = f"{ROW}{',19.90' * prices}"
    for number in range(rows):
        if images:
            (folder / "images" / f"{number}.jpg").write_bytes(b"x" * 2000 + str(number).encode())
        lines.append(f"{number},{row},A product's name of usual length {number}")
    (folder / "styles.csv").write_text("\n".join(lines) + "\n")


def link_catalogue(folder: Path, catalogue: Path) -> int:
    """Copy a catalogue's table, which changes, and link its images; return its rows."""
    folder.mkdir()
    table = Path(shutil.copy(catalogue / "styles.csv", folder))
    (folder / "images").symlink_to((catalogue / "images").resolve())
    return len(table.read_text().splitlines()) - 1


def imported(services: Services, catalogue: Path) -> None:
    import_catalogue(services.db, services.image_store, catalogue)


def bare(services: Services) -> Callable[[], None]:
    """Return what writes the finished rows to a new table."""
    products = Product.__table__
    with services.db.read() as session:
        rows = [dict(row._mapping) for row in session.execute(select(products))]
    if services.db.is_sqlite:
        engine = create_engine(f"sqlite:///{services.settings.data_dir / 'bare.sqlite'}")
        products.create(engine)
    else:
        engine = services.db.engine
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE products CASCADE"))

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(insert(products), rows)

    return write


def seconds(services: Services, work: Callable[[], object]) -> tuple[float, float]:
    """Return the processor time of this process, and of the database's server, if there is one."""
    served, began = server_seconds(services), time.process_time()
    work()
    return time.process_time() - began, server_seconds(services) - served


def server_seconds(services: Services) -> float:
    if services.db.is_sqlite:
        return 0
    with services.db.read() as session:
        folder = session.scalar(text("SHOW data_directory"))
    master = Path(f"{folder}/postmaster.pid").read_text().splitlines()[0]
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, parent, *fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if parent == master:
            ticks += int(fields[9]) + int(fields[10])
    return ticks * TICK


if __name__ == "__main__":
    main()
