"""What every test may ask for: settings of its own, and a database of either kind."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from pathlib import Path

import hypothesis
import pytest
import structlog
from sqlalchemy import make_url
from support.servers import empty_database, postgres_server, run_sql
from typer.testing import CliRunner, Result

from backend import cli
from backend.database.engine import Database
from backend.database.models import Base
from backend.embedders.numpy_threads import on_one_thread
from backend.settings import Settings, read_settings

hypothesis.settings.register_profile("lookalike", deadline=None)  # a machine may be busy
hypothesis.settings.load_profile("lookalike")

pytest_plugins = ["support.shop", "support.keys"]

HERE = Path(__file__).parent
TIERS = ("unit", "integration", "acceptance", "migration")
NOT_IN_UNIT_TESTS = {"db", "any_db", "pg_db", "pg_url", "postgres_url", "shop"}

PLAIN_SETTINGS = ("DATABASE_URL", "BROKER_URL", "QDRANT_URL", "QDRANT_API_KEY")
SHARED_DATA = "LOOKALIKE_SHARED_DATA"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the folder that it lies in, and keep databases out of unit tests."""
    for item in items:
        tier = item.path.relative_to(HERE).parts[0]
        if tier not in TIERS:
            raise pytest.UsageError(f"{item.nodeid} lies in none of {', '.join(TIERS)}")
        item.add_marker(tier)
        used = NOT_IN_UNIT_TESTS.intersection(getattr(item, "fixturenames", ()))
        if tier == "unit" and used:
            raise pytest.UsageError(f"{item.nodeid} uses {', '.join(used)}: no unit test")


def pytest_collection_finish() -> None:
    """Let torch compute on one thread where several processes run tests.

    The threads of one call wait for each other in a loop. Where another process has the
    processor, a call of a millisecond took thirty times as much of the processors.
    """
    if "PYTEST_XDIST_WORKER" in os.environ and (torch := sys.modules.get("torch")):
        torch.set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Give torch back the threads that it had before a test: what it computes differs with them."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    try:
        return (yield)
    finally:
        if torch and torch.get_num_threads() != before:
            torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def one_blas_thread() -> Iterator[None]:
    """Let numpy, too, compute on one thread where several processes run tests."""
    with on_one_thread() if "PYTEST_XDIST_WORKER" in os.environ else nullcontext():
        yield


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The embedded defaults in a folder of the test's own, whatever the shell has set."""
    for name in os.environ:
        if name in PLAIN_SETTINGS or (name.startswith("LOOKALIKE_") and name != SHARED_DATA):
            monkeypatch.delenv(name)
    return read_settings(_env_file=None, data_dir=tmp_path / "data")


@pytest.fixture
def usual_logs() -> Iterator[None]:
    """Logs afterwards as they were before a command, or the test, set them up anew."""
    ours, level = structlog.get_config(), logging.root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    structlog.configure(**ours)
    logging.root.setLevel(level)
    for handler in list(logging.root.handlers):
        if type(handler) is logging.StreamHandler:  # pytest's own are of other types
            logging.root.removeHandler(handler)


@pytest.fixture
def run_command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, usual_logs: None
) -> Callable[..., Result]:
    """Runs `lookalike …` in this process, on a catalogue and in a folder of the test's own."""
    monkeypatch.setenv("LOOKALIKE_DATA_DIR", str(settings.data_dir))
    monkeypatch.chdir(settings.data_dir.parent)

    def run(*arguments: str, code: int = 0) -> Result:
        ran = CliRunner().invoke(cli.app, arguments)
        assert ran.exit_code == code, ran.output
        return ran

    return run


@pytest.fixture
def shared_data() -> Path:
    """The folder of real catalogues; a test that needs it is skipped where it is not set."""
    if SHARED_DATA not in os.environ:
        pytest.skip(f"{SHARED_DATA} is not set")
    return Path(os.environ[SHARED_DATA])


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """An empty catalogue in a SQLite file."""
    database = Database(f"sqlite:///{tmp_path / 'lookalike.sqlite'}")
    Base.metadata.create_all(database.engine)
    yield database
    database.close()


# --- PostgreSQL: one server a session, one database a test ---------------------------------


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of this session's own: the URL of its first database."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def pg_url(postgres_url: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of the test's own."""
    with empty_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def _pg_catalogue_url(postgres_url: str) -> str:
    """The URL of a PostgreSQL database with the catalogue's tables."""
    run_sql(postgres_url, "CREATE DATABASE catalogue")
    url = make_url(postgres_url).set(database="catalogue").render_as_string(hide_password=False)
    database = Database(url)
    Base.metadata.create_all(database.engine)
    database.close()
    return url


@pytest.fixture
def pg_db(_pg_catalogue_url: str) -> Iterator[Database]:
    """An empty catalogue in PostgreSQL: emptied after each test, which is faster than made anew."""
    database = Database(_pg_catalogue_url)
    yield database
    database.close()
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    run_sql(
        _pg_catalogue_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        f"TRUNCATE {tables} RESTART IDENTITY CASCADE",
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def any_db(request: pytest.FixtureRequest) -> Database:
    """An empty catalogue, once in SQLite and once in PostgreSQL."""
    database: Database = request.getfixturevalue("db" if request.param == "sqlite" else "pg_db")
    return database
