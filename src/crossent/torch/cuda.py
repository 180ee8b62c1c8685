"""The engines for GPUs. Nothing in them waits for the device.

`ExponentialEngine`: a Triton kernel makes X Wᵀ and stores E = exp(z − z_y) in place of the logits,
with partial sums for each row. Shifted so, one number per row turns E into the gradient; it
commutes with both products, which the library makes: ∂X = diag(v) (E W), ∂W = Eᵀ (diag(v) X).

`LibraryEngine`: the library makes the logits of a block of rows, in float32; kernels read them for
the statistics, and again to write the gradient. Serves every dtype and option.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from crossent.kernels.triton_exponentials import redo_rows
from crossent.kernels.triton_gradient import logit_gradients
from crossent.kernels.triton_jit import LOG2_E, TileShape, reading_shape
from crossent.kernels.triton_settle import scale_rows
from crossent.torch.cuda_blocks import (
    Cut,
    needed_cut,
    needed_rows_cut,
    padded_columns,
    whole_rows_cut,
)
from crossent.torch.cuda_numbers import gain_of, numbers_for, sizes_for
from crossent.torch.cuda_products import LinearGradients, RankOne, wide_product
from crossent.torch.cuda_statistics import RowSums, row_sums, shape_for
from crossent.torch.engine import (
    Coefficients,
    Gradients,
    Needs,
    Questions,
    RowLogits,
    Statistics,
    joined,
    known,
)
from crossent.torch.gradient_tiles import coefficients_of_rows
from crossent.torch.tiles import arithmetic_of, slope_at

__all__ = [
    "EXPONENTIAL_ENGINE",
    "LIBRARY_ENGINE",
    "ExponentialEngine",
    "GradientWriter",
    "LibraryEngine",
    "logits_made",
    "rows_of",
    "statistics_read",
]

CoefficientsOf = Callable[[Statistics, slice], Coefficients]
_EVERY = slice(None)
_FAR = 2.0**100
"""Labels this many times their row's scale, or scales beyond it, are not left to bfloat16."""


def rows_of(logits: RowLogits, part: slice) -> RowLogits:
    """The logits of some rows."""
    return replace(logits, input=logits.input[part])


class ExponentialEngine:
    """An `Engine` whose kernel stores exponentials; for float32 and bfloat16.

    Parameters
    ----------
    shape : TileShape, optional
        Tiles of the kernels that multiply; by default what suits the device.
    """

    asynchronous = True

    def __init__(self, shape: TileShape | None = None) -> None:
        self.shape = shape

    def _shape(self, logits: RowLogits) -> TileShape:
        return self.shape if self.shape and logits.weight is not None else shape_for(logits)

    def statistics(self, logits: RowLogits, questions: Questions, budget: int | None) -> Statistics:
        """One product; nothing is stored but partial sums."""
        cut = needed_cut(sizes_for(logits, questions), budget)
        shape = self._shape(logits)
        parts = cut.row_blocks(len(logits.input))
        return joined(
            [
                row_sums(rows_of(logits, part), questions.rows(part), shape).statistics
                for part in parts
            ]
        )

    def gradients(
        self, logits: RowLogits, coefficients: Coefficients, needs: Needs, budget: int | None
    ) -> Gradients:
        """Logits again, block of classes by block of classes: three products."""
        if logits.weight is None:
            return Gradients(of_given(logits, coefficients), None, None)
        cut = needed_cut(sizes_for(logits, Questions()), budget)
        return _recomputed(logits, coefficients, needs, cut, self._shape(logits))

    def statistics_and_gradients(
        self,
        logits: RowLogits,
        questions: Questions,
        coefficients_of: CoefficientsOf,
        needs: Needs,
        budget: int | None,
    ) -> tuple[Statistics, Gradients]:
        """Three products, or four: see `needs_logits_again`."""
        sizes = sizes_for(logits, questions)
        cut = whole_rows_cut(sizes, budget, per_logit=sizes.item)
        if cut is None or needs_logits_again(logits, questions):
            found = self.statistics(logits, questions, budget)
            coefficients = coefficients_of(found, slice(0, len(logits.input)))
            return found, self.gradients(logits, coefficients, needs, budget)
        return _fused(logits, questions, coefficients_of, needs, cut, self._shape(logits))


