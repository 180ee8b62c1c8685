"""The filtered backward on GPUs: see `crossent.torch.filtered` for what it does and its bound.

∂X: a group of rows drops classes. ∂W: a tile of classes drops rows, by the sums that the kernel of
the exponentials left for each row and tile. Both drop at most the limit of each row's probability,
in sets of their own; the products gather what stays. One number is read back for each gradient: the
share that stays, above which a plain product is faster.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from crossent.kernels.triton_filter import (
    FilterShape,
    column_peaks,
    dropped_columns,
    level_masses,
)
from crossent.kernels.triton_gathered import (
    GatheredShape,
    StandIn,
    gathered_product,
    gathered_shape,
    kept_lists,
)
from crossent.kernels.triton_jit import LOG2_E, TileShape, leading
from crossent.torch.cuda import (
    EXPONENTIAL_ENGINE,
    CoefficientsOf,
    Rescaled,
    rescaled,
    write_labels,
)
from crossent.torch.cuda_blocks import padded_columns
from crossent.torch.cuda_products import (
    LinearGradients,
    RankOne,
    wide_product,
)
from crossent.torch.cuda_statistics import RowSums, row_sums, shape_for
from crossent.torch.engine import (
    Coefficients,
    Gradients,
    Needs,
    Questions,
    RowLogits,
    Statistics,
    known,
)
from crossent.torch.filter_bound import no_error
from crossent.torch.filtered import FilterBackend
from crossent.torch.filtering import (
    DENSE_SHARE,
    LEVELS,
    MARGIN,
    first_dropped_level,
    levels_of,
)

__all__ = ["CUDA_FILTER"]


class _Rows(NamedTuple):
    """What the filter knows of stored rows; floats (n,), labels (n, k), −1 for none.

    Probabilities are `probability` times what is stored, gradients `scale` times. `ratio` is one
    over the other, `whole` the factor from unscaled exponentials to probabilities.
    """

    probability: Tensor
    scale: Tensor
    ratio: Tensor
    whole: Tensor
    labels: Tensor


class _Part(NamedTuple):
    """What one gradient keeps, what stands for the rest, and how large that is.

    `size` bounds the error when multiplied by twice the longest vector that is summed.
    """

    kept: Tensor
    stand_in: StandIn
    size: Tensor


def _filtered(
    logits: RowLogits,
    questions: Questions,
    coefficients_of: CoefficientsOf,
    needs: Needs,
    budget: int | None,
    limit: float,
) -> tuple[Statistics, Gradients, Tensor]:
    del budget  # the path refuses where exponentials of all rows do not fit
    n, q = len(logits.input), logits.n_classes
    shape = shape_for(logits)
    stored = logits.input.new_empty((n, padded_columns(q)))
    e = stored[:, :q]
    made = row_sums(logits, questions, shape, e)
    coefficients = coefficients_of(made.statistics, slice(0, n))
    numbers = rescaled(logits, made, coefficients, e)
    rows = _rows(logits, made, coefficients, numbers)
    gathered = gathered_shape(logits.input)
    of_x = of_w = None
    if limit > 0.0 and n > 0:
        of_x = _for_input(logits, e, rows, gathered, limit) if needs.input else None
        of_w = _for_weight(logits, e, rows, made, shape, limit) if needs.weight else None
    write_labels(stored, q, coefficients, numbers.labels)
    sums = LinearGradients(logits, needs, at_once=True)
    sums.add_rows(slice(0, n), e, rows.scale, needs=_rest(needs, of_x, of_w))
    if of_x is not None:
        _multiply_input(sums, e, rows, of_x, gathered)
    if of_w is not None:
        _multiply_weight(sums, e, rows, of_w, gathered, shape)
    if coefficients.spread is not None:
        row = coefficients.spread.row / logits.temperature
        sums.subtract(RankOne(row, coefficients.spread.vector))
    return made.statistics, sums.finished(), _bound(logits, of_x, of_w)


def _rest(needs: Needs, of_x: _Part | None, of_w: _Part | None) -> Needs:
    """The gradients that are made of all classes."""
    return Needs(needs.input and of_x is None, needs.weight and of_w is None, needs.bias)


def _rows(logits: RowLogits, made: RowSums, coefficients: Coefficients, numbers: Rescaled) -> _Rows:
    away = made.shift.double() - coefficients.log_partition.double() * LOG2_E
    whole = away.exp2()
    # Rows that were multiplied by a factor are gradients already; of a factor 0, nothing is left.
    own = (whole / numbers.factor).where(numbers.factor != 0.0, 0.0)
    labels = coefficients.labels
    none = logits.input.new_empty((len(logits.input), 0), dtype=torch.int64)
    return _Rows(
        probability=own.float(),
        scale=numbers.scale.float(),
        ratio=coefficients.softmax.double() / logits.temperature,
        whole=whole,
        labels=none if labels is None else labels.classes,
    )


def _by_sign(values: Tensor) -> Tensor:
    return torch.stack([values.clamp(min=0.0), values.clamp(max=0.0)])


def _shares(values: Tensor) -> Tensor:
    """Divided by their sum over the last dimension; zeros where that is 0."""
    total = values.sum(dim=-1, keepdim=True)
    return (values / total).where(total != 0.0, 0.0)


def _pays(kept: Tensor) -> bool:
    """Whether little enough stays; waits for the device."""
    return bool(kept.sum() <= int(DENSE_SHARE * kept.numel()))


def _for_input(
    logits: RowLogits, e: Tensor, rows: _Rows, gathered: GatheredShape, limit: float
) -> _Part | None:
    """Classes that each group of rows keeps; None where too many."""
    n, q = e.shape
    shape = FilterShape(gathered.rows, gathered.inner)
    peaks = column_peaks(e, rows.probability, rows.scale, shape)
    groups = len(peaks.largest)
    # A label's class stays: the label itself is stored there. One column more, for labels that
    # are none.
    level = levels_of(peaks.largest, limit).to(torch.int8)
    level = torch.nn.functional.pad(level, (0, 1))
    group = torch.arange(n, device=e.device)[:, None] // shape.rows
    places = group * (q + 1) + rows.labels.where(rows.labels >= 0, q)
    level.view(-1).scatter_(0, places.reshape(-1), 0)
    level = level[:, :q].contiguous()
    masses = level_masses(e, level, LEVELS, shape) * rows.probability[:, None]
    padded = torch.nn.functional.pad(masses, (0, 0, 0, groups * shape.rows - n))
    first, dropped = first_dropped_level(padded.view(groups, shape.rows, LEVELS), limit)
    kept = level < first[:, None]
    if not _pays(kept):
        return None
    lost = dropped.view(-1)[:n].double() / MARGIN * rows.ratio
    columns = peaks.sums.where(~kept, 0.0)
    shares = _shares(columns).view(2 * groups, q).to(logits.input.dtype)
    means = wide_product(shares, known(logits.weight)).view(2, groups, -1)
    return _Part(kept, StandIn(_by_sign(lost).float(), means.contiguous()), lost.norm())


def _for_weight(
    logits: RowLogits, e: Tensor, rows: _Rows, made: RowSums, shape: TileShape, limit: float
) -> _Part | None:
    """Rows that each tile of classes keeps; None where too many."""
    n = len(e)
    totals = made.tile_totals.double() * rows.whole
    tiles = len(totals)
    places = (rows.labels // shape.classes).where(rows.labels >= 0, tiles)
    masses = torch.nn.functional.pad(totals, (0, 0, 0, 1))
    masses.scatter_(0, places.T, math.inf)
    ordered, order = masses[:tiles].sort(dim=0)
    gone = ordered.cumsum(dim=0) * MARGIN <= limit
    dropped = torch.zeros_like(gone).scatter_(0, order, gone)
    if not _pays(~dropped):
        return None
    reading = FilterShape(shape.rows, shape.classes)
    columns = dropped_columns(e, rows.scale, dropped.to(torch.int8), reading)
    lost = _by_sign((totals * rows.ratio).where(dropped, 0.0))
    shares = _shares(lost).view(2 * tiles, n).to(logits.input.dtype)
    means = wide_product(shares, logits.input).view(2, tiles, -1)
    size = columns.abs().sum(dim=0).double().norm()
    return _Part(~dropped, StandIn(columns, means.contiguous()), size)


def _multiply_input(
    sums: LinearGradients, e: Tensor, rows: _Rows, part: _Part, shape: GatheredShape
) -> None:
    w = leading(known(sums.logits.weight))
    kept = kept_lists(part.kept)
    gathered_product(
        e, w, kept, part.stand_in, shape, rows=shape.rows, out=sums.input, scale=rows.scale
    )


def _multiply_weight(
    sums: LinearGradients,
    e: Tensor,
    rows: _Rows,
    part: _Part,
    shape: GatheredShape,
    tile: TileShape,
) -> None:
    x = sums.logits.input
    scaled = (x * rows.scale[:, None]).to(x.dtype)
    sums.weight = torch.empty_like(known(sums.logits.weight), memory_format=torch.contiguous_format)
    kept = kept_lists(part.kept)
    gathered_product(e.T, scaled, kept, part.stand_in, shape, rows=tile.classes, out=sums.weight)


def _bound(logits: RowLogits, of_x: _Part | None, of_w: _Part | None) -> Tensor:
    """Frobenius norms that the errors of ∂X, ∂W and ∂b stay below; shape (3,), float64."""
    bound = no_error(logits.input)
    for place, part, vectors in ((0, of_x, known(logits.weight)), (1, of_w, logits.input)):
        if part is not None:
            lengths = torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float32)
            bound[place] = 2.0 * lengths.amax().double() * part.size
    return bound


CUDA_FILTER = FilterBackend(EXPONENTIAL_ENGINE, _filtered)
