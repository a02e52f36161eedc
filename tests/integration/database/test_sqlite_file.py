"""What a file of SQLite can lack: a log, room, its lock, the right to write, or itself."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from structlog.testing import capture_logs
from support.host_faults import files_of_at_most
from support.image_files import colour_image
from support.servers import wait_for
from support.shop import QUICK, Shop, four_products

from backend.bootstrap import build
from backend.database import arrival, sqlite_file
from backend.database.engine import Database
from backend.database.failures import meaning_of
from backend.database.models import Base, Product
from backend.errors import ConfigurationError, DatabaseReadOnly
from backend.settings import Settings
from backend.worker.loop import Worker
from backend.worker.threads import WorkerThread

UNSHARE = shutil.which("unshare")
MAY_MOUNT = UNSHARE is not None and not subprocess.call(
    [UNSHARE, "--mount", "true"], stderr=subprocess.DEVNULL
)


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    with Shop(settings, **QUICK) as one:
        yield one


def file_of(db: Database) -> Path:
    return Path(str(db.engine.url.database))


# --- the log ----------------------------------------------------------------------------------


def test_a_file_system_without_a_log_is_refused_with_its_path(tmp_path: Path) -> None:
    """SQLite's own file system layer without shared memory is what a network disk may be."""
    path = tmp_path / "shop.sqlite"
    db = Database(f"sqlite:///file:{path}?vfs=unix-none&uri=true")
    with (
        pytest.raises(ConfigurationError, match="supports no write-ahead log"),
        db.read() as session,
    ):
        session.execute(text("SELECT 1"))
    db.close()


# --- the lock ---------------------------------------------------------------------------------


