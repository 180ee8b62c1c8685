"""Threads of our own, and those of the user, who may call from many at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from crossent.torch import linear_cross_entropy
from crossent.torch import threads as own


def in_new_thread(task):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(task).result()


def test_python_threads_that_start_together_all_get_the_same_bits(threads):
    threads(2)
    generator = torch.Generator().manual_seed(1)
    X, W = (torch.randn(shape, generator=generator) for shape in ((200, 16), (3000, 16)))
    y = torch.randint(3000, (200,), generator=generator)

    def once():
        a, b = X.clone().requires_grad_(), W.clone().requires_grad_()
        loss = linear_cross_entropy(a, b, y)
        return [loss.detach(), *torch.autograd.grad(loss, (a, b))]

    expected, together = once(), threading.Barrier(32)

    def started():
        together.wait()
        return [once() for _ in range(3)]

    with ThreadPoolExecutor(32) as pool:
        found = [task.result() for task in [pool.submit(started) for _ in range(32)]]
    for results in found:
        for result in results:
            assert all(torch.equal(one, other) for one, other in zip(result, expected, strict=True))


@pytest.mark.parametrize("limit", [own._limit_own, own._limit_through_torch])
def test_a_thread_that_works_alone_changes_nothing_for_others(threads, limit):
    if limit is own._limit_own and own._limits() is None:
        pytest.skip("the libraries' own functions are not to be found here")
    threads(3)
    numbers = in_new_thread(lambda: (limit(), torch.get_num_threads())[1])

    assert numbers == 1
    assert torch.get_num_threads() == 3
    assert in_new_thread(torch.get_num_threads) == 3


def test_where_the_libraries_hide_their_functions_pytorch_is_asked(threads, monkeypatch):
    threads(3)
    monkeypatch.setattr(own, "_limits", lambda: None)

    def prepared():
        own._prepare()
        return torch.get_num_threads()

    assert in_new_thread(prepared) == 1
    assert in_new_thread(torch.get_num_threads) == 3


def test_a_library_that_does_not_obey_is_noticed(threads, monkeypatch):
    threads(3)
    monkeypatch.setattr(own, "_limits", lambda: [lambda count: None])  # noqa: ARG005

    assert in_new_thread(own._limit_own) is False
