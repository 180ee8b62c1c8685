"""Short proofs about preferences, temperature and the write-up's derivations, with SymPy."""

from typing import Any

from crossent.claims._proofs import _log_sum, _softmax, _sympy, _vanishes

__all__ = [
    "any_shift",
    "divergence_and_loss",
    "entropy_and_divergence",
    "layer_derivatives",
    "limits_of_the_temperature",
    "odds_without_the_third",
    "powers_of_probabilities",
    "shares_of_scores",
]


def shares_of_scores() -> None:
    """∂p_i/∂o_i = p_i (1 - p_i), ∂p_j/∂o_i = -p_i p_j, and two items are a sigmoid."""
    sp = _sympy()
    o = sp.symbols("o1:4", real=True)
    p = _softmax(sp, o)
    for i in range(3):
        _vanishes(sp, "own slope", sp.diff(p[i], o[i]) - p[i] * (1 - p[i]))
        _vanishes(sp, "other slopes", *(sp.diff(p[j], o[i]) + p[i] * p[j] for j in {0, 1, 2} - {i}))
    two = _softmax(sp, o[:2])
    _vanishes(sp, "two items", two[0] - 1 / (1 + sp.exp(o[1] - o[0])))


def odds_without_the_third() -> None:
    """The odds of two items do not contain the third score, and a tie is a third score."""
    sp = _sympy()
    o1, o2, o3 = sp.symbols("o1:4", real=True)
    nu = sp.symbols("nu", positive=True)
    p = _softmax(sp, [o1, o2, o3])
    _vanishes(sp, "odds", p[0] / p[1] - sp.exp(o1 - o2))
    a, b = sp.exp(o1), sp.exp(o2)
    tie = nu * sp.exp((o1 + o2) / 2)  # ν √(a b)
    davidson = tie / (a + b + tie)
    third = _softmax(sp, [o1, o2, (o1 + o2) / 2 + sp.log(nu)])[2]
    _vanishes(sp, "Davidson's tie", davidson - third)


def powers_of_probabilities() -> None:
    """softmax(log P / T) is P^(1/T) over its sum."""
    sp = _sympy()
    P, T = sp.symbols("p1:4", positive=True), sp.symbols("T", positive=True)
    powers = [x ** (1 / T) for x in P]
    tempered = _softmax(sp, [sp.log(x) / T for x in P])
    for share, power in zip(tempered, powers, strict=True):
        _vanishes(sp, "share", share - power / sum(powers))


def limits_of_the_temperature() -> None:
    """Two tied classes and a smaller one, E = (0, 0, d): T → 0 and T → ∞."""
    sp = _sympy()
    d, T = sp.symbols("d T", positive=True)
    p = _softmax(sp, [0, 0, -d / T])
    cold = [sp.limit(x, T, 0, "+") for x in p]
    hot = [sp.limit(x, T, sp.oo) for x in p]
    half, third = sp.Rational(1, 2), sp.Rational(1, 3)
    _vanishes(sp, "cold", cold[0] - half, cold[1] - half, cold[2])
    _vanishes(sp, "hot", *(x - third for x in hot))


def _two_distributions(sp: Any) -> tuple[Any, Any]:
    """Positive numbers for P and Q."""
    return sp.symbols("p1:4", positive=True), sp.symbols("q1:4", positive=True)


def entropy_and_divergence() -> None:
    """H(P) + KL = H(P, Q); with + Σ p log p in place of H(P) the sum is off by -2 H(P)."""
    sp = _sympy()
    P, Q = _two_distributions(sp)
    entropy = -sum(p * sp.log(p) for p in P)
    divergence = sum(p * (sp.log(p) - sp.log(q)) for p, q in zip(P, Q, strict=True))
    crossed = -sum(p * sp.log(q) for p, q in zip(P, Q, strict=True))
    _vanishes(sp, "identity", entropy + divergence - crossed)
    _vanishes(sp, "as derived", -entropy + divergence - crossed + 2 * entropy)


def divergence_and_loss() -> None:
    """KL(P ‖ softmax(o)) and the cross-entropy differ by H(P), and have the gradient Q - P."""
    sp = _sympy()
    p1, p2 = sp.symbols("p1 p2", positive=True)
    P, o = (p1, p2, 1 - p1 - p2), sp.symbols("o1:4", real=True)
    logs = [x - _log_sum(sp, o) for x in o]
    crossed = -sum(p * q for p, q in zip(P, logs, strict=True))
    divergence = sum(p * (sp.log(p) - q) for p, q in zip(P, logs, strict=True))
    shares = _softmax(sp, o)
    for j in range(3):
        _vanishes(sp, "gradient of KL", sp.diff(divergence, o[j]) - (shares[j] - P[j]))
        _vanishes(sp, "gradient of H(P, Q)", sp.diff(crossed, o[j]) - (shares[j] - P[j]))


def any_shift() -> None:
    """-x_1 + a + log Σ exp(x - a) does not depend on a; its derivative by x is softmax - y."""
    sp = _sympy()
    x, a = sp.symbols("x1:4", real=True), sp.symbols("a", real=True)
    loss = -x[0] + a + _log_sum(sp, [v - a for v in x])
    _vanishes(sp, "derivative by a", sp.diff(loss, a))
    shares = _softmax(sp, x)
    for k in range(3):
        _vanishes(sp, "derivative by x", sp.diff(loss, x[k]) - (shares[k] - int(k == 0)))


def layer_derivatives() -> None:
    """Σ G·(X Wᵀ + b) has the derivatives G W by X, GᵀX by W, and the rows' sum of G by b."""
    sp = _sympy()
    X, W, G = (
        sp.Matrix(rows, columns, sp.symbols(f"{name}0:{rows * columns}"))
        for name, rows, columns in (("x", 2, 3), ("w", 2, 3), ("g", 2, 2))
    )
    b = sp.Matrix(1, 2, sp.symbols("b0:2"))
    outputs = X * W.T + sp.ones(2, 1) * b
    total = sum(G.multiply_elementwise(outputs))
    for matrix, gradient in ((X, G * W), (W, G.T * X), (b, sp.ones(1, 2) * G)):
        derivative = matrix.applyfunc(lambda entry: sp.diff(total, entry))
        _vanishes(sp, "derivative", *(derivative - gradient))
