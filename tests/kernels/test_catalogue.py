"""The catalogue: which kernel serves, why not, and that nobody waits for a compiler in vain."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import scipy.sparse as sp

from crossent.kernels import CATALOGUE, NUMPY_BLOCKS, Problem, choose, explain, problem_of
from crossent.kernels.catalogue import COMPILED_WORK

MNIST = Problem("dense", "C", np.dtype(np.float32), 60_000, 784, 10, 60_000 * 784)
BANKING = Problem("csr", "C", np.dtype(np.float64), 10_003, 43_948, 77, 1_720_000)


def with_changes(problem, **changes):
    return Problem(**{**vars(problem), **changes})


def test_large_problems_get_compiled_kernels_and_small_ones_numpy():
    assert choose(MNIST).name == "compiled-dense"
    assert choose(BANKING).name == "compiled-csr"
    assert choose(problem_of(np.zeros((20_000, 300), np.float32), 10_000)).name == "compiled-dense"
    for n, d, q in ((150, 4, 3), (178, 13, 3), (569, 30, 2), (1797, 64, 10)):
        assert choose(problem_of(np.zeros((n, d)), q)) is NUMPY_BLOCKS


def test_more_passes_make_compiling_worth_it():
    digits = problem_of(np.zeros((1797, 64)), 10)
    enough = int(COMPILED_WORK / digits.work)
    assert choose(digits, passes=enough - 1) is NUMPY_BLOCKS
    assert choose(digits, passes=enough + 1).name == "compiled-dense"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dtype": np.dtype(np.float16)}, "float16|<f2"),
        ({"dtype": np.dtype(">f8")}, ">f8"),
        ({"n_features": 0}, "no features"),
    ],
)
def test_what_compiled_kernels_cannot_do_is_named_and_numpy_does_it(change, reason):
    for problem in (MNIST, BANKING):
        asked = with_changes(problem, **change)
        assert choose(asked, passes=10**9) is NUMPY_BLOCKS
        refused = [c.refusal(asked) for c in CATALOGUE if c.compiled]
        own = 0 if problem.storage == "dense" else 1
        assert any(part in refused[own] for part in reason.split("|"))


def test_indices_beyond_32_bits_are_refused():
    for change in ({"n_rows": 2**31}, {"n_features": 2**31}):
        assert choose(with_changes(BANKING, **change)) is NUMPY_BLOCKS
        assert "2³¹" in explain(with_changes(BANKING, **change))


def test_without_a_compiler_numpy_serves_and_the_reason_is_given(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert choose(MNIST) is NUMPY_BLOCKS
    assert "NUMBA_DISABLE_JIT is set" in explain(MNIST)
    monkeypatch.delenv("NUMBA_DISABLE_JIT")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert choose(MNIST) is NUMPY_BLOCKS
    assert "not installed" in explain(MNIST)


def test_every_order_is_served_and_recognised():
    X = np.zeros((50, 20), np.float32)
    wide = np.zeros((50, 40), np.float32)
    for array, order in ((X, "C"), (np.asfortranarray(X), "F"), (wide[:, ::2], "strided"),
                         (wide[:, :20], "C"), (X[:, :1], "C"), (X[::-1], "C")):  # fmt: skip
        problem = problem_of(array, 3)
        assert problem.order == order
        assert CATALOGUE[0].refusal(problem) is None
    sparse = problem_of(sp.csr_array((X > 1).astype(np.float32)), 3, np.float64)
    assert (sparse.storage, sparse.dtype, sparse.n_nonzeros) == ("csr", np.dtype(float), 0)


def test_explanation_has_a_line_for_each_kernel_and_one_is_chosen():
    for problem in (MNIST, BANKING, problem_of(np.zeros((150, 4)), 3)):
        lines = explain(problem).splitlines()
        assert len(lines) == 1 + len(CATALOGUE)
        chosen = [line for line in lines if ": chosen." in line]
        assert len(chosen) == 1
        assert choose(problem).name in chosen[0]


def run_python(script):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        timeout=300,
        capture_output=True,
        text=True,
        check=False,
    )


def test_small_problems_never_load_numba():
    script = """
    import sys
    import numpy as np
    import crossent
    from crossent.kernels import PassSums, choose, explain, problem_of
    from crossent.typing import Block
    X = np.ones((1797, 64))
    kernel = choose(problem_of(X, 10))
    explain(problem_of(X, 10))
    block = Block(X, np.zeros(1797, int), np.full(1797, 1 / 1797), None, 0)
    kernel.accumulate(block, np.zeros((10, 64)), np.zeros(10), PassSums(np.zeros((10, 64)),
                      np.zeros(10)), None)
    assert not {"numba", "llvmlite"} & set(sys.modules)
    """
    finished = run_python(script)
    assert finished.returncode == 0, finished.stderr
