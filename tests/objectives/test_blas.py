"""BLAS is held to few threads while anybody asks for it, and given back when nobody does."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from crossent.objectives.blas import _release, blas_threads


def blas_now():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads():
    np.ones((2, 2)) @ np.ones((2, 2))
    limit = threadpool_limits(2, user_api="blas")
    _release()
    yield
    limit.restore_original_limits()
    _release()


def test_blas_is_held_and_given_back():
    with blas_threads(1):
        assert blas_now() == {1}
    assert blas_now() == {2}


def test_none_leaves_blas_alone():
    with blas_threads(None):
        assert blas_now() == {2}


def test_the_smallest_number_wins_while_two_hold_it():
    with blas_threads(2), blas_threads(1):
        assert blas_now() == {1}
    assert blas_now() == {2}


def test_leaving_in_the_order_of_coming_gives_back_what_was_there_first():
    # With plain threadpool_limits the second would put back the first one's number, for good.
    # And the first one is still alive: threadpoolctl would not let others change anything.
    came, may_leave, left, may_end = (threading.Event() for _ in range(4))

    def first():
        with blas_threads(1):
            came.set()
            may_leave.wait(10)
        left.set()
        may_end.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    assert came.wait(10)
    assert blas_now() == {1}
    with blas_threads(1):
        may_leave.set()
        assert left.wait(10)
        assert blas_now() == {1}
    assert blas_now() == {2}
    may_end.set()
    thread.join(10)


def test_an_exception_gives_blas_back_too():
    with pytest.raises(RuntimeError), blas_threads(1):
        raise RuntimeError
    assert blas_now() == {2}
