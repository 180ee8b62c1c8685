"""Short proofs with SymPy: each function returns if it went through, or raises `ClaimError`."""

import importlib
from typing import Any

from crossent.claims._expect import ClaimError
from crossent.errors import CrossentError

__all__ = [
    "convexity",
    "cumulants",
    "equivariance",
    "exponential_families",
    "gap_of_two",
    "gradient_for_any_target",
    "hessian_and_covariance",
    "limits_of_the_soft_maximum",
    "losses_of_two_noises",
    "mixed_derivatives",
    "nesting",
    "rewriting_of_the_loss",
    "softmin_is_a_mirror",
    "through_gradient",
]


def _sympy() -> Any:
    """The library, which is an extra."""
    try:
        return importlib.import_module("sympy")
    except ModuleNotFoundError as error:
        message = "a proof needs SymPy, which is not installed: pip install 'crossent[symbolic]'"
        raise CrossentError(message) from error


def _vanishes(sp: Any, name: str, *expressions: Any) -> None:
    """Every expression is identically zero."""
    for expression in expressions:
        rest = sp.simplify(expression)
        if rest != 0:
            message = f"{name}: {rest} is left, and should be 0."
            raise ClaimError(message)


def _log_sum(sp: Any, o: Any) -> Any:
    return sp.log(sum(sp.exp(x) for x in o))


def _softmax(sp: Any, o: Any) -> list[Any]:
    total = sum(sp.exp(x) for x in o)
    return [sp.exp(x) / total for x in o]


def losses_of_two_noises() -> None:
    """-log of a Gaussian density is the squared loss; of a softmax probability, cross-entropy."""
    sp = _sympy()
    y, mu = sp.symbols("y mu", real=True)
    sigma = sp.symbols("sigma", positive=True)
    density = sp.exp(-((y - mu) ** 2) / (2 * sigma**2)) / (sigma * sp.sqrt(2 * sp.pi))
    squared = (y - mu) ** 2 / (2 * sigma**2)
    loss = sp.expand_log(-sp.log(density), force=True)
    _vanishes(sp, "the rest depends on mu", sp.diff(loss - squared, mu))
    o = sp.symbols("o1:4", real=True)
    categorical = sp.expand_log(-sp.log(_softmax(sp, o)[0]), force=True)
    _vanishes(sp, "categorical loss", categorical - (_log_sum(sp, o) - o[0]))


def rewriting_of_the_loss() -> None:
    """-Σ y log softmax = log Σ exp - Σ y o if Σ y = 1, and else off by (Σ y - 1) log Σ exp."""
    sp = _sympy()
    o, y = sp.symbols("o1:4", real=True), sp.symbols("y1:4", real=True)
    logs = [sp.expand_log(sp.log(p), force=True) for p in _softmax(sp, o)]
    first = -sum(a * b for a, b in zip(y, logs, strict=True))
    second = _log_sum(sp, o) - sum(a * b for a, b in zip(y, o, strict=True))
    _vanishes(sp, "difference", first - second - (sum(y) - 1) * _log_sum(sp, o))


def gradient_for_any_target() -> None:
    """The gradient of log Σ exp(o) - y·o is softmax(o) - y, for q = 2, 3, 4."""
    sp = _sympy()
    for q in (2, 3, 4):
        o, y = sp.symbols(f"o1:{q + 1}", real=True), sp.symbols(f"y1:{q + 1}", real=True)
        loss = _log_sum(sp, o) - sum(a * b for a, b in zip(y, o, strict=True))
        p = _softmax(sp, o)
        _vanishes(sp, "gradient", *(sp.diff(loss, o[j]) - (p[j] - y[j]) for j in range(q)))


def through_gradient() -> None:
    """The derivative of H(softmax(o)) by o_j is -p_j (log p_j + H)."""
    sp = _sympy()
    o = sp.symbols("o1:4", real=True)
    p = _softmax(sp, o)
    logs = [x - _log_sum(sp, o) for x in o]
    H = -sum(a * b for a, b in zip(p, logs, strict=True))
    _vanishes(sp, "gradient", *(sp.diff(H, o[j]) + p[j] * (logs[j] + H) for j in range(3)))


