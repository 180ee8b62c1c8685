"""The mathematics again, in mpmath and as in the textbook: no shift, no case distinction.

400 digits: beside 1, an exponential of -745 (the smallest that float64 holds) is a digit in place
324, so 76 digits of it are left. Numbers go in as floats, exactly; -inf is an excluded class.
"""

from functools import lru_cache

import mpmath
import numpy as np
from mpmath import mpf

mpmath.mp.dps = 400

EPS = {
    "bfloat16": 2.0**-7,
    "float16": 2.0**-10,
    "float32": 2.0**-23,
    "float64": 2.0**-52,
}
TINY = {  # smallest normal numbers
    "bfloat16": 2.0**-126,
    "float16": 2.0**-14,
    "float32": 2.0**-126,
    "float64": 2.0**-1022,
}
HUGE = {
    "bfloat16": 2.0**127 * (2 - 2.0**-7),
    "float16": 65504.0,
    "float32": 2.0**127 * (2 - 2.0**-23),
    "float64": 2.0**1023 * (2 - 2.0**-52),
}
WORKING = {
    "bfloat16": "float32",
    "float16": "float32",
    "float32": "float32",
    "float64": "float64",
}


@lru_cache(maxsize=4096)
def exponentials(z, divisor=1.0):
    return tuple(mpmath.exp(mpf(x) / mpf(divisor)) for x in z)


def softmax(z, divisor=1.0):
    e = exponentials(tuple(z), divisor)
    total = mpmath.fsum(e)
    return [x / total for x in e]


def logsumexp(z, divisor=1.0):
    return mpmath.log(mpmath.fsum(exponentials(tuple(z), divisor)))


def log_softmax(z, divisor=1.0):
    total = logsumexp(z, divisor)
    return [mpf(x) / mpf(divisor) - total for x in z]


def loss(z, y):
    """-Σ y log softmax(z), with 0 · inf = 0."""
    return -mpmath.fsum(t * x for t, x in zip(y, log_softmax(z), strict=True) if t != 0)


def gradient(z, y):
    return [a - mpf(t) for a, t in zip(softmax(z), y, strict=True)]


def hessian(z):
    p = softmax(z)
    return [[p[i] * ((i == j) - p[j]) for j in range(len(p))] for i in range(len(p))]


def plain(y):
    """Distribution of floats, divided exactly by its sum."""
    total = mpmath.fsum(mpf(t) for t in y)
    return [mpf(t) / total for t in y]


def entropy(p):
    return -mpmath.fsum(t * mpmath.log(t) for t in p if t != 0)


def cross_entropy(p, q):
    return mpmath.fsum(
        t * (-mpmath.log(u) if u != 0 else mpmath.inf) for t, u in zip(p, q, strict=True) if t != 0
    )


def kl(p, q):
    return mpmath.fsum(
        t * (mpmath.log(t / u) if u != 0 else mpmath.inf)
        for t, u in zip(p, q, strict=True)
        if t != 0
    )


def js(p, q):
    middle = [(t + u) / 2 for t, u in zip(p, q, strict=True)]
    return (kl(p, middle) + kl(q, middle)) / 2


def mutual_information(joint):
    rows = [mpmath.fsum(row) for row in joint]
    columns = [mpmath.fsum(column) for column in zip(*joint, strict=True)]
    return kl([p for row in joint for p in row], [a * b for a in rows for b in columns])


def runner_up(z, divisor=1.0):
    """Distance of the second largest entry from the largest; 0 for ties and single entries."""
    ordered = sorted((x for x in z if x != -mpmath.inf), reverse=True)
    return (mpf(ordered[0]) - mpf(ordered[1])) / mpf(divisor) if len(ordered) > 1 else mpf(0)


def distances(z, divisor=1.0):
    return [(mpf(max(z)) - mpf(x)) / mpf(divisor) for x in z]


def rounding(dtype, exact, bound):
    """Absolute error that is allowed for a result in `dtype`, whose arithmetic errs by `bound`.

    16-bit results are rounded once more, by half an epsilon. Below the smallest normal number of
    the arithmetic or of the result, the error is absolute.
    """
    error = bound + mpf(TINY[WORKING[dtype]])
    if WORKING[dtype] != dtype:
        error += mpf(EPS[dtype]) / 2 * (abs(exact) + error) + mpf(TINY[dtype]) * mpf(EPS[dtype])
    return error


def assert_within(actual, exact, bounds, dtype):
    """Each entry of `actual` is within its absolute bound of the exact number, or equally infinite.

    A number that `dtype` cannot hold must come out as inf of its sign.
    """
    assert len(actual) == len(exact) == len(bounds)
    for index, (a, e, bound) in enumerate(zip(actual, exact, bounds, strict=True)):
        if abs(e) > HUGE[dtype] * (1 + EPS[dtype] / 4):
            assert a == (mpmath.inf if e > 0 else -mpmath.inf), (index, a, mpmath.nstr(e, 20))
            continue
        error, allowed = abs(mpf(float(a)) - e), rounding(dtype, e, mpf(bound))
        assert error <= allowed, (
            f"entry {index}: {float(a)!r} for {mpmath.nstr(e, 20)}, "
            f"error {mpmath.nstr(error, 5)} > {mpmath.nstr(allowed, 5)}"
        )


def soft_target(z):
    """A distribution of binary fractions, exact in every dtype, that spares excluded classes."""
    open_classes = [j for j, x in enumerate(z) if x != -mpmath.inf][:4]
    y = [0.0] * len(z)
    for j, share in zip(open_classes, [0.5, 0.25, 0.125, 0.125], strict=False):
        y[j] = share
    y[open_classes[0]] += 1 - sum(y)
    return y


def random_problem(seed=0, n=7, q=4):
    """Logits, labels, distributions, row and class weights, none of them special."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, q)) * 3
    labels = rng.integers(q, size=n)
    y = rng.dirichlet(np.ones(q), size=n)
    return z, labels, y, rng.uniform(0.2, 3, size=n), rng.uniform(0.2, 3, size=q)


def differences(function, x, h=1e-5):
    """Central differences of a function with array values: shape of the value, then of x."""
    columns = []
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = h
        columns.append((np.asarray(function(x + step)) - np.asarray(function(x - step))) / (2 * h))
    value_shape = columns[0].shape
    return np.moveaxis(np.asarray(columns), 0, -1).reshape(*value_shape, *x.shape)
