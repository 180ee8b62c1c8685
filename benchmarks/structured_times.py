"""Milliseconds of structured heads beside the dense product: for a machine that does nothing else.

The parts times, hadamard and break_even of ``benchmarks.structured``.
"""

import math
import time
from functools import partial

import numpy as np
from benchmarks.structured_fits import SHAPES, configurations

from crossent.linear_maps import Dense, hadamard_transform, make_map

BATCHES = (1, 16, 256, 4096)
CELLS_N = (64, 128, 256, 512, 1024, 2048, 4096)
CELLS_BATCH = (1, 4, 16, 64, 256, 1024, 4096)
LARGEST_CELL = 4e10  # flops of the dense product: half a second
SECONDS_A_TIME = 0.03


def milliseconds(call):
    """The least of several runs, after one that does not count."""
    call()
    best, spent = math.inf, 0.0
    while spent < SECONDS_A_TIME or spent == best:
        started = time.perf_counter()
        call()
        seconds = time.perf_counter() - started
        best, spent = min(best, seconds), spent + seconds
        if spent > 20 * SECONDS_A_TIME:
            break
    return 1e3 * best


def times_of(shape, choice, options):
    """Milliseconds of the map at each batch, in float32."""
    rng = np.random.default_rng(0)
    linear_map = make_map(choice, shape, rng=rng, **options)
    theta = linear_map.start(rng).astype(np.float32)
    W = linear_map.to_dense(theta).astype(np.float32)
    found = {}
    for batch in BATCHES:
        X = rng.standard_normal((batch, shape[1])).astype(np.float32)
        call = partial(linear_map.apply, theta, X)
        if isinstance(linear_map, Dense):  # without what a map's door adds
            call = partial(np.matmul, X, W.T)
        found[str(batch)] = milliseconds(call)
    return found


def times(results, quick):
    """Every row of the tables of accuracy."""
    for shape in ((26, 16),) if quick else dict.fromkeys(SHAPES.values()):
        for row, (choice, options, _) in configurations(*shape).items():
            arguments = (shape, choice, options)
            key = f"{shape[0]}x{shape[1]}, {row}"
            results.cell("times", key, lambda a=arguments: times_of(*a))


def butterfly(X):
    """The Hadamard transform of the textbooks: log₂ n passes of sums and differences."""
    m, n = X.shape
    width = 1
    while width < n:
        pairs = X.reshape(m, -1, 2, width)
        X = np.stack((pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]), axis=2)
        width *= 2
    return X.reshape(m, n) * X.dtype.type(1 / math.sqrt(n))


def butterfly_in_place(X):
    """The same, writing to two buffers in turn: the quickest form in NumPy that we know."""
    m, n = X.shape
    here, there = X.copy(), np.empty_like(X)
    width = 1
    while width < n:
        pairs, out = here.reshape(m, -1, 2, width), there.reshape(m, -1, 2, width)
        np.add(pairs[:, :, 0], pairs[:, :, 1], out=out[:, :, 0])
        np.subtract(pairs[:, :, 0], pairs[:, :, 1], out=out[:, :, 1])
        here, there, width = there, here, 2 * width
    here *= here.dtype.type(1 / math.sqrt(n))
    return here


def hadamard_times(n):
    """Milliseconds of the three ways for 256 rows of length n, after a look at their results."""
    X = np.random.default_rng(0).standard_normal((256, n)).astype(np.float32)
    for other in (butterfly(X), butterfly_in_place(X)):
        np.testing.assert_allclose(hadamard_transform(X), other, atol=1e-4)
    W = np.random.default_rng(1).standard_normal((n, n)).astype(np.float32)
    return {
        "products": milliseconds(lambda: hadamard_transform(X)),
        "butterfly": milliseconds(lambda: butterfly(X)),
        "butterfly in place": milliseconds(lambda: butterfly_in_place(X)),
        "dense": milliseconds(lambda: X @ W.T),
    }


def hadamard(results, quick):
    """The transform by products beside the butterfly."""
    for n in (256, 1024) if quick else (256, 512, 1024, 2048, 4096):
        results.cell("hadamard", str(n), lambda n=n: hadamard_times(n))


def square_maps(n):
    """The maps of the break-even table in their usual sizes."""
    return {
        "low_rank n/16": ("low_rank", {"rank": max(1, n // 16)}),
        "low_rank n/8": ("low_rank", {"rank": max(1, n // 8)}),
        "block_diagonal 8": ("block_diagonal", {"blocks": 8}),
        "monarch √n": ("monarch", {}),
        "fastfood": ("fastfood", {}),
        "circulant": ("circulant", {}),
        "toeplitz": ("toeplitz", {}),
        "toeplitz_like 2": ("toeplitz_like", {"rank": 2}),
        "phm 4": ("phm", {"n": 4}),
    }


def break_even_column(n, batch):
    """Milliseconds of the dense product and of every map."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((batch, n)).astype(np.float32)
    W = rng.standard_normal((n, n)).astype(np.float32)
    found = {"dense": milliseconds(lambda: X @ W.T)}
    for row, (name, options) in square_maps(n).items():
        linear_map = make_map(name, (n, n), rng=rng, **options)
        theta = rng.standard_normal(linear_map.n_parameters).astype(np.float32)
        found[row] = milliseconds(lambda m=linear_map, t=theta: m.apply(t, X))
    return found


def break_even(results, quick):
    """All cells (n, batch) in which the dense product takes half a second at most."""
    for n in CELLS_N[::3] if quick else CELLS_N:
        for batch in CELLS_BATCH[::3] if quick else CELLS_BATCH:
            if 2.0 * n * n * batch <= LARGEST_CELL:
                make = lambda n=n, b=batch: break_even_column(n, b)  # noqa: E731
                results.cell("break_even", f"{n}, {batch}", make)
