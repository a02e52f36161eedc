"""API keys are shown once and stored as digests; a process caches those it has checked."""

from __future__ import annotations

import hmac
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from backend.access import keys
from backend.access.key_cache import MOST_REFUSED, KeyCache
from backend.access.keys import KeyInfo, NewKey
from backend.access.scope import Scope
from backend.database.engine import Database
from backend.database.models import ApiKey, utcnow
from backend.errors import InvalidKey, InvalidKeyRequest

UNKNOWN = f"lk_{'0' * 12}_{'0' * 64}"


def create(db: Database, name: str = "shop", scope: Scope = Scope.READ, **options: Any) -> NewKey:
    return db.write(lambda session: keys.create(session, name, scope=scope, **options))


def check(db: Database, token: str) -> KeyInfo:
    with db.read() as session:
        return keys.check(session, token)


def revoke(db: Database, prefix: str) -> KeyInfo:
    return db.write(lambda session: keys.revoke(session, prefix))


def expire(db: Database, prefix: str) -> None:
    """Let a key's time be over."""
    past = utcnow() - timedelta(seconds=1)
    db.write(
        lambda session: session.execute(
            update(ApiKey).where(ApiKey.prefix == prefix).values(expires_at=past)
        )
    )


def listed(db: Database, **options: bool) -> list[str]:
    with db.read() as session:
        return [key.prefix for key in keys.list_keys(session, **options)]


# --- one key -------------------------------------------------------------------------------------


def test_a_key_that_was_made_is_found_again(any_db: Database) -> None:
    made = create(any_db, "shop", Scope.INGEST, expires_at=utcnow() + timedelta(days=1))
    assert check(any_db, made.token) == made.key
    assert (made.key.name, made.key.scope, made.key.state) == ("shop", Scope.INGEST, "live")
    assert (made.key.last_used_at, made.key.revoked_at) == (None, None)


def test_a_key_holds_256_random_bits_behind_its_open_prefix(db: Database) -> None:
    made = [create(db, name) for name in ("a", "b")]
    for each in made:
        assert re.fullmatch(rf"{each.key.prefix}_[0-9a-f]{{64}}", each.token)
    secrets = {each.token.rpartition("_")[2] for each in made}
    assert len(secrets) == len({each.key.prefix for each in made}) == 2


def test_the_database_never_holds_the_key(db: Database) -> None:
    made = create(db)
    with db.read() as session:
        row = session.execute(select(ApiKey.__table__)).mappings().one()
    assert made.token.rpartition("_")[2] not in str(dict(row))
    assert row["digest"] == keys.digest(made.token)


def test_a_key_shows_in_no_representation_of_what_was_made(db: Database) -> None:
    made = create(db)
    assert made.token not in repr(made)
    assert made.token not in str(made)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: "",
        lambda token: "lk_",
        lambda token: UNKNOWN,
        lambda token: token[:-1],
        lambda token: token + "\n",
        lambda token: " " + token,
        lambda token: token.upper(),
        lambda token: token[:16] + "0" * 64,
        lambda token: token[:15],
        lambda token: token[:-1] + "ü",
        lambda token: "' OR 1=1 --",
    ],
)
def test_what_is_not_exactly_the_key_is_refused(db: Database, spoil: Any) -> None:
    spoilt = spoil(create(db).token)
    with pytest.raises(InvalidKey) as refused:
        check(db, spoilt)
    assert refused.value.context == {}
    assert not spoilt or spoilt not in str(refused.value)


