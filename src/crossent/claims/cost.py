"""What a dense layer costs, and three ways to make it cheaper."""

import math

import numpy as np
import scipy.linalg

from crossent.claims._expect import below, close, equal
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.linear_maps import (
    PHM,
    Dense,
    Fastfood,
    LowRank,
    StructuredMap,
    Toeplitz,
    ToeplitzLike,
    left_multiplications,
)

__all__ = ["CLAIMS"]


class _Counted:
    """A number that counts its multiplications in a list shared by all."""

    def __init__(self, value: float, count: list[int]) -> None:
        self.value, self.count = value, count

    def __mul__(self, other: "_Counted") -> "_Counted":
        self.count[0] += 1
        return _Counted(self.value * other.value, self.count)

    def __add__(self, other: "_Counted") -> "_Counted":
        return _Counted(self.value + other.value, self.count)


def _multiplications(q: int, d: int) -> int:
    """How often the definition of W x multiplies."""
    count = [0]
    one = _Counted(1.0, count)
    np.full((q, d), one, dtype=object) @ np.full(d, one, dtype=object)
    return count[0]


def _dense() -> Numbers:
    dense = Dense((10, 784))
    equal("weights of 784 to 10", dense.n_parameters, 7840)
    equal("flops of a row", dense.flops(1), 2 * 7840)
    for q, d in ((3, 5), (6, 5), (3, 10)):
        equal(f"multiplications {d} to {q}, counted", _multiplications(q, d), q * d)
        equal(f"and promised, {d} to {q}", Dense((q, d)).flops(1), 2 * q * d)
    equal("flops of 256 rows", dense.flops(256), 256 * dense.flops(1))
    rng = np.random.default_rng(0)
    W, X, G = rng.normal(size=(10, 784)), rng.normal(size=(2, 784)), rng.normal(size=(2, 10))
    theta = dense.from_dense(W)
    outputs = [math.fsum(w * x for w, x in zip(row, X[0], strict=True)) for row in W]
    close("W x", dense.apply(theta, X)[0], outputs, abs=1e-12)
    close(
        "gradient by W",
        dense.gradient(theta, X, G),
        np.einsum("ij,ik->jk", G, X).ravel(),
        rel=1e-13,
        abs=1e-13,
    )
    close("gradient by x", dense.adjoint(theta, G)[0], (W.T * G[0]).sum(axis=1), abs=1e-12)
    return {
        "d, q": [784, 10],
        "weights": dense.n_parameters,
        "multiplications a row: forward, gradient by W, gradient by x": [dense.flops(1) // 2] * 3,
        "multiplications counted at d = 5, q = 3": _multiplications(3, 5),
    }


def _explicit_fastfood(block: Fastfood) -> np.ndarray:
    """S H G Π H B of one block, multiplied out."""
    n = block.block_size
    H = scipy.linalg.hadamard(n) / math.sqrt(n)
    permutation = np.eye(n)[block.permutation[0]]
    S, G, B = (np.diag(v) for v in (block.scales, block.gains[0], block.signs[0].astype(float)))
    return np.asarray(S @ H @ G @ permutation @ H @ B)


def _fastfood() -> Numbers:
    rng = np.random.default_rng(0)
    small = Fastfood.random((8, 8), learn="SGB", rng=rng)
    theta = small.pack({"B": small.signs.astype(float), "G": small.gains, "S": small.scales})
    W = _explicit_fastfood(small)
    close("six matrices multiplied out", small.apply(theta, np.eye(8)).T, W, abs=1e-13)
    X, G = rng.normal(size=(4, 8)), rng.normal(size=(4, 8))
    close("adjoint", small.adjoint(theta, G), G @ W, abs=1e-12)
    close(
        "<W x, g> = <x, Wᵀ g>",
        (small.apply(theta, X) * G).sum(),
        (X * small.adjoint(theta, G)).sum(),
        rel=1e-12,
    )
    blocks = {n: Fastfood.random((n, n), learn="SGB", rng=rng) for n in (1024, 2048)}
    butterfly = [int(2 * n * math.log2(n)) + 3 * n for n in blocks]
    equal("parameters of a block", [b.n_parameters for b in blocks.values()], [3072, 6144])
    equal("operations with butterflies", butterfly, [23552, 51200])
    # Ours writes H_ab as H_a ⊗ H_b: 2 n (a + b) for a transform, two of them, three diagonals.
    ours = [b.flops(1) for b in blocks.values()]
    equal("flops of our products", ours, [4 * 1024 * 64 + 3072, 4 * 2048 * 96 + 6144])
    below("growth when d doubles, ours", ours[1] / ours[0], 3.0)
    dense = [Dense((n, n)).flops(1) for n in blocks]
    equal("growth of the dense matrix", dense[1] / dense[0], 4.0)
    below("one block at d = 784 costs more than 784 to 10 dense", 7840, butterfly[0])
    return {
        "d = q": list(blocks),
        "parameters: Fastfood": [b.n_parameters for b in blocks.values()],
        "parameters: dense": [Dense((n, n)).n_parameters for n in blocks],
        "operations a row: butterflies": butterfly,
        "flops a row: ours, small matrix products": ours,
        "flops a row: dense": dense,
    }


def _displacement() -> Numbers:
    small = Toeplitz((3, 3))
    diagonals = np.array([5.0, 4.0, 1.0, 2.0, 3.0])  # the row backwards, then the column
    product = small.apply(diagonals, np.array([[1.0, 0.0, -1.0]]))[0]
    close(
        "column (1, 2, 3), row (1, 4, 5), times (1, 0, -1)", product, [-4.0, -2.0, 2.0], rel=1e-14
    )
    rng = np.random.default_rng(0)
    for q, d in ((5, 8), (8, 5), (1, 7), (64, 33)):
        t = rng.normal(size=q + d - 1)
        matrix = scipy.linalg.toeplitz(t[d - 1 :], t[d - 1 :: -1])
        X = rng.normal(size=(3, d))
        close(f"{d} to {q}", Toeplitz((q, d)).apply(t, X), X @ matrix.T, abs=1e-12)
        equal(f"parameters {d} to {q}", Toeplitz((q, d)).n_parameters, q + d - 1)
    T = scipy.linalg.toeplitz(rng.normal(size=8), rng.normal(size=8))
    Z = np.eye(8, k=-1)
    ranks = [int(np.linalg.matrix_rank(M - Z @ M @ Z.T)) for M in (T, rng.normal(size=(8, 8)))]
    equal("displacement rank of Toeplitz and random", ranks, [2, 8])
    like = ToeplitzLike((8, 8), rank=2)
    inverse = np.linalg.inv(T)
    for name, M in (("Toeplitz", T), ("its inverse", inverse)):
        error = np.abs(like.to_dense(like.from_dense(M)) - M).max() / np.abs(M).max()
        close(f"{name} from rank 2, relative error", error, 0.0, abs=1e-10)
    growth = [Toeplitz((n, n)).flops(1) / Dense((n, n)).flops(1) for n in (64, 1024)]
    below("flops against dense, 1024 below 64", growth[1], growth[0])
    return {
        "the example's product": product.tolist(),
        "displacement rank: Toeplitz, random": ranks,
        "numbers for 1024 to 1024: Toeplitz, rank 2, dense": [
            Toeplitz((1024, 1024)).n_parameters,
            ToeplitzLike((1024, 1024), rank=2).n_parameters,
            Dense((1024, 1024)).n_parameters,
        ],
        "flops against dense, at 64 and 1024": growth,
    }


def _kronecker() -> Numbers:
    n, q, d = 2, 6, 4
    small = PHM((q, d), n=n)
    rng = np.random.default_rng(0)
    parts = {"A": rng.normal(size=(n, n, n)), "S": rng.normal(size=(n, q // n, d // n))}
    W = np.kron(parts["A"][0], parts["S"][0]) + np.kron(parts["A"][1], parts["S"][1])
    X = rng.normal(size=(5, d))
    close("Σ A ⊗ S, multiplied out", small.apply(small.pack(parts), X), X @ W.T, abs=1e-12)
    of_i = left_multiplications(4)[1]
    equal("matrix of i", of_i.tolist(), [[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]])
    unit = dict(zip("1ijk", np.eye(4), strict=True))
    hamilton = PHM((4, 4), algebra="quaternion")
    for x, y, z, sign in ("ijk+", "jik-", "jki+", "kij+", "ii1-", "jj1-", "kk1-"):
        got = hamilton.apply(unit[x], unit[y][None])[0]
        equal(f"{x} {y}", (got + 0.0).tolist(), ((1 if sign == "+" else -1) * unit[z] + 0).tolist())
    large, dense = PHM((1024, 1024), n=4), Dense((1024, 1024))
    equal("parameters", large.n_parameters, 4**3 + 1024 * 1024 // 4)
    equal("flops a row", large.flops(1), dense.flops(1))
    in_factors = _in_factors(1024, 1024, 4)
    equal("multiplications in factors", in_factors, 1_064_960)
    return {
        "parameters at 1024 to 1024, n = 4": large.n_parameters,
        "as a share of dense": large.n_parameters / dense.n_parameters,
        "multiplications a row: multiplied out, in factors, dense": [
            large.flops(1) // 2,
            in_factors,
            dense.flops(1) // 2,
        ],
        "matrix of i in the quaternions": of_i.astype(int).tolist(),
    }


def _in_factors(q: int, d: int, n: int) -> int:
    """Multiplications of Σ A_i X S_iᵀ: the n products with S_i, and A_i on the smaller side."""
    return q * d + n * n * min(q, d)


def _what_counts() -> Numbers:
    rng = np.random.default_rng(0)
    maps: dict[str, StructuredMap] = {
        "dense": Dense((1024, 1024)),
        "quaternion-like, n = 4": PHM((1024, 1024), n=4),
        "low rank 64": LowRank((1024, 1024), rank=64),
        "Fastfood": Fastfood.random((1024, 1024), learn="SGB", rng=rng),
    }
    parameters = [m.n_parameters for m in maps.values()]
    flops = [m.flops(1) for m in maps.values()]
    equal("parameters", parameters, [1024**2, 64 + 1024**2 // 4, 64 * 2048, 3 * 1024])
    equal("flops", flops, [2 * 1024**2, 2 * 1024**2, 2 * 64 * 2048, 4 * 1024 * 64 + 3 * 1024])
    equal("most to fewest parameters", np.argsort(parameters)[::-1].tolist(), [0, 1, 2, 3])
    below("fewest flops has 43 times the parameters of Fastfood", flops[2], flops[3])
    for name, m in maps.items():
        theta = m.start(rng)
        merged = m.to_dense(theta)
        X, G = rng.normal(size=(2, 2, 1024))
        close(f"{name}, merged", m.apply(theta, X), X @ merged.T, abs=1e-10)
        close(f"{name}, merged, backwards", m.adjoint(theta, G), G @ merged, abs=1e-10)
    return {
        "1024 to 1024": list(maps),
        "parameters": parameters,
        "flops a row": flops,
        "bytes in float32, with permutations": [m.bytes() for m in maps.values()],
    }


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="S63",
        topic="cost",
        statement="A dense layer from d inputs to q outputs costs O(dq).",
        source="chapter, section Summary and Discussion",
        verdict=Verdict.TRUE,
        answer=(
            "True for each of the three costs. W has q·d numbers (and the intercept q more). W x "
            "takes q·d multiplications and about as many additions per row. And the backward pass "
            "takes the same again twice: q·d multiplications for the gradient by W, which is the "
            "outer product of (softmax - y) and x, and q·d for the gradient by x.\n\n"
            "For MNIST, 784 to 10, this is 7,840 each, 23,520 multiplications per row and training "
            "step: next to nothing. For a vocabulary of 50,000 and d = 768 it is 38 million each, "
            "and the layer is where a language model's last step spends its memory. Doubling d or "
            "q doubles all of it."
        ),
        check=_dense,
    ),
    Claim(
        id="S64",
        topic="cost",
        statement=(
            "With permutations, Fourier transforms and scaling (Deep Fried Convnets) the quadratic "
            "cost becomes log-linear."
        ),
        source="chapter, section Summary and Discussion",
        verdict=Verdict.TRUE_IF,
        answer=(
            "True when q is about as large as d, both are large, and with one word changed: the "
            "transform is Walsh's and Hadamard's, not Fourier's. Its entries are ±1, so it takes "
            "additions only. The dense matrix is replaced by the product S H G Π H B, with "
            "diagonal matrices S, G, B, a permutation Π, and the Hadamard matrix H, which need not "
            "be stored. With d padded to a power of two, one block has 3d parameters (where all "
            "three diagonals are learnt) and takes 2 d log2 d additions and 3d multiplications: "
            "23,552 operations at d = 1024, where the dense matrix takes 2 million. For q > d one "
            "stacks q/d blocks: O(q log d).\n\n"
            "Two reservations. The small case loses: 784 to 10 is 7,840 multiplications dense, and "
            "one block, padded to 1024, is more. And operations are not time: this package "
            "computes H as a few small matrix products, H_ab = H_a ⊗ H_b, with eleven times the "
            "operations of the butterfly, and still takes less time on a CPU, because matrix "
            "products are what it does best (benchmarks/structured.py measures it). From d = 1024 "
            "to 2048 their number grows threefold, that of the dense matrix fourfold.\n\n"
            "Z. Yang et al., Deep Fried Convnets, ICCV 2015, arXiv:1412.7149; Q. Le, T. Sarlós, A. "
            "Smola, Fastfood, ICML 2013, arXiv:1408.3060."
        ),
        correction=(
            "With permutations, Hadamard transforms and scaling the cost of a layer with q ≥ d, d "
            "padded to a power of two, is O(q log d)."
        ),
        check=_fastfood,
    ),
    Claim(
        id="S65",
        topic="cost",
        statement="Structured matrix approximations can be used instead of the dense matrix.",
        source="chapter, section Summary and Discussion",
        verdict=Verdict.TRUE,
        answer=(
            "The idea in one example: a Toeplitz matrix is constant along each diagonal, so d + q "
            "numbers less one say all, and multiplying by it is a convolution, O(n log n) with a "
            "fast Fourier transform of at least that length (a shorter one would wrap around).\n\n"
            "More generally: shift a matrix down and to the right by one and subtract it. For a "
            "Toeplitz matrix almost everything cancels; only the first row and column stay, so the "
            "difference T - Z T Zᵀ has rank 2 at most. This is the displacement rank. Matrices of "
            "displacement rank r are given by r(d + q) numbers and multiplied by in O(r n log n) "
            "operations, n = max(d, q). The family with r = 2 also contains the inverses of "
            "Toeplitz matrices, which are not Toeplitz; a random matrix has full displacement "
            "rank. Larger r comes closer to a dense matrix, at a larger price.\n\n"
            "V. Sindhwani, T. Sainath, S. Kumar, Structured Transforms for Small-Footprint Deep "
            "Learning, NIPS 2015, arXiv:1510.01722."
        ),
        check=_displacement,
    ),
    Claim(
        id="S66",
        topic="cost",
        statement="Quaternion-like decompositions reduce the cost to O(dq/n).",
        source="chapter, section Summary and Discussion",
        verdict=Verdict.TRUE_IF,
        answer=(
            "True for the number of parameters, not for the work. The layer is W = Σ_i A_i ⊗ S_i "
            "with n small matrices A_i (n by n) and n matrices S_i (q/n by d/n), where ⊗ is the "
            "Kronecker product: n³ + dq/n numbers. With d = q = 1024 and n = 4 that is 262,208, a "
            "quarter of the dense 1,048,576.\n\n"
            "But W is still a full matrix. Multiplying it out and applying it takes d·q "
            "multiplications per row, as before; applying the factors one after the other takes dq "
            "+ n² min(d, q), a little more. So memory shrinks by n and time does not. (Only "
            "special fixed A_i help: for cyclic shifts an FFT over them gives O(dq/n).)\n\n"
            "Why quaternion-like: with n = 4 and the A_i fixed to the four matrices of "
            "multiplication by 1, i, j, k, the layer multiplies quaternions, i j = k, j i = -k. "
            "Learning the A_i learns the rules of multiplication.\n\n"
            "A. Zhang et al., Beyond Fully-Connected Layers with Quaternions, ICLR 2021, "
            "arXiv:2102.08597."
        ),
        correction=(
            "Quaternion-like layers reduce the number of parameters to n³ + dq/n; the number of "
            "multiplications stays O(dq)."
        ),
        check=_kronecker,
    ),
    Claim(
        id="S67",
        topic="cost",
        statement=(
            "What matters in the end is not the most compact form or the fewest operations, but "
            "what runs most efficiently on modern GPUs."
        ),
        source="chapter, section Summary and Discussion",
        verdict=Verdict.TRUE_IF,
        answer=(
            "True, on two conditions: at equal quality of the predictions, and measured. Counts "
            "cannot tell. At 1024 to 1024 the quaternion-like layer has a quarter of the dense "
            "layer's parameters and exactly its operations; a product of two matrices of rank 64 "
            "has 43 times the parameters of Fastfood and yet fewer operations than ours. The three "
            "orders, by numbers, by operations and by time, are different orders. How fast a thing "
            "runs depends on how well it uses the processor: large matrix products run near a "
            "GPU's peak, permutations and butterflies wait for memory.\n\n"
            "So a comparison worth reading lists, for the same data, loss or accuracy beside "
            "seconds and bytes, always with the dense layer in the table, and ranks only what is "
            "equally good. benchmarks/structured.py makes that table, with the cells in which "
            "structure loses. One way to have both: train with few parameters, then multiply out "
            "and predict with the dense matrix; the outputs are the same, as the check shows."
        ),
        correction=(
            "What matters is measured time and memory at equal accuracy, with the dense layer as "
            "the baseline; numbers and operations alone do not decide it."
        ),
        check=_what_counts,
    ),
)