def exponential_families() -> None:
    """A'(η) is the mean: each family's sum or integral of y exp(yη - A) h(y) says so."""
    sp = _sympy()
    eta, y = sp.symbols("eta y", real=True)
    mean = sp.exp(eta) / (1 + sp.exp(eta))
    _vanishes(sp, "Bernoulli", sp.diff(sp.log(1 + sp.exp(eta)), eta) - mean)
    k = sp.symbols("k", integer=True, nonnegative=True)
    rate, t = sp.symbols("rate t", positive=True)
    # y = 0 adds nothing to the mean, and y / y! is 1 / (y - 1)!: the sum starts at y = k + 1.
    total = sp.summation(rate ** (k + 1) / sp.factorial(k), (k, 0, sp.oo)) * sp.exp(-rate)
    _vanishes(sp, "Poisson", sp.diff(sp.exp(eta), eta) - total.subs(rate, sp.exp(eta)))
    normal = sp.exp(-((y - eta) ** 2) / 2) / sp.sqrt(2 * sp.pi)
    integral = sp.integrate(y * normal, (y, -sp.oo, sp.oo))
    _vanishes(sp, "Gaussian", sp.diff(eta**2 / 2, eta) - integral)
    # The exponential distribution has eta = -rate and A = -log(-eta).
    waiting = sp.integrate(t * rate * sp.exp(-rate * t), (t, 0, sp.oo))
    slope = sp.diff(-sp.log(-eta), eta).subs(eta, -rate)
    _vanishes(sp, "exponential", slope - waiting)


def hessian_and_covariance() -> None:
    """The Hessian of the loss and the covariance of the one-hot label are one matrix, q = 2, 3."""
    sp = _sympy()
    for q in (2, 3):
        o = sp.symbols(f"o1:{q + 1}", real=True)
        p = _softmax(sp, o)
        for i in range(q):
            for j in range(q):
                second = sp.diff(_log_sum(sp, o), o[i], o[j])
                covariance = sum(
                    p[k] * (int(k == i) - p[i]) * (int(k == j) - p[j]) for k in range(q)
                )
                printed = p[i] * (int(i == j) - p[j])
                _vanishes(sp, f"entry {i + 1}, {j + 1}", second - covariance, second - printed)


def mixed_derivatives() -> None:
    """∂o_1/∂o_3 is 0 and ∂²loss/∂o_1∂o_3 = -p_1 p_3 is not."""
    sp = _sympy()
    o = sp.symbols("o1:4", real=True)
    p = _softmax(sp, o)
    _vanishes(sp, "o_1 by o_3", sp.diff(o[0], o[2]))
    _vanishes(sp, "loss by both", sp.diff(_log_sum(sp, o) - o[0], o[0], o[2]) + p[0] * p[2])


def cumulants() -> None:
    """Log E exp(t·Y) = g(o + t) - g(o), and its third derivatives are central moments."""
    sp = _sympy()
    o, t = sp.symbols("o1:4", real=True), sp.symbols("t1:4", real=True)
    p = _softmax(sp, o)
    moments = sp.log(sum(a * sp.exp(b) for a, b in zip(p, t, strict=True)))
    shifted = _log_sum(sp, [a + b for a, b in zip(o, t, strict=True)])
    _vanishes(sp, "generating function", sp.exp(moments) - sp.exp(shifted - _log_sum(sp, o)))
    for i, j, k in ((0, 0, 0), (0, 0, 1), (0, 1, 2)):
        third = sp.diff(_log_sum(sp, o), o[i], o[j], o[k])
        central = sum(
            p[c] * (int(c == i) - p[i]) * (int(c == j) - p[j]) * (int(c == k) - p[k])
            for c in range(3)
        )
        _vanishes(sp, "third derivative", third - central)