def test_digests_are_compared_in_constant_time(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(
        "hmac.compare_digest", lambda one, other: compared.append((one, other)) or real(one, other)
    )
    made = create(db)
    check(db, made.token)
    assert compared == [(keys.digest(made.token), keys.digest(made.token))]


def test_a_revoked_key_is_refused_for_good(any_db: Database) -> None:
    made = create(any_db)
    revoked = revoke(any_db, made.key.prefix)
    assert revoked.state == "revoked"
    with pytest.raises(InvalidKey) as refused:
        check(any_db, made.token)
    assert refused.value.context == {"prefix": made.key.prefix, "state": "revoked"}


def test_an_expired_key_is_refused(any_db: Database) -> None:
    made = create(any_db)
    expire(any_db, made.key.prefix)
    with pytest.raises(InvalidKey) as refused:
        check(any_db, made.token)
    assert refused.value.context["state"] == "expired"


def test_a_key_that_does_not_exist_or_is_revoked_cannot_be_revoked(db: Database) -> None:
    made = create(db)
    with pytest.raises(InvalidKeyRequest) as refused:
        revoke(db, made.token)
    assert made.token not in str(refused.value), "a whole key may have been typed"
    revoke(db, made.key.prefix)
    with pytest.raises(InvalidKeyRequest, match=f"{made.key.prefix} was revoked before"):
        revoke(db, made.key.prefix)


@pytest.mark.parametrize("name", ["", "a b", "-shop", "shop\n", "ü", "x" * 65])
def test_a_name_that_is_none_is_refused(db: Database, name: str) -> None:
    with pytest.raises(InvalidKeyRequest, match="is no name"):
        create(db, name)


def test_a_key_cannot_expire_before_it_is_made(db: Database) -> None:
    with pytest.raises(InvalidKeyRequest, match="expired already"):
        create(db, expires_at=utcnow())


# --- a scope includes the lesser ones ------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "included"),
    [
        (Scope.READ, {Scope.READ}),
        (Scope.INGEST, {Scope.READ, Scope.INGEST}),
        (Scope.ADMIN, {Scope.READ, Scope.INGEST, Scope.ADMIN}),
    ],
)
def test_a_scope_includes_itself_and_the_lesser_ones(scope: Scope, included: set[Scope]) -> None:
    assert {other for other in Scope if scope.includes(other)} == included


# --- two live keys, so that they can be changed ---------------------------------------------------


def test_a_name_has_two_live_keys_at_most_and_is_told_which(any_db: Database) -> None:
    first, second = create(any_db), create(any_db, scope=Scope.ADMIN)
    with pytest.raises(InvalidKeyRequest) as refused:
        create(any_db)
    assert first.key.prefix in str(refused.value)
    assert second.key.prefix in str(refused.value)
    assert create(any_db, "another").key.state == "live"


def test_ended_keys_leave_room_for_new_ones(any_db: Database) -> None:
    revoke(any_db, create(any_db).key.prefix)
    expire(any_db, create(any_db).key.prefix)
    for _ in range(2):
        create(any_db)
    assert len(listed(any_db)) == 2
    assert len(listed(any_db, ended=True)) == 4


def test_two_who_make_keys_at_once_do_not_make_a_third(any_db: Database) -> None:
    create(any_db)
    counted = threading.Event()

    def make_slowly(session: Session) -> None:
        keys.create(session, "shop", scope=Scope.READ)
        counted.set()
        time.sleep(0.2)

    slow = threading.Thread(target=any_db.write, args=[make_slowly])
    slow.start()
    counted.wait()
    with pytest.raises(InvalidKeyRequest, match="2 live keys"):
        create(any_db)
    slow.join()


def test_keys_are_listed_by_name_and_age(db: Database) -> None:
    second, first, third = create(db, "b"), create(db, "a"), create(db, "b")
    assert listed(db) == [first.key.prefix, second.key.prefix, third.key.prefix]


def test_whether_anybody_can_be_let_in_is_known(any_db: Database) -> None:
    def is_any() -> bool:
        with any_db.read() as session:
            return keys.is_any_live(session)

    assert not is_any()
    made = create(any_db)
    assert is_any()
    expire(any_db, made.key.prefix)
    assert not is_any()


def test_the_last_use_is_noted_to_within_minutes(any_db: Database) -> None:
    made = create(any_db)
    uses = []
    for _ in range(2):
        any_db.write(lambda session: keys.record_use(session, made.key.id))
        uses.append(check(any_db, made.token).last_used_at)
    assert uses[0]
    assert uses[0] == uses[1]


