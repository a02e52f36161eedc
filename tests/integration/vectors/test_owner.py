"""The embedded index has one owner, which says where it answers, and whose death frees it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.errors import IndexLocked
from backend.vectors.edge.owner import Owner

OWNING = """
import sys, time
from pathlib import Path
from backend.vectors.edge.owner import Owner
owner = Owner(Path(sys.argv[1]))
owner.acquire(url="http://127.0.0.1:9")
print("mine", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns the folder's index."""
    command = [sys.executable, "-c", OWNING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "mine\n"
        yield process
        process.kill()


def test_an_owner_announces_where_it_answers(tmp_path: Path) -> None:
    owner = Owner(tmp_path / "data")
    assert (owner.is_here, owner.url) == (False, None)
    owner.acquire(url="http://127.0.0.1:8000")
    seen = Owner(tmp_path / "data")
    assert (owner.is_here, seen.is_here) == (True, False)
    assert seen.url == "http://127.0.0.1:8000"
    owner.release()


def test_a_second_owner_is_refused_and_told_who_the_first_is(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    owner = Owner(tmp_path)
    with pytest.raises(IndexLocked, match=f"process {other.pid}, serving http://127.0.0.1:9"):
        owner.acquire()
    assert not owner.is_here


def test_a_second_owner_is_refused_in_the_same_process_too(tmp_path: Path) -> None:
    first, second = Owner(tmp_path), Owner(tmp_path)
    first.acquire()
    with pytest.raises(IndexLocked, match=f"process {os.getpid()}"):
        second.acquire()
    first.release()


def test_a_refused_owner_leaves_the_others_address_alone(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    owner = Owner(tmp_path)
    with pytest.raises(IndexLocked):
        owner.acquire(url="http://elsewhere")
    owner.release()
    assert owner.url == "http://127.0.0.1:9"


def test_the_death_of_an_owner_frees_the_index(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    owner = Owner(tmp_path)
    owner.acquire()
    assert (owner.is_here, owner.url) == (True, None)
    owner.release()


def test_what_is_released_can_be_owned_again_and_nobody_answers_meanwhile(tmp_path: Path) -> None:
    first, second = Owner(tmp_path), Owner(tmp_path)
    first.acquire(url="http://127.0.0.1:8000")
    first.release()
    assert (first.is_here, second.url) == (False, None)
    second.acquire()
    assert second.is_here
    second.release()
    second.release()  # twice does no harm


def test_a_torn_announcement_is_no_announcement(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    for torn in ("", "{", "[]", "null"):
        (tmp_path / "owner.json").write_text(torn)
        assert (owner.url, owner.token, owner.describe()) == (None, None, "process unknown")


def test_only_the_owner_recognises_the_token_it_announced(tmp_path: Path) -> None:
    owner, reader = Owner(tmp_path), Owner(tmp_path)
    owner.acquire()
    token = reader.token
    assert token
    assert owner.recognises(token)
    assert not owner.recognises(token + "x")
    assert not reader.recognises(token)
    owner.release()
    assert not owner.recognises(token)


def test_an_announcement_can_be_read_by_its_user_alone(tmp_path: Path) -> None:
    (tmp_path / ".owner.json.new").write_text("left by a killed process")
    (tmp_path / ".owner.json.new").chmod(0o644)
    owner = Owner(tmp_path)
    owner.acquire()
    assert stat.S_IMODE((tmp_path / "owner.json").stat().st_mode) == 0o600
    owner.release()


def test_one_release_is_enough_however_often_it_was_acquired(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    owner.acquire()
    owner.acquire()

    owner.release()

    assert not owner.is_here
    Owner(tmp_path).acquire()
