"""What follows a network is computed on the calling thread, and others get their threads back."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from backend.embedders.numpy_threads import on_one_thread


@pytest.fixture(autouse=True)
def one_blas_thread() -> None:
    """As many threads as the process has, in place of the tests' common fixture."""


def threads() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))  # loads the BLAS
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


def is_one() -> bool:
    return set(threads()) <= {1}


def test_within_there_is_one_thread_and_afterwards_as_many_as_before() -> None:
    before = threads()
    with on_one_thread():
        assert is_one()
        with on_one_thread():
            assert is_one()
        assert is_one()
    assert threads() == before


def test_threads_that_enter_and_leave_in_any_order_give_back_what_was_there() -> None:
    before = threads()
    entered, may_leave = Event(), Event()

    def stay() -> bool:
        with on_one_thread():
            entered.set()
            may_leave.wait(30)
            return is_one()

    with ThreadPoolExecutor(1) as other:
        with on_one_thread():
            staying = other.submit(stay)
            entered.wait(30)
        assert is_one()  # who entered first has left first
        may_leave.set()
        assert staying.result()
    assert threads() == before


def test_each_of_many_short_lived_threads_is_obeyed() -> None:
    before = threads()

    def look() -> bool:
        with on_one_thread():
            return is_one()

    for _ in range(5):
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(look).result()
        assert threads() == before


def test_an_error_gives_the_threads_back() -> None:
    before = threads()
    with pytest.raises(ValueError, match="no such"), on_one_thread():
        raise ValueError("no such matrix")
    assert threads() == before


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_a_thread_of_its_parent() -> None:
    def look() -> None:
        with on_one_thread():
            np.ones((2, 2)) @ np.ones((2, 2))

    look()  # now the parent has the thread that sets the number
    child = multiprocessing.get_context("fork").Process(target=look)
    child.start()
    child.join(30)
    child.kill()
    assert child.exitcode == 0