def convexity() -> None:
    """Along any v the second derivative is Σ_{i<j} p_i p_j (v_i - v_j)², which is not negative."""
    sp = _sympy()
    for q in (2, 3):
        o, v = sp.symbols(f"o1:{q + 1}", real=True), sp.symbols(f"v1:{q + 1}", real=True)
        p = _softmax(sp, o)
        pairs = [(i, j) for i in range(q) for j in range(q)]
        form = sum(sp.diff(_log_sum(sp, o), o[i], o[j]) * v[i] * v[j] for i, j in pairs)
        squares = sum(p[i] * p[j] * (v[i] - v[j]) ** 2 for i, j in pairs if i < j)
        _vanishes(sp, "quadratic form", form - squares)


def equivariance() -> None:
    """Adding b to all logits: g(x + b) = g(x) + b, and the softmax stays."""
    sp = _sympy()
    b = sp.symbols("b", real=True)
    x = sp.symbols("x1:4", real=True)
    moved = [a + b for a in x]
    _vanishes(
        sp, "log-sum-exp", sp.expand(sp.exp(_log_sum(sp, moved))) - sp.exp(_log_sum(sp, x) + b)
    )
    before, after = _softmax(sp, x), _softmax(sp, moved)
    _vanishes(sp, "softmax", *(p - r for p, r in zip(before, after, strict=True)))


def gap_of_two() -> None:
    """The gap log(eᵃ + eᵇ) - a = log(1 + e^-d) falls from log 2 at d = a - b = 0 towards 0."""
    sp = _sympy()
    a, b = sp.symbols("a b", real=True)
    d = sp.symbols("d", nonnegative=True)
    _vanishes(sp, "gap", sp.exp(_log_sum(sp, [a, b]) - a) - (1 + sp.exp(b - a)))
    gap = sp.log(1 + sp.exp(-d))
    _vanishes(sp, "at d = 0", gap.subs(d, 0) - sp.log(2))
    _vanishes(sp, "in the limit", sp.limit(gap, d, sp.oo))
    if not sp.diff(gap, d).is_negative:
        message = "the gap is not seen to fall"
        raise ClaimError(message)


def limits_of_the_soft_maximum() -> None:
    """λ⁻¹ log(e^{λa} + e^{λb}) tends to max, min, and without λ⁻¹ log 2 to the mean."""
    sp = _sympy()
    a = sp.symbols("a", real=True)
    d, inverse = sp.symbols("d lambda", positive=True)  # b = a - d
    value = a + sp.log(1 + sp.exp(-inverse * d)) / inverse
    _vanishes(sp, "to infinity", sp.limit(value, inverse, sp.oo) - a)
    mirrored = (a - d) - sp.log(1 + sp.exp(-inverse * d)) / inverse  # λ = -inverse
    _vanishes(sp, "to minus infinity", sp.limit(mirrored, inverse, sp.oo) - (a - d))
    centred = value - sp.log(2) / inverse
    _vanishes(sp, "to 0", sp.limit(centred, inverse, 0) - (2 * a - d) / 2)


def softmin_is_a_mirror() -> None:
    """-log(e^-a + e^-b) is the soft maximum at λ = -1, and moves with its arguments."""
    sp = _sympy()
    a, b, c = sp.symbols("a b c", real=True)
    softmin = -_log_sum(sp, [-a, -b])
    moved = -_log_sum(sp, [-(a + c), -(b + c)])
    _vanishes(sp, "shift", sp.exp(-moved) - sp.exp(-(softmin + c)))
    below_a = sp.exp(-softmin + a) - (1 + sp.exp(a - b))  # above 1, so softmin < a
    _vanishes(sp, "gap", below_a)


def nesting() -> None:
    """g(x, g(y, z)) = g(x, y, z)."""
    sp = _sympy()
    x, y, z = sp.symbols("x y z", real=True)
    nested = _log_sum(sp, [x, _log_sum(sp, [y, z])])
    _vanishes(sp, "nesting", nested - _log_sum(sp, [x, y, z]))
