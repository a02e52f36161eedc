"""Imported rows a second, as a share of writing the same rows by one bare `executemany`.

    python benchmarks/importing.py [--rows 4000] [--repeats 3]
    PYTHONPATH=/path/to/another/release python benchmarks/importing.py   # its code, in turns

All figures are of this process' CPU time, so other work on the machine changes them less. The rows
are those of a `styles.csv` with small images beside it, imported into a new SQLite file: once, and
again unchanged. Bare: the finished rows, written to a table of the same columns through SQLAlchemy
Core, in one transaction, with nothing read, checked or compared.
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
    options = parser.parse_args()
    rates: list[tuple[float, float, float]] = []
    with tempfile.TemporaryDirectory(prefix="importing-") as name:
        catalogue = write_catalogue(Path(name) / "shop", options.rows)
        for repeat in range(options.repeats):
            folder = Path(name) / f"data-{repeat}"
            services = build(read_settings(data_dir=folder, embedder="mean-colour"))
            try:
                services.first_generation()
                first = rate(lambda s=services: imported(s, catalogue), options.rows)
                again = rate(lambda s=services: imported(s, catalogue), options.rows)
                rates.append((first, again, bare_rate(services, folder / "bare.sqlite")))
            finally:
                services.close()
    first, again, bare = (statistics.median(one) for one in zip(*rates, strict=True))
    print(f"rows per second of CPU: first {first:.0f}, unchanged {again:.0f}, bare {bare:.0f}")
    print(f"as a share of bare: first {first / bare:.2f}, unchanged {again / bare:.2f}")


def write_catalogue(folder: Path, rows: int) -> Path:
    (folder / "images").mkdir(parents=True)
    lines = [f"{COLUMNS},productDisplayName"]
    for number in range(rows):
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