@pytest.fixture
def held(shop: Shop) -> Iterator[Shop]:
    """A shop whose database another program keeps locked."""
    four_products(shop)
    other = sqlite3.connect(file_of(shop.db), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield shop
    other.execute("ROLLBACK")
    other.close()


def test_beside_a_held_lock_reads_go_on_and_writes_say_locked(held: Shop) -> None:
    assert held.client.get("/livez").status_code == 200
    assert held.client.get("/readyz").status_code == 200
    assert held.client.get("/v1/products/red/similar").status_code == 200
    refused = held.client.put("/v1/products/new", json={})
    assert (refused.status_code, refused.json["code"]) == (503, "database-locked")
    assert refused.headers["Retry-After"]


def test_only_the_first_requests_wait_for_a_held_lock(held: Shop) -> None:
    allowed: list[str] = []

    @event.listens_for(held.db.engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "busy_timeout" in statement:
            allowed.append(statement)

    for number in range(3):
        held.client.put(f"/v1/products/new-{number}", json={})
    again = f"PRAGMA busy_timeout={round(1000 * sqlite_file.AGAIN_SECONDS)}"
    assert allowed == ["PRAGMA busy_timeout=1000", again, again]


def test_a_worker_waits_for_the_lock(db: Database) -> None:
    db.write(lambda session: session.add(Product(sku="s")))
    with db.read() as session:
        assert session.execute(text("PRAGMA busy_timeout")).scalar() == 30_000


def test_a_write_that_was_refused_is_taken_when_the_lock_is_free(shop: Shop) -> None:
    other = sqlite3.connect(file_of(shop.db), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert shop.client.put("/v1/products/new", json={}).status_code == 503
    other.execute("ROLLBACK")
    other.close()
    assert shop.client.put("/v1/products/new", json={}).status_code == 201


def test_writers_of_one_process_wait_for_each_other_and_none_is_refused(shop: Shop) -> None:
    writers, each = 8, 40

    def write(writer: int) -> set[int]:
        client = shop.app.test_client()
        bodies = ({"price": 1000 * writer + number} for number in range(each))
        return {client.put("/v1/products/one", json=body).status_code for body in bodies}

    with ThreadPoolExecutor(writers) as pool:
        statuses = set().union(*pool.map(write, range(writers)))

    assert statuses <= {200, 201}
    assert shop.client.get("/v1/products/one").json["price"] % 1000 == each - 1


def test_a_failed_write_lets_the_next_one_begin(db: Database) -> None:
    def fail(session: Session) -> None:
        session.add(Product(sku="s"))
        session.flush()
        raise RuntimeError("by the test")

    for _ in range(3):
        with pytest.raises(RuntimeError):
            db.write(fail)
    token = sqlite_file.patience.set(sqlite_file.AGAIN_SECONDS)
    db.write(lambda session: session.add(Product(sku="s")))
    sqlite_file.patience.reset(token)
    with db.read() as session:
        assert session.scalars(select(Product.sku)).all() == ["s"]


# --- room -------------------------------------------------------------------------------------


def fill(shop: Shop) -> None:
    """Let the database have no more room than it has now."""

    def limit(connection: Any, *_: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")

    shop.db.close()
    event.listen(shop.db.engine, "connect", limit)


def test_on_a_full_disk_reads_stay_ready_and_writes_say_507_in_the_words_of_the_disk(
    shop: Shop,
) -> None:
    four_products(shop)
    fill(shop)
    with capture_logs() as logged:
        answers = [
            shop.client.put(f"/v1/products/{n}", json={"attributes": {"text": "y" * 900}})
            for n in range(60)
        ]
    full = [answer for answer in answers if answer.status_code == 507]
    assert len(full) > 2
    assert full[0].json["code"] == "database-full"
    assert "database or disk is full" in full[0].json["detail"]
    assert shop.client.get("/readyz").status_code == 200
    assert shop.client.get("/v1/products/red/similar").status_code == 200
    assert len([line for line in logged if line.get("code") == "database-full"]) == 1


def test_beyond_a_limit_of_file_sizes_reads_stay_ready_and_the_file_is_said_to_be_the_reason(
    shop: Shop,
) -> None:
    four_products(shop)
    longest = max(each.stat().st_size for each in file_of(shop.db).parent.glob("*.sqlite*"))
    with files_of_at_most(longest):
        answers = [
            shop.client.put(f"/v1/products/{n}", json={"attributes": {"text": "y" * 900}})
            for n in range(300)
        ]
        ready = shop.client.get("/readyz")
        similar = shop.client.get("/v1/products/red/similar")
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused
    assert refused[0].json["code"] == "database-unavailable"
    assert "cannot grow" in refused[0].json["detail"]
    assert "not answer" not in refused[0].json["detail"]
    assert (ready.status_code, similar.status_code) == (200, 200)
    assert shop.client.put("/v1/products/after", json={}).status_code == 201


def test_a_worker_that_cannot_write_leaves_the_server_ready(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    four_products(shop)
    fill(shop)
    tries: list[int] = []

    def write_much() -> bool:
        tries.append(1)
        rows = [Product(sku=f"{len(tries)}-{n}", display_name="y" * 900) for n in range(99)]
        shop.db.write(lambda session: session.add_all(rows))
        return False

    worker = Worker(shop.services)
    monkeypatch.setattr(worker, "work_once", write_much)
    thread = WorkerThread(worker)
    with capture_logs() as logged:
        thread.start()
        wait_for(lambda: len(tries) > 3)
    assert thread.problem() is None
    (said,) = [one["reason"] for one in logged if one["event"] == "work failed"]
    assert "database or disk is full" in said
    assert thread.stop(seconds=60)


def test_an_image_that_the_disk_has_no_room_for_is_507(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put("red")

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device", "images/x")

    monkeypatch.setattr(type(shop.services.image_store), "put", refuse)
    refused = shop.put_image("red", colour_image("red"))
    assert (refused.status_code, refused.json["code"]) == (507, "disk-full")
    assert "No space left on device" in refused.json["detail"]


# --- itself -----------------------------------------------------------------------------------


def test_a_database_that_is_gone_beside_its_index_is_not_begun_anew(
    shop: Shop, settings: Settings
) -> None:
    four_products(shop)
    file = file_of(shop.db)
    shop.close()
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()
    with pytest.raises(ConfigurationError, match=r"is missing, but .* holds an index"):
        build(settings)
    assert not file.exists()
    shutil.rmtree(settings.index_dir)
    build(settings).close()


def test_a_database_that_vanishes_under_a_server_takes_no_write_and_is_not_ready(
    shop: Shop,
) -> None:
    four_products(shop)
    file_of(shop.db).rename(file_of(shop.db).with_suffix(".away"))
    assert shop.client.put("/v1/products/new", json={}).status_code == 503
    down = shop.client.get("/readyz")
    assert down.status_code == 503
    assert "was deleted or replaced" in down.json["checks"]["database"]
    assert not file_of(shop.db).exists()  # and no empty one was made in its place
    file_of(shop.db).with_suffix(".away").rename(file_of(shop.db))
    assert shop.client.get("/readyz").status_code == 200


def test_a_damaged_database_names_the_way_back(settings: Settings) -> None:
    settings.data_dir.mkdir(parents=True)
    Path(settings.database.removeprefix("sqlite:///")).write_bytes(b"no database" * 500)
    run = command(settings, "status")
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert "lookalike restore" in line
    assert "lookalike.sqlite" in line


# --- the right to write -----------------------------------------------------------------------


def test_a_file_that_cannot_be_written_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shop.sqlite"
    first = Database(f"sqlite:///{path}")
    Base.metadata.create_all(first.engine)
    first.write(lambda session: session.add(Product(sku="s")))
    first.close()
    monkeypatch.setattr(os, "access", lambda _path, mode, **_: mode != os.W_OK)
    db = Database(f"sqlite:///{path}")
    with db.read() as session:
        assert session.scalars(select(Product.sku)).one() == "s"
    with pytest.raises(OperationalError) as refused:
        db.write(lambda session: session.add(Product(sku="t")))
    assert isinstance(meaning_of(refused.value), DatabaseReadOnly)
    with pytest.raises(ConfigurationError, match="older release"):
        arrival.check(db)  # it has our tables, but no revision
    db.close()


@pytest.mark.slow
@pytest.mark.skipif(not MAY_MOUNT, reason="mounts a folder for reading only")
def test_in_a_read_only_folder_one_can_look_search_and_back_up(
    shop: Shop, settings: Settings, tmp_path: Path
) -> None:
    four_products(shop)
    shop.close()
    commands = (
        ["status", "--json"],
        ["similar", "red", "--limit", "2", "--json"],
        ["backup", str(tmp_path / "backup")],
        ["import", str(tmp_path)],
    )
    mount = f"mount --bind {settings.data_dir} {settings.data_dir}"
    script = [mount, f"mount -o remount,ro,bind {settings.data_dir}"]
    script += [f"lookalike {' '.join(one)}; echo =$?" for one in commands]
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", "\n".join(script)],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    outcomes = [line for line in ran.stdout.splitlines() if line.startswith("=")]
    assert outcomes == ["=0", "=0", "=0", "=1"], ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lookalike"), *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )


def environment(settings: Settings) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "HOME") if name in os.environ}
    ours = {"LOOKALIKE_DATA_DIR": str(settings.data_dir), "LOOKALIKE_EMBEDDER": "mean-colour"}
    return kept | ours | {"PATH": path, "OMP_NUM_THREADS": "1"}
