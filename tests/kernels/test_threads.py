"""Threads: the same bits for any number, several callers at once, life after a fork."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kernel_definition import NAMES, all_sums

from crossent.kernels import dense, sparse, threads

ACCUMULATE = {"dense": dense.accumulate, "csr": sparse.accumulate}
storages = pytest.mark.parametrize("storage", ["dense", "csr"])


def run(storage, problem_parts, n_threads):
    block, W, b = problem_parts
    out = all_sums(block.X.shape[0], W.shape[1], len(b))
    ACCUMULATE[storage](block, W, b, out, n_threads)
    return out


def assert_same_bits(one, other):
    for name in NAMES:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@storages
@pytest.mark.parametrize("tiled", [False, True])
def test_result_does_not_depend_on_the_number_of_threads(problem, monkeypatch, storage, tiled):
    monkeypatch.setattr(dense, "_CHUNK_WORK", 1e5)
    if tiled:
        monkeypatch.setattr(dense, "_FUSED_BYTES", 0)
        monkeypatch.setattr(dense, "_SUPERBLOCK_BYTES", 0)
    parts = problem(3000, 37, 7, np.float32, csr=storage == "csr")
    first = run(storage, parts, 1)
    for n_threads in (2, 3, 5, 16):
        for _ in range(2):
            assert_same_bits(run(storage, parts, n_threads), first)


@storages
def test_several_python_threads_can_make_passes_at_once(problem, monkeypatch, storage):
    monkeypatch.setattr(dense, "_CHUNK_WORK", 1e5)
    problems = [
        problem(900 + 10 * k, 20, 5, np.float64, csr=storage == "csr", seed=k) for k in range(6)
    ]
    alone = [run(storage, parts, 2) for parts in problems]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda parts: run(storage, parts, 2), problems * 4))
    for k, out in enumerate(together):
        assert_same_bits(out, alone[k % 6])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_passes_work_in_a_forked_child_and_after_it_in_the_parent():
    script = """
    import os, warnings
    import numpy as np
    from crossent.kernels import PassSums, dense
    from crossent.typing import Block
    dense._CHUNK_WORK = 1e5
    warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of any fork with threads
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 30))
    block = Block(X, rng.integers(0, 3, 4000), np.full(4000, 1 / 4000), None, 0)
    def go():
        out = PassSums(np.zeros((3, 30)), np.zeros(3))
        dense.accumulate(block, np.ones((3, 30)), np.zeros(3), out, 3)
        return out.gradient_W
    before = go()
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(go(), before) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(go(), before)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    finished = subprocess.run(command, timeout=120, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_each_number_is_called_once_and_all_are_done_on_return():
    for n_threads in (1, 2, 7):
        called = []
        threads.run(called.append, 100, n_threads)
        assert sorted(called) == list(range(100))


def test_at_most_the_given_number_of_threads_work():
    names = set()
    threads.run(lambda _: names.add(threading.get_ident()), 1000, 3)
    assert 1 <= len(names) <= 3
    names.clear()
    threads.run(lambda _: names.add(threading.get_ident()), 1000, 1)
    assert names == {threading.get_ident()}


def test_an_exception_reaches_the_caller_and_stops_the_other_threads():
    for n_threads in (1, 4):
        together = threading.Barrier(n_threads)
        called = []

        def task(number, called=called, together=together, n_threads=n_threads):
            called.append(number)
            if number < n_threads:
                together.wait(30)  # all are at work before one fails
            if number == 0:
                message = "zero"
                raise ValueError(message)
            time.sleep(1e-3)

        with pytest.raises(ValueError, match="zero"):
            threads.run(task, 1000, n_threads)
        assert len(called) < 500


def test_an_exception_in_a_helper_reaches_the_caller():
    caller = threading.get_ident()
    helper_came = threading.Event()

    def task(_):
        if threading.get_ident() == caller:
            helper_came.wait(30)
        else:
            helper_came.set()
            message = "from a helper"
            raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="from a helper"):
        threads.run(task, 2, 2)


def test_usable_cores_heed_affinity_quota_and_environment(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "_CGROUP", tmp_path)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads.usable_cores() == 8
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert threads.usable_cores() == 8
    (tmp_path / "cpu.max").write_text("250000 100000\n")
    assert threads.usable_cores() == 3
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert threads.usable_cores() == 8
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("500000\n")
    assert threads.usable_cores() == 5
    for text, cores in (("2", 2), ("4,2", 4), ("64", 5), ("", 5), ("0", 5), ("many", 5)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert threads.usable_cores() == cores


def test_n_threads_is_taken_as_given_or_from_the_machine(monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 6)
    assert threads.resolve(None) == 6
    assert threads.resolve(3) == 3
    assert threads.resolve(0) == 1
