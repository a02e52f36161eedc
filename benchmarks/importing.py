"""Imported rows a second, as a share of writing the same rows by one bare `executemany`.

    python benchmarks/importing.py [--rows 4000] [--repeats 3]
    PYTHONPATH=/path/to/another/release python benchmarks/importing.py   # its code, in turns

All figures are of this process' CPU time, so other work on the machine changes them less. The rows
are those of a `styles.csv` with small images beside it, imported into a new SQLite file: once,
again unchanged, and again with another colour in each row. `--no-images` leaves out the images,
which the first import reads and hashes. Bare: the finished rows, written to a table of the same
columns through SQLAlchemy Core, in one transaction, with nothing read, checked or compared.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import create_engine, insert, select

from backend.bootstrap import Services, build
from backend.catalogue.import_run import import_catalogue
from backend.database.models import Product
from backend.settings import read_settings

COLUMNS = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage"
ROW = "Women,Apparel,Topwear,Tops,Red,Fall,2012,Casual"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-images", action="store_true")
    options = parser.parse_args()
    rates: list[list[float]] = []
    with tempfile.TemporaryDirectory(prefix="importing-") as name:
        for repeat in range(options.repeats):
            shop, folder = Path(name) / f"shop-{repeat}", Path(name) / f"data-{repeat}"
            catalogue = write_catalogue(shop, options.rows, images=not options.no_images)
            services = build(read_settings(data_dir=folder, embedder="mean-colour"))
            try:
                rates.append(rates_of(services, catalogue, options.rows))
            finally:
                services.close()
    *found, bare = (statistics.median(one) for one in zip(*rates, strict=True))
    for what, each in zip(("first", "unchanged", "changed"), found, strict=True):
        print(f"{what:<10}{each:8.0f} rows per second of CPU, {each / bare:.2f} of bare")
    print(f"{'bare':<10}{bare:8.0f} rows per second of CPU")


def rates_of(services: Services, catalogue: Path, rows: int) -> list[float]:
    """Import three times; return the rates: first, unchanged, changed, and bare."""
    services.first_generation()
    first = rate(lambda: imported(services, catalogue), rows)
    again = rate(lambda: imported(services, catalogue), rows)
    table = catalogue / "styles.csv"
    table.write_text(table.read_text().replace(",Red,", ",Blue,"))
    changed = rate(lambda: imported(services, catalogue), rows)
    return [first, again, changed, bare_rate(services, catalogue / "bare.sqlite")]


def write_catalogue(folder: Path, rows: int, *, images: bool) -> Path:
    (folder / "images").mkdir(parents=True)
    lines = [f"{COLUMNS},productDisplayName"]
    for number in range(rows):
        if images:
            (folder / "images" / f"{number}.jpg").write_bytes(b"x" * 2000 + str(number).encode())
        lines.append(f"{number},{ROW},A product's name of usual length {number}")
    (folder / "styles.csv").write_text("\n".join(lines) + "\n")
    return folder


def imported(services: Services, catalogue: Path) -> None:
    import_catalogue(services.db, services.image_store, catalogue)


def bare_rate(services: Services, file: Path) -> float:
    table = Product.__table__
    with services.db.read() as session:
        rows = [dict(row._mapping) for row in session.execute(select(table))]
    engine = create_engine(f"sqlite:///{file}")
    table.create(engine)

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(insert(table), rows)

    found = rate(write, len(rows))
    engine.dispose()
    return found


def rate(work: Callable[[], object], rows: int) -> float:
    began = time.process_time()
    work()
    return rows / (time.process_time() - began)


if __name__ == "__main__":
    main()