def needs_logits_again(logits: RowLogits, questions: Questions) -> bool:
    """Whether stored exponentials are not enough for the gradient.

    Dense targets would be taken from numbers that are rounded already, and where both are nearly
    the same, little but the rounding would be left. With a cap, what smoothing subtracts must be
    multiplied by the cap's slope at every logit. Exponentials leave the range of float16.
    """
    capped = logits.softcap is not None and questions.spread is not None
    narrow = logits.input.dtype == torch.float16
    return logits.weight is None or questions.targets is not None or capped or narrow


def _fused(
    logits: RowLogits,
    questions: Questions,
    coefficients_of: CoefficientsOf,
    needs: Needs,
    cut: Cut,
    shape: TileShape,
) -> tuple[Statistics, Gradients]:
    n, q = len(logits.input), logits.n_classes
    memory = logits.input.new_empty((min(cut.rows, n), padded_columns(q)))
    parts = cut.row_blocks(n)
    sums = LinearGradients(logits, needs, at_once=len(parts) == 1)
    found, spreads = [], []
    for part in parts:
        rows = rows_of(logits, part)
        stored = memory[: len(rows.input)]
        made = row_sums(rows, questions.rows(part), shape, stored[:, :q])
        coefficients = coefficients_of(made.statistics, part)
        numbers = rescaled(rows, made, coefficients, stored[:, :q])
        write_labels(stored, q, coefficients, numbers.labels)
        sums.add_rows(part, stored[:, :q], numbers.scale.to(sums.kind))
        found.append(made.statistics)
        if coefficients.spread is not None:
            spreads.append(coefficients.spread.row / logits.temperature)
    if spreads:
        sums.subtract(RankOne(torch.cat(spreads), known(questions.spread)))
    return joined(found), sums.finished()


class Rescaled(NamedTuple):
    """Numbers of each row, float64.

    Attributes
    ----------
    scale : Tensor, shape (n,)
        What still turns a stored row into its gradient with respect to X Wᵀ.
    factor : Tensor, shape (n,)
        What the stored row was multiplied by; 1 nearly everywhere.
    labels : Tensor, shape (n, k)
        What is to be stored at the labels.
    """

    scale: Tensor
    factor: Tensor
    labels: Tensor


def rescaled(
    logits: RowLogits, made: RowSums, coefficients: Coefficients, stored: Tensor
) -> Rescaled:
    """One number per row that makes gradients of stored exponentials, and what labels become.

    At a label stands its gradient divided by its row's scale. Where that is no fit number for
    bfloat16 (a row without weight, or very far from its label), the row itself is multiplied by its
    scale, in place.

    Parameters
    ----------
    logits : RowLogits
        Of these rows.
    made : RowSums
    coefficients : Coefficients
        Of these rows.
    stored : Tensor, shape (rows, q)
    """
    kind = made.shift.dtype
    scale = scale_of(coefficients, made) / logits.temperature
    values = _label_values(logits, coefficients)
    fit = (scale.abs() < _FAR) & (scale.abs() > 1.0 / _FAR)
    fit &= ((values / scale[:, None]).abs() < _FAR).all(dim=1)
    shape = reading_shape(stored)
    factor, scale = torch.where(fit, 1.0, scale), torch.where(fit, scale, 1.0)
    scale_rows(stored, factor.to(kind), redo_rows(~fit, shape), shape)
    return Rescaled(scale, factor, values / scale[:, None])