# --- what a process remembers ---------------------------------------------------------------------


@contextmanager
def statements(db: Database, about: str = "api_keys") -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if about in statement:
            seen.append(statement.partition(" ")[0])

    event.listen(db.engine, "before_cursor_execute", note)
    yield seen
    event.remove(db.engine, "before_cursor_execute", note)


def test_a_key_in_use_is_looked_up_once_in_a_while_and_written_once(db: Database) -> None:
    cache, made = KeyCache(db, seconds=0.2), create(db)
    with statements(db) as seen:
        for _ in range(10):
            assert cache.find(made.token).key.prefix == made.key.prefix
    assert seen == ["SELECT", "UPDATE"]
    time.sleep(0.2)
    with statements(db) as seen:
        cache.find(made.token)
    assert seen == ["SELECT"]


def test_a_revoked_key_is_accepted_no_longer_than_it_is_remembered(db: Database) -> None:
    cache, made = KeyCache(db, seconds=0.1), create(db)
    cache.find(made.token)
    revoke(db, made.key.prefix)
    time.sleep(0.1)
    with structlog.testing.capture_logs() as logs, pytest.raises(InvalidKey):
        cache.find(made.token)
    assert [(line["prefix"], line["state"]) for line in logs] == [(made.key.prefix, "revoked")]


def test_a_key_that_was_refused_is_not_asked_about_at_once_again(db: Database) -> None:
    cache = KeyCache(db)
    with statements(db) as seen:
        for _ in range(10):
            with pytest.raises(InvalidKey):
                cache.find(UNKNOWN)
    assert seen == ["SELECT"]


def test_what_cannot_be_a_key_is_refused_without_the_database(db: Database) -> None:
    cache = KeyCache(db)
    with statements(db, about="") as seen, pytest.raises(InvalidKey):
        cache.find("secret")
    assert seen == []


def test_of_many_refused_keys_the_first_ones_are_forgotten(db: Database) -> None:
    cache = KeyCache(db, seconds=3600)
    others = [str(number) for number in range(MOST_REFUSED)]
    with statements(db) as seen:
        for token in (UNKNOWN, *others, UNKNOWN):
            with pytest.raises(InvalidKey):
                cache.find(token)
    assert seen == ["SELECT", "SELECT"]


class Refused(Exception):
    """This attempt was one too many."""


def test_others_who_fail_do_not_lock_out_who_has_a_key(db: Database) -> None:
    full = False

    @contextmanager
    def attempt() -> Iterator[None]:
        if full:
            raise Refused
        yield

    cache, made, new = KeyCache(db, attempt=attempt, seconds=0), create(db), create(db, "new")
    cache.find(made.token)
    full = True
    assert cache.find(made.token).key.prefix == made.key.prefix
    assert cache.find(new.token).key.prefix == new.key.prefix, "not seen here before, and right"
    with pytest.raises(Refused):
        cache.find(UNKNOWN)


def test_a_flood_of_wrong_keys_causes_one_query_now_and_then(db: Database) -> None:
    @contextmanager
    def attempt() -> Iterator[None]:
        raise Refused
        yield

    cache, made = KeyCache(db, attempt=attempt), create(db)
    with statements(db) as seen:
        for number in range(10):
            with pytest.raises(Refused):
                cache.find(f"lk_{number:012x}_{'f' * 64}")
    assert seen == ["SELECT"]
    assert cache.find(made.token).key.prefix == made.key.prefix


def test_who_has_a_key_is_let_in_also_where_its_use_cannot_be_noted(
    db: Database, tmp_path: Path
) -> None:
    made = create(db)
    read_only = Database(f"sqlite:///{tmp_path / 'lookalike.sqlite'}")
    event.listen(
        read_only.engine,
        "connect",
        lambda connection, _: connection.execute("PRAGMA query_only=ON"),
    )
    with structlog.testing.capture_logs() as logs:
        assert KeyCache(read_only).find(made.token).key.prefix == made.key.prefix
    assert [line["event"] for line in logs] == ["the last use of a key cannot be stored"]
    read_only.close()
