"""A PostgreSQL server that does not answer: requests have a limit, and then fail at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError
from support.proxy import Proxy, proxy
from support.servers import run_sql, wait_for

from backend.database import engine, migrate, patience, postgresql
from backend.database.engine import Database
from backend.errors import ConfigurationError, DatabaseUnavailable

SHORT = 0.3


@pytest.fixture
def between(pg_url: str) -> Iterator[Proxy]:
    """What connections pass on their way to the server."""
    folder = Path(str(make_url(pg_url).query["host"]))
    with proxy(str(folder / ".s.PGSQL.5432")) as found:
        yield found


@pytest.fixture
def db(pg_url: str, between: Proxy) -> Iterator[Database]:
    """The database behind it."""
    url = make_url(pg_url).set(host="127.0.0.1", port=between.port, query={})
    made = Database(url.render_as_string(hide_password=False))
    yield made
    made.close()


def answers(db: Database) -> bool:
    with db.read() as session:
        return session.scalar(text("SELECT 1")) == 1


def test_requests_fail_at_once_after_a_few_that_got_no_answer(
    db: Database, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "PING_SECONDS", SHORT)
    with ExitStack() as opened:
        sessions = [opened.enter_context(db.read()) for _ in range(engine.TOLERATED + 1)]
        for session in sessions:
            session.execute(text("SELECT 1"))
        with between.silenced():
            for session in sessions:
                with (
                    patience.at_most(SHORT),
                    pytest.raises(OperationalError, match=r"no answer within 0\.3 s"),
                    db.read(),
                ):
                    session.execute(text("SELECT 1"))
            assert db.problem()
            for _ in range(20):
                with pytest.raises(DatabaseUnavailable), db.read():
                    raise AssertionError("nothing is asked now")
        assert wait_for(lambda: is_back(db))
    assert db.problem() is None


def is_back(db: Database) -> bool:
    try:
        return answers(db)
    except (DatabaseUnavailable, OperationalError):
        return False


def test_a_connection_of_the_pool_that_was_cut_is_replaced(db: Database, between: Proxy) -> None:
    assert answers(db)
    between.cut()
    assert answers(db)


def test_an_answer_within_the_limit_is_whole(db: Database) -> None:
    rows = text("SELECT repeat('x', 10000) FROM generate_series(1, 2000)")
    with patience.at_most(60), db.read() as session:
        assert sum(len(value) for value in session.scalars(rows)) == 20_000_000


def test_a_statement_beyond_the_limit_costs_its_connection_alone(db: Database) -> None:
    with (
        pytest.raises(OperationalError, match="no answer"),
        patience.at_most(SHORT),
        db.read() as session,
    ):
        session.execute(text("SELECT pg_sleep(30)"))
    assert answers(db)
    with patience.at_most(SHORT), patience.at_most(60):
        assert patience.limit.get() == SHORT, "a limit is only made shorter"
    assert patience.limit.get() is None


def test_a_database_that_is_not_utf8_is_refused_in_one_sentence(postgres_url: str) -> None:
    run_sql(
        postgres_url,
        "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    url = make_url(postgres_url).set(database="ascii").render_as_string(hide_password=False)
    db = Database(url)
    for use in (migrate.migrate, migrate.is_current, answers):
        with pytest.raises(ConfigurationError, match=r"'ascii' \(DATABASE_URL\) is in SQL_ASCII"):
            use(db)
    db.close()
    run_sql(postgres_url, "DROP DATABASE ascii")
