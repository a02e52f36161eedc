"""A statement that takes too long ends, and the connection is as it was."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from backend.database.bounds import bounded
from backend.database.engine import Database

SLOW = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 300000000)
SELECT count(*) FROM numbers
"""


def test_a_slow_statement_is_ended_and_the_next_one_is_not(any_db: Database) -> None:
    with (
        any_db.read() as session,
        pytest.raises(OperationalError),
        bounded(session, seconds=0.2),
    ):
        session.execute(text(SLOW))
    for _ in range(3):  # on the same connection
        with any_db.read() as session:
            assert session.scalar(text(SLOW.replace("300000000", "300000"))) == 300_000
            if not any_db.is_sqlite:
                assert session.scalar(text("SHOW statement_timeout")) == "0"