def write_labels(stored: Tensor, q: int, coefficients: Coefficients, values: Tensor) -> None:
    """Store what belongs at the labels; a label that is none goes into the column beyond the last.

    Parameters
    ----------
    stored : Tensor, shape (rows, more than q)
    q : int
    coefficients : Coefficients
    values : Tensor, shape (rows, k)
    """
    if coefficients.labels is not None:
        classes = coefficients.labels.classes
        stored.scatter_(1, classes.where(classes >= 0, q), values.to(stored.dtype))


def scale_of(coefficients: Coefficients, made: RowSums) -> Tensor:
    """What turns exponentials into gradients with respect to z, shape (n,), float64."""
    away = (made.shift.double() - coefficients.log_partition.double() * LOG2_E).exp2()
    # A row without weight has scale 0 even where the power overflows.
    return (coefficients.softmax * away).where(coefficients.softmax != 0.0, 0.0)


def _label_values(logits: RowLogits, coefficients: Coefficients) -> Tensor:
    """The gradient at the labels with respect to X Wᵀ, shape (n, k), float64."""
    at = coefficients.labels
    if at is None:
        return logits.input.new_zeros((len(logits.input), 0), dtype=torch.float64)
    return at.value.double() * slope_at(logits, _EVERY, at.classes)


def _recomputed(
    logits: RowLogits, coefficients: Coefficients, needs: Needs, cut: Cut, shape: TileShape
) -> Gradients:
    """Block of classes by block of classes, so that ∂W of a block is finished before the next."""
    x, w, bias = logits.input, known(logits.weight), logits.bias
    gain, kind = gain_of(coefficients, x.dtype), arithmetic_of(x.dtype)
    parts = cut.row_blocks(len(x))
    pieces = [numbers_for(coefficients_of_rows(coefficients, part), kind) for part in parts]
    memory = x.new_empty((min(cut.rows, len(x)), padded_columns(cut.classes)))
    d_x = x.new_zeros(x.shape if needs.input else (0,), dtype=kind)
    d_w = torch.empty_like(w) if needs.weight else None
    d_b = w.new_zeros(len(w) if needs.bias else 0, dtype=kind)
    for span in cut.class_blocks(len(w)):
        own = replace(logits, weight=w[span], bias=None if bias is None else bias[span])
        total = w.new_zeros((span.stop - span.start, x.shape[1]), dtype=kind)
        for part, numbers in zip(parts, pieces, strict=True):
            rows, g = rows_of(own, part), memory[: part.stop - part.start, : span.stop - span.start]
            logit_gradients(
                rows, numbers.of_classes(span), shape, out=g, gain=gain, first_class=span.start
            )
            if needs.input:
                d_x[part] += wide_product(g, w[span])
            if needs.weight:
                total += wide_product(g.T, x[part])
            if needs.bias:
                d_b[span] += g.sum(dim=0, dtype=kind)
        if d_w is not None:
            d_w[span] = total.div_(gain.to(kind))
    return Gradients(
        (d_x / gain).to(x.dtype) if needs.input else None,
        d_w,
        (d_b / gain).to(known(bias).dtype) if needs.bias else None,
    )


def of_given(logits: RowLogits, coefficients: Coefficients) -> Tensor:
    """∂/∂logits, shape (n, q), in the dtype of the logits.

    0 in a row that nothing weighs, whatever it holds.
    """
    given = logits.input
    out = torch.empty_like(given, memory_format=torch.contiguous_format)
    numbers = numbers_for(coefficients, arithmetic_of(given.dtype))
    gain = given.new_ones((), dtype=torch.float64)
    shape, gone = reading_shape(given), _without_weight(coefficients)
    logit_gradients(logits, numbers, shape, out=out, gain=gain)
    scale_rows(out, (~gone).to(numbers.softmax.dtype), redo_rows(gone, shape), shape)
    return out


def _without_weight(coefficients: Coefficients) -> Tensor:
    """Rows whose coefficients are all 0; bool, shape (n,)."""
    c = coefficients
    parts = [c.softmax != 0.0]
    parts += [term.row != 0.0 for term in (c.spread, c.dense, c.entropy) if term is not None]
    parts += [(at.value != 0.0).any(dim=1) for at in (c.labels, c.chosen) if at is not None]
    return ~torch.stack(parts).any(dim=0)


