"""exp and log(1 + x) without a branch, so that the compiler makes them on whole vectors.

The C library's functions take one number at a time, 4-7 ns each. These serve the arguments that a
softmax has and no others. They are written as instructions because rounding to an integer by adding
a large number and moving bits between floats and integers have no words in Numba.
"""
# ruff: noqa: ARG001  Generators are handed types and contexts that not all need.

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

from crossent.kernels.jit import instruction

__all__ = ["EXP_COEFFICIENTS", "SMALLEST_EXPONENT", "exp_nonpositive", "log1p_nonnegative"]

EXP_COEFFICIENTS: dict[int, tuple[float, ...]] = {
    32: (
        1.0, 1.0000000379432992, 0.5000000047401394, 0.1666641450716956, 0.04166635163844457,
        0.008375210200870016, 0.0013941213100006334,
    ),
    64: (
        1.0, 1.0, 0.5000000000000019, 0.1666666666666668, 0.04166666666648666,
        0.00833333333331949, 0.0013888888952696516, 0.00019841269890340666,
        2.4801485074105115e-05, 2.7557240604663896e-06, 2.763279054211718e-07,
        2.511015364692893e-08,
    ),
}  # fmt: skip
"""Powers 0, 1, … of the polynomial that meets exp at the Chebyshev nodes of ±1.001·(log 2)/2.

Relative error 2.5e-9 and 4.3e-18, for 32 and 64 bits (tests/kernels/test_elementwise.py makes them
again with 60 digits)."""

SMALLEST_EXPONENT = {32: -87.336, 64: -708.396}
"""Below, exp is not a normal number and becomes 0."""

_ATANH_TERMS = {32: 6, 64: 11}
"""The first term left out of Σ s^2k/(2k+1), s ≤ (√2 - 1)/(√2 + 1), is 5e-11 and 6e-19."""

_LOG2_HIGH = {32: math.floor(math.log(2.0) * 2**12) / 2**12, 64: 2977044471 / 2**32}
_LOG2_LOW = {32: math.log(2.0) - _LOG2_HIGH[32], 64: 1.9082149292705877e-10}
"""log 2 in two parts; an exponent times the first is exact, and the second is what is left."""


@dataclass(frozen=True)
class _Float:
    """IR types and constants of one float type."""

    bits: int

    @property
    def element(self) -> ir.Type:
        return ir.FloatType() if self.bits == 32 else ir.DoubleType()

    @property
    def whole(self) -> ir.IntType:
        return ir.IntType(self.bits)

    @property
    def mantissa(self) -> int:
        return 23 if self.bits == 32 else 52

    def __call__(self, value: float) -> ir.Constant:
        return ir.Constant(self.element, float(np.float32(value)) if self.bits == 32 else value)

    def pattern(self, value: float) -> ir.Constant:
        """The bits of a number, as an integer."""
        number = np.float32(value) if self.bits == 32 else np.float64(value)
        return self.whole(int(number.view(np.int32 if self.bits == 32 else np.int64)))


def _multiply_add(builder: ir.IRBuilder, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])


def _horner(builder: ir.IRBuilder, x: Any, coefficients: Sequence[Any]) -> Any:
    total = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = _multiply_add(builder, total, x, coefficient)
    return total


@instruction
def exp_nonpositive(typingctx: Any, x: Any) -> Any:
    """exp(x) for x ≤ 0, within 2 units in the last place; 0 below `SMALLEST_EXPONENT`; NaN for NaN.

    x = n log 2 + r with |r| ≤ (log 2)/2, exp(x) = 2ⁿ exp(r). Adding 1.5·2^mantissa rounds to n and
    leaves it in the lowest bits, from where a shift makes it an exponent.
    """

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        number = _Float(x.bitwidth)
        magic = number(1.5 * 2.0**number.mantissa)
        shifted = _multiply_add(builder, args[0], number(1.0 / math.log(2.0)), magic)
        n = builder.fsub(shifted, magic)
        r = _multiply_add(builder, n, number(-_LOG2_HIGH[x.bitwidth]), args[0])
        r = _multiply_add(builder, n, number(-_LOG2_LOW[x.bitwidth]), r)
        p = _horner(builder, r, [number(a) for a in EXP_COEFFICIENTS[x.bitwidth]])
        exponent = builder.shl(
            builder.bitcast(shifted, number.whole), number.whole(number.mantissa)
        )
        power = builder.bitcast(builder.add(exponent, number.pattern(1.0)), number.element)
        vanishes = builder.fcmp_ordered("<", args[0], number(SMALLEST_EXPONENT[x.bitwidth]))
        return builder.select(vanishes, number(0.0), builder.fmul(p, power))

    return x(x), codegen


@instruction
def log1p_nonnegative(typingctx: Any, x: Any) -> Any:
    """log(1 + x) for 0 ≤ x < 2^100, within 4 units in the last place; NaN for NaN.

    1 + x, rounded, is 2ᵏ m with √½ ≤ m < √2; log m = 2 artanh(s), s = (m - 1)/(m + 1); what the
    rounding took is given back to first order.
    """

    def codegen(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        number = _Float(x.bitwidth)
        one = number(1.0)
        u = builder.fadd(args[0], one)
        lost = builder.fdiv(builder.fsub(args[0], builder.fsub(u, one)), u)
        root = number.pattern(math.sqrt(0.5))
        above = builder.sub(builder.bitcast(u, number.whole), root)
        k = builder.sitofp(builder.ashr(above, number.whole(number.mantissa)), number.element)
        rest = builder.and_(above, number.whole((1 << number.mantissa) - 1))
        f = builder.fsub(builder.bitcast(builder.add(rest, root), number.element), one)
        s = builder.fdiv(f, builder.fadd(f, number(2.0)))
        terms = [number(2.0 / (2 * j + 1)) for j in range(_ATANH_TERMS[x.bitwidth])]
        log_m = builder.fmul(s, _horner(builder, builder.fmul(s, s), terms))
        low = _multiply_add(builder, k, number(_LOG2_LOW[x.bitwidth]), builder.fadd(log_m, lost))
        result = _multiply_add(builder, k, number(_LOG2_HIGH[x.bitwidth]), low)
        is_number = builder.fcmp_ordered("ord", args[0], args[0])
        return builder.select(is_number, result, args[0])

    return x(x), codegen
