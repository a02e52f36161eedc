"""The master: it keeps its children running, replaces them, stops them, and takes them along."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
from support.servers import wait_for

from backend.errors import ConfigurationError
from backend.serving import listening
from backend.serving.master import CANNOT_START

PATIENCE_SECONDS = 60

PROGRAM = r"""
import os, signal, sys
from backend import logs
from backend.serving import listening, master

fork = os.fork

def fork_and_be_told_to_stop():
    pid = fork()
    if pid and {stops}:
        os.kill(os.getpid(), signal.SIGTERM)
    return pid

os.fork = fork_and_be_told_to_stop

def serve(channel):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.write(1, b"child\n")
    {body}

logs.configure("info")
listener = listening.listen("127.0.0.1", 0)
print("port", listener.getsockname()[1], flush=True)
sys.exit(master.Master(serve, count=2, listener=listener).run())
"""

WAITING = "channel.recv(1)"


class Program:
    """A master and its children."""

    def __init__(self, body: str, *, stops: bool = False) -> None:
        program = PROGRAM.format(body=body, stops=stops)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.port = int(self.process.stdout.readline().removeprefix("port "))
        self.master = psutil.Process(self.process.pid)
        self.gone: set[int] = set()

    def children(self) -> set[int]:
        """The two children, once they serve."""
        assert self.process.stdout
        return wait_for(
            lambda: (
                found
                if len(found := {child.pid for child in self.master.children()} - self.gone) == 2
                else None
            ),
            seconds=PATIENCE_SECONDS,
        )

    def wait_until_they_serve(self, count: int = 2) -> None:
        assert self.process.stdout
        for _ in range(count):
            assert self.process.stdout.readline() == "child\n"


@pytest.fixture
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    made = Program(getattr(request, "param", WAITING))
    yield from _ended(made)


@pytest.fixture
def stopped_program() -> Iterator[Program]:
    """One that is told to stop just when it has forked, before it can have noted the child."""
    yield from _ended(Program(WAITING, stops=True))


def _ended(made: Program) -> Iterator[Program]:
    yield made
    for child in made.master.children() if made.process.poll() is None else ():
        child.kill()
    made.process.kill()
    made.process.communicate()


def test_a_child_that_dies_is_replaced_and_a_signal_replaces_all(program: Program) -> None:
    program.wait_until_they_serve()
    first = program.children()
    psutil.Process(min(first)).kill()
    program.wait_until_they_serve(1)
    program.gone = {min(first)}
    second = program.children()
    assert first & second == {max(first)}
    program.process.send_signal(signal.SIGHUP)
    program.wait_until_they_serve()
    program.gone = first | second
    assert len(program.children()) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_and_frees_the_port(program: Program, number: signal.Signals) -> None:
    program.wait_until_they_serve()
    children = program.children()
    program.process.send_signal(number)
    assert program.process.wait(PATIENCE_SECONDS) == 0
    assert not [pid for pid in children if psutil.pid_exists(pid)]
    listening.listen("127.0.0.1", program.port, patience=0).close()


def test_a_signal_at_the_moment_of_a_fork_ends_the_new_child_too(stopped_program: Program) -> None:
    assert stopped_program.process.wait(PATIENCE_SECONDS) == 0


@pytest.mark.parametrize("program", ["signal.pause()"], indirect=True)
def test_a_killed_master_takes_its_children_along_and_the_next_start_gets_the_port(
    program: Program,
) -> None:
    """These children look at nothing: it is the kernel that ends them."""
    program.wait_until_they_serve()
    children = program.children()
    program.process.kill()
    listening.listen("127.0.0.1", program.port, patience=PATIENCE_SECONDS).close()
    for pid in children:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("program", [f"return {CANNOT_START}"], indirect=True)
def test_a_child_that_cannot_start_ends_the_master(program: Program) -> None:
    assert program.process.wait(PATIENCE_SECONDS) == CANNOT_START


def test_a_port_that_is_taken_for_good_is_an_error() -> None:
    with listening.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match="Address already in use"):
            listening.listen("127.0.0.1", port, patience=0.2)