class LibraryEngine:
    """An `Engine` on the library's logits of a block of rows; every dtype, every option."""

    asynchronous = True

    def statistics(self, logits: RowLogits, questions: Questions, budget: int | None) -> Statistics:
        """One product and one pass."""
        parts = library_cut(logits, questions, budget).row_blocks(len(logits.input))
        return joined(
            [statistics_read(logits_made(logits, part), questions, part) for part in parts]
        )

    def gradients(
        self, logits: RowLogits, coefficients: Coefficients, needs: Needs, budget: int | None
    ) -> Gradients:
        """Logits again, and the two other products."""
        if logits.weight is None:
            return Gradients(of_given(logits, coefficients), None, None)
        writer = GradientWriter(logits, needs, library_cut(logits, Questions(), budget))
        for part in writer.parts:
            writer.write(logits_made(logits, part), coefficients_of_rows(coefficients, part), part)
        return writer.sums.finished()

    def statistics_and_gradients(
        self,
        logits: RowLogits,
        questions: Questions,
        coefficients_of: CoefficientsOf,
        needs: Needs,
        budget: int | None,
    ) -> tuple[Statistics, Gradients]:
        """Three products."""
        if logits.weight is None:
            found = self.statistics(logits, questions, budget)
            coefficients = coefficients_of(found, slice(0, len(logits.input)))
            return found, self.gradients(logits, coefficients, needs, budget)
        writer = GradientWriter(logits, needs, library_cut(logits, questions, budget))
        parts = []
        for part in writer.parts:
            made = logits_made(logits, part)
            parts.append(statistics_read(made, questions, part))
            writer.write(made, coefficients_of(parts[-1], part), part)
        return joined(parts), writer.sums.finished()


def library_cut(logits: RowLogits, questions: Questions, budget: int | None) -> Cut:
    """Blocks of rows for logits in float32 and their gradient in the dtype of X."""
    sizes = sizes_for(logits, questions)
    per_logit = 0 if logits.weight is None else sizes.item + sizes.wide
    return needed_rows_cut(sizes, budget, per_logit)


def logits_made(logits: RowLogits, part: slice) -> RowLogits:
    """The library's X Wᵀ of some rows, in float32 for half precision, as given logits."""
    x = logits.input[part]
    product = x if logits.weight is None else wide_product(x, logits.weight.T)
    return replace(logits, input=product, weight=None)


def statistics_read(made: RowLogits, questions: Questions, part: slice) -> Statistics:
    """Statistics of logits that were made of some rows."""
    return row_sums(made, questions.rows(part), shape_for(made)).statistics


class GradientWriter:
    """Gradients of blocks of rows whose logits are there, and their products."""

    def __init__(self, logits: RowLogits, needs: Needs, cut: Cut) -> None:
        n, x = len(logits.input), logits.input
        self.parts = cut.row_blocks(n)
        self.sums = LinearGradients(logits, needs, at_once=len(self.parts) == 1)
        self.memory = x.new_empty((min(cut.rows, n), padded_columns(logits.n_classes)))

    def write(self, made: RowLogits, coefficients: Coefficients, part: slice) -> None:
        """Multiply the gradient of some rows' logits, which stay as they are."""
        dtype = self.memory.dtype
        g = self.memory[: len(made.input), : made.n_classes]
        gain = gain_of(coefficients, dtype)
        numbers = numbers_for(coefficients, arithmetic_of(dtype))
        logit_gradients(made, numbers, shape_for(made), out=g, gain=gain)
        self.sums.add_rows(part, g, gain=gain if dtype == torch.float16 else None)


EXPONENTIAL_ENGINE = ExponentialEngine()
LIBRARY_ENGINE = LibraryEngine()
