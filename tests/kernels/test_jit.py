"""Compiled code is cached on disk where that is possible, and works where it is not."""

import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from numba import types

from crossent.kernels import jit

SIGNATURE = types.float64(types.float64)


def double(x):
    return 2 * x


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("cannot cache function: no locator available"),
        OSError("No space left on device"),
        EOFError("Ran out of input"),
        pickle.UnpicklingError("invalid load key"),
    ],
)
def test_a_cache_that_cannot_be_used_does_not_stop_a_kernel(monkeypatch, error):
    asked = []

    def fussy(*args, **options):
        asked.append(options.get("cache", False))
        if options.get("cache"):
            raise error
        return numba.njit(*args, **options)

    monkeypatch.setattr(jit, "_njit", fussy)
    assert jit.entry(double, SIGNATURE, np.dtype(float))(21.0) == 42.0
    assert asked == [True, False]


SCRIPT = """
import sys
import numpy as np
from numba import types
from crossent.kernels import jit
import script_module
jit.source_stamp = lambda: int(sys.argv[1])
function = jit.entry(script_module.triple, types.float64(types.float64), np.dtype(float))
assert function(14.0) == 42.0
print(sum(function.stats.cache_hits.values()), sum(function.stats.cache_misses.values()))
"""


def run_script(folder, stamp, cache):
    (folder / "script_module.py").write_text("def triple(x):\n    return 3 * x\n")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(folder)}
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(stamp)],
        timeout=120, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return tuple(int(word) for word in finished.stdout.split())


def test_cache_serves_the_next_process_unless_the_stamp_changed(tmp_path):
    cache = tmp_path / "cache"
    assert run_script(tmp_path, 1, cache) == (0, 1)
    assert run_script(tmp_path, 1, cache) == (1, 0)
    assert run_script(tmp_path, 2, cache) == (0, 1)


def test_each_type_has_a_cache_index_of_its_own(tmp_path, monkeypatch):
    # Two processes that write one index at the same time can exchange its entries.
    folders = []

    def see(*args, **options):
        def decorate(function):
            folders.append(function.__qualname__)
            return function

        return decorate

    monkeypatch.setattr(jit, "_njit", see)
    for dtype in (np.float32, np.float64):
        jit.entry(double, SIGNATURE, np.dtype(dtype))
    assert len(set(folders)) == 2
    assert double.__qualname__ == "double"


def test_a_cache_folder_that_cannot_be_made_is_no_obstacle(tmp_path):
    blocked = tmp_path / "a-file"
    blocked.write_text("not a folder")
    hits, _ = run_script(tmp_path, 3, blocked / "cache")
    assert hits == 0


@pytest.mark.parametrize("kind", ["*.nbi", "*.nbc"])
def test_a_damaged_cache_is_no_obstacle(tmp_path, kind):
    cache = tmp_path / "cache"
    run_script(tmp_path, 1, cache)
    damaged = list(cache.rglob(kind))
    assert damaged
    for path in damaged:
        path.write_bytes(b"damaged")
    run_script(tmp_path, 1, cache)


def test_stamp_is_stable_and_depends_on_the_sources(tmp_path, monkeypatch):
    first = jit.source_stamp()
    jit.source_stamp.cache_clear()
    assert jit.source_stamp() == first
    (tmp_path / "jit.py").write_text("x = 1")
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "jit.py"))
    jit.source_stamp.cache_clear()
    changed = jit.source_stamp()
    jit.source_stamp.cache_clear()
    assert changed != first


def test_threads_that_come_first_together_compile_once():
    made = []
    together = threading.Barrier(4)

    @jit.once
    def make(dtype):
        made.append(dtype)
        time.sleep(0.05)
        return len(made)

    def ask(_):
        together.wait(30)
        return make(np.dtype(float))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [1, 1, 1, 1]
    assert make(np.dtype(np.float32)) == 2


def test_sums_may_be_reordered_only_where_it_is_allowed():
    # -1e30 + 1e30 + 1: the order decides; without leave the compiler must keep it.
    @jit.inner()
    def total(x):
        out = 0.0
        for value in x:
            out += value
        return out

    @numba.njit
    def call(x):
        return total(x)

    x = np.tile([1e30, 1.0, -1e30, 1.0], 16)
    kept = 0.0
    for value in x:
        kept += value
    assert call(x) == kept
