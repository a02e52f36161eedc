"""What was read is kept until the next commit of any process, and no longer."""

from __future__ import annotations

import sqlite3
import threading

from support.rows import make_products

from backend.database.engine import Database
from backend.database.since_commit import MOST_KEPT


def test_what_was_kept_is_there_until_another_connection_commits(db: Database) -> None:
    [id_] = make_products(db, 1)
    with db.query() as reader:
        kept = reader.unchanged("names")
        assert kept == {}
        reader.keep(kept, {id_: "s0"})
    with db.query() as reader:
        assert reader.unchanged("names") == {id_: "s0"}
        assert reader.unchanged("others") == {}
    with sqlite3.connect(db.engine.url.database or "") as other:
        other.execute("UPDATE products SET display_name = 'new'")
    other.close()
    with db.query() as reader:
        assert reader.unchanged("names") == {}


def test_what_is_read_while_somebody_commits_is_not_kept_for_the_new_version(db: Database) -> None:
    with db.query() as reader:
        kept = reader.unchanged("names")
        make_products(db, 1)
        reader.keep(kept or {}, {1: "before"})
    with db.query() as reader:
        assert reader.unchanged("names") == {}


def test_a_commit_in_another_thread_of_this_process_counts_too(db: Database) -> None:
    with db.query() as reader:
        reader.keep(reader.unchanged("names") or {}, {1: "s"})
    thread = threading.Thread(target=make_products, args=(db, 1))
    thread.start()
    thread.join()
    with db.query() as reader:
        assert reader.unchanged("names") == {}


def test_too_many_rows_are_all_forgotten(db: Database) -> None:
    with db.query() as reader:
        kept = reader.unchanged("names")
        assert kept is not None
        reader.keep(kept, dict.fromkeys(range(MOST_KEPT)))
        assert len(reader.unchanged("names") or {}) == MOST_KEPT
        reader.keep(kept, {-1: None})
    with db.query() as reader:
        assert reader.unchanged("names") == {}


def test_a_server_that_does_not_tell_of_commits_keeps_nothing(pg_db: Database) -> None:
    with pg_db.query() as reader:
        assert reader.unchanged("names") is None
