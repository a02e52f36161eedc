"""Files of events: names and times as shops write them; each event once; bad rows named."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from typer.testing import Result

from backend.database.engine import Database
from backend.database.models import Event, Product
from backend.errors import ConfigurationError, UnreadableCatalogue
from backend.events.event_file import EventFile, RejectedRow
from backend.events.importing import EventReport, import_events
from backend.events.kinds import Kind
from backend.events.record import NewEvent

DAY = (datetime.now(UTC) - timedelta(days=3)).replace(microsecond=0)
SECONDS = int(DAY.timestamp())


def written(folder: Path, text: str, name: str = "events.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def run(db: Database, path: Path, **options: object) -> EventReport:
    return import_events(db, EventFile(path, **options).read(), days=365)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        f"timestamp,visitorid,event,itemid\n{SECONDS * 1000},7,view,0042\n",
        f"event_time;event_type;product_id;user_id\n{DAY:%Y-%m-%d %H:%M:%S}Z;view;0042;7\n",
        json.dumps({"type": "page-view", "sku": "0042", "user": 7, "at": SECONDS}) + "\n",
        f'\ufeffUser ID\tAction\tSKU\tTime\n7\tVIEWED\t0042\t"{DAY.isoformat()}"\n',
    ],
    ids=["retailrocket", "semicolons", "json-lines", "tabs"],
)
def test_usual_names_and_times_are_recognised(tmp_path: Path, text: str) -> None:
    (event,) = EventFile(written(tmp_path, text)).read()
    assert event == NewEvent(kind=Kind.VIEW, sku="0042", user="7", at=DAY)


def test_a_column_can_be_named_and_one_kind_given(tmp_path: Path) -> None:
    path = written(tmp_path, f"t_dat,buyer,article_id\n{DAY.date()},ann,0042\n")
    (event,) = EventFile(path, columns={"user": "buyer"}, kind=Kind.PURCHASE).read()
    assert isinstance(event, NewEvent)
    assert (event.kind, event.sku, event.user) == (Kind.PURCHASE, "0042", "ann")
    assert event.at is not None
    assert event.at.date() == DAY.date()


def test_a_gzip_and_parquet_are_read(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    packed = tmp_path / "events.csv.gz"
    packed.write_bytes(gzip.compress(f"kind,sku,at\ncart,1,{SECONDS}\n".encode(), mtime=0))
    table = tmp_path / "events.parquet"
    pq.write_table(pa.table({"kind": ["cart"], "sku": [1], "at": [DAY]}), table)
    wanted = [NewEvent(kind=Kind.CART, sku="1", at=DAY)]
    assert list(EventFile(packed).read()) == wanted
    assert list(EventFile(table).read()) == wanted


def test_bad_rows_are_named_and_the_others_stored_once(tmp_path: Path, db: Database) -> None:
    db.write(lambda session: session.add(Product(sku="1")))
    path = written(
        tmp_path,
        "kind,sku,user,at\n"
        f"view,1,ann,{SECONDS}\n"
        f"stare,1,ann,{SECONDS}\n"
        f"view,,ann,{SECONDS}\n"
        "view,1,ann,yesterday\n"
        "view,1\n"
        "view,1,ann,\n"
        f"view,1,ann,{SECONDS - 400 * 86_400}\n"
        f"cart,2,ann,{SECONDS}\n",
    )
    report = run(db, path)
    assert (report.rows, report.stored, report.unknown, report.rejected) == (8, 2, 1, 6)
    assert [it["line"] for it in report.rejects] == [3, 4, 5, 6, 7, 8]
    assert "stare" in report.rejects[0]["reason"]
    again = run(db, path)
    assert (again.stored, again.duplicates) == (0, 2)
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(Event)) == 2


def test_a_file_without_the_needed_columns_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n1,2\n")
    with pytest.raises(UnreadableCatalogue, match="no column for the product; there are a, b"):
        list(EventFile(path).read())
    with pytest.raises(UnreadableCatalogue, match="no column for gone"):
        list(EventFile(path, columns={"sku": "gone"}).read())
    with pytest.raises(ConfigurationError, match="no member colour"):
        EventFile(path, columns={"colour": "a"})


def test_a_broken_line_of_json_costs_itself(tmp_path: Path) -> None:
    lines = ['{"kind": "view", "sku": "1"}', "{broken", "[1]", '{"kind": "cart", "sku": "2"}']
    found = list(EventFile(written(tmp_path, "\n".join(lines))).read())
    assert [isinstance(it, RejectedRow) for it in found] == [False, True, True, False]


def test_the_command_imports_and_counts(tmp_path: Path, run_command: Callable[..., Result]) -> None:
    path = written(tmp_path, f"kind,sku,user,at\nview,1,ann,{SECONDS}\nview,2,ann,{SECONDS}\n")
    done = run_command("events", "import", str(path), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["unknown"] == 2
    again = run_command("events", "import", str(path))
    assert "2 were stored before" in again.stdout
    refused = run_command("events", "import", str(path), "--map", "user", code=1)
    assert "write member=column" in str(refused.exception)
