"""Gradients without the classes that nearly no row gives any probability: opt-in, with a bound.

What is left out of a block of rows is a matrix D, known by its row sums r and its column sums c.
In its place stands the matrix of rank one with the same sums, r cᵀ / Σc. So a rare class is still
pushed down by what all rows together give it, and ∂b is exact. The rest of the error is bounded:
both matrices give each row a mean of rows of W, and each class a mean of rows of X, so that

    ‖error of ∂X_i‖ ≤ 2 |r_i| max ‖W_v‖        ‖error of ∂W_v‖ ≤ 2 |c_v| max ‖x_i‖

Where gradients have both signs, D is split by sign, and each half has its own r and c.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from crossent.torch.blocks import Blocks
from crossent.torch.cpu import CPU_ENGINE
from crossent.torch.cuda_products import LinearGradients, RankOne
from crossent.torch.engine import (
    AtClasses,
    Coefficients,
    Engine,
    Gradients,
    Needs,
    Questions,
    RowLogits,
    Statistics,
    joined,
    known,
)
from crossent.torch.filter_bound import (
    CLASSES,
    PENDING,
    FilterSizes,
    no_error,
    rows_at_a_time,
)
from crossent.torch.filtering import Selection, select
from crossent.torch.sweep import all_rows, scratch, swept
from crossent.torch.tiles import LOG2_E, Tiles, arithmetic_of

__all__ = ["CPU_FILTER", "FilterBackend", "FilteredEngine", "allows_filter"]

CoefficientsOf = Callable[[Statistics, slice], Coefficients]


class _Missing(NamedTuple):
    """Sums of what one block of rows left out, for one sign: r (rows,), c (q,) and Σ r x (d,)."""

    part: slice
    rows: Tensor
    classes: Tensor
    along: Tensor


class Corrections:
    """What blocks of rows left out, and what stands in its place.

    Parameters
    ----------
    sums : LinearGradients
        Where it is added, a few blocks at a time.
    """

    def __init__(self, sums: LinearGradients) -> None:
        self.sums = sums
        logits = sums.logits
        self._missing: list[_Missing] = []
        self._rows = torch.zeros(len(logits.input), dtype=torch.float64)
        self._classes = torch.zeros(logits.n_classes, dtype=torch.float64)

    def add(self, part: slice, rows: Tensor, classes: Tensor) -> None:
        """Row sums and column sums of what a block left out, all of one sign."""
        if not bool(classes.any()):
            return
        x = self.sums.logits.input[part]
        self._missing.append(_Missing(part, rows, classes, rows @ x))
        self._rows[part] += rows.abs().double()
        self._classes += classes.abs()
        if len(self._missing) == PENDING:
            self.apply()

    def apply(self) -> None:
        """Add the matrices of rank one that wait to ∂X and ∂W."""
        if not self._missing:
            return
        sums = self.sums
        shares = torch.stack([missing.classes for missing in self._missing])
        shares /= shares.sum(dim=1, keepdim=True)
        if sums.needs.weight:
            along = torch.stack([missing.along for missing in self._missing])
            sums.weight.addmm_(shares.T, along)
        if sums.needs.input:
            means = shares @ known(sums.logits.weight).to(shares.dtype)
            for missing, mean in zip(self._missing, means, strict=True):
                sums.input[missing.part].addr_(missing.rows, mean)
        self._missing.clear()

    def bound(self) -> Tensor:
        """Largest Frobenius norms of the errors of ∂X, ∂W and ∂b; shape (3,), float64."""
        logits = self.sums.logits
        if not bool(self._classes.any()):
            return no_error(logits.input)
        widest = known(logits.weight).norm(dim=1).amax().double()
        longest = logits.input.norm(dim=1).amax().double()
        of_x = 2.0 * widest * self._rows.norm()
        of_w = 2.0 * longest * self._classes.norm()
        return torch.stack([of_x, of_w, torch.zeros_like(of_x)])


class FilterBackend(NamedTuple):
    """How a device filters.

    Attributes
    ----------
    base : Engine
        For all that is exact.
    filtered : callable
        ``filtered(logits, questions, coefficients_of, needs, budget, limit)``: statistics,
        gradients and bound.
    """

    base: Engine
    filtered: Callable[..., tuple[Statistics, Gradients, Tensor]]


class FilteredEngine:
    """An `Engine` that leaves classes out of the gradients it makes in the forward pass.

    Parameters
    ----------
    backend : FilterBackend
    limit : float
        How much probability a row may lose.

    Attributes
    ----------
    bound : Tensor, shape (3,), or None
        After the gradients were made: how far ∂X, ∂W and ∂b may be off, as Frobenius norms and but
        for rounding.
    """

    asynchronous = False
    """What stays is counted, and the count read."""

    def __init__(self, backend: FilterBackend, limit: float = 0.0) -> None:
        self.backend = backend
        self.limit = limit
        self.bound: Tensor | None = None

    def with_limit(self, limit: float) -> "FilteredEngine":
        """The same with this limit, for one call."""
        return FilteredEngine(self.backend, limit)

    def statistics(self, logits: RowLogits, questions: Questions, budget: int | None) -> Statistics:
        """Exact."""
        return self.backend.base.statistics(logits, questions, budget)

    def gradients(
        self, logits: RowLogits, coefficients: Coefficients, needs: Needs, budget: int | None
    ) -> Gradients:
        """Exact: of outputs other than the loss."""
        return self.backend.base.gradients(logits, coefficients, needs, budget)

    def statistics_and_gradients(
        self,
        logits: RowLogits,
        questions: Questions,
        coefficients_of: CoefficientsOf,
        needs: Needs,
        budget: int | None,
    ) -> tuple[Statistics, Gradients]:
        """One product and a part of two others; exact where an option does not allow it."""
        if not allows_filter(logits, questions):
            self.bound = no_error(logits.input)
            return self.backend.base.statistics_and_gradients(
                logits, questions, coefficients_of, needs, budget
            )
        statistics, gradients, self.bound = self.backend.filtered(
            logits, questions, coefficients_of, needs, budget, self.limit
        )
        return statistics, gradients


def allows_filter(logits: RowLogits, questions: Questions) -> bool:
    """Whether gradients are exponentials times a number for each row, but for a few classes.

    Not with a cap, whose slope stands at every logit, nor with targets for every class.
    """
    return logits.weight is not None and logits.softcap is None and questions.targets is None


def _filtered(
    logits: RowLogits,
    questions: Questions,
    coefficients_of: CoefficientsOf,
    needs: Needs,
    budget: int | None,
    limit: float,
) -> tuple[Statistics, Gradients, Tensor]:
    wide = _widened(logits)
    q = wide.n_classes
    rows, size = rows_at_a_time(_sizes(logits, questions), budget)
    blocks = Blocks(rows, q, 1, size)
    memory = wide.input.new_empty((2 if questions.entropy else 1, blocks.rows, q))
    sums = LinearGradients(wide, needs, at_once=False, classes=CLASSES)
    missing = Corrections(sums)
    tiles, parts, spreads = Tiles(wide, blocks), [], []
    every = all_rows(tiles, questions)
    for number, part in enumerate(every.parts):
        store, spare = (scratch(tiles, x.flatten(1), part) for x in (memory[:1], memory[-1:]))
        sweep = swept(every, number, store, spare)
        found = sweep.statistics()
        coefficients = coefficients_of(found, part)
        e = memory[0, : part.stop - part.start]
        probability = (sweep.shift[:, 0].double() / LOG2_E - coefficients.log_partition).exp()
        scale = (coefficients.softmax * probability / wide.temperature).to(e.dtype)
        chosen = select(e, probability.to(e.dtype), limit)
        _add_rows(sums, missing, part, e, scale, chosen)
        if coefficients.labels is not None:
            sums.add_at(part, _per_logit(coefficients.labels, wide.temperature))
        if coefficients.spread is not None:
            spreads.append(coefficients.spread.row / wide.temperature)
        parts.append(found)
    missing.apply()
    if spreads:
        sums.subtract(RankOne(torch.cat(spreads), known(questions.spread)))
    return joined(parts), _narrowed(sums.finished(), logits), missing.bound()


def _sizes(logits: RowLogits, questions: Questions) -> FilterSizes:
    kind = arithmetic_of(logits.input.dtype)
    n, d = logits.input.shape
    widens = logits.input.dtype != kind
    return FilterSizes(n, d, logits.n_classes, kind.itemsize, widens, questions.entropy)


def _add_rows(
    sums: LinearGradients,
    missing: Corrections,
    part: slice,
    e: Tensor,
    scale: Tensor,
    chosen: Selection,
) -> None:
    """Products with the classes that stay; sums of what does not."""
    if bool(chosen.kept.all()):
        sums.add_rows(part, e, scale)
        return
    kept = chosen.kept.nonzero()[:, 0]
    sums.add_some_classes(part, e, scale, kept)
    gone = ~chosen.kept
    for sign in (scale.clamp(min=0.0), scale.clamp(max=0.0)):
        classes = (sign @ e).where(gone, 0.0)
        rows = sign * (e @ gone.to(e.dtype))
        missing.add(part, rows, classes)


def _per_logit(at: AtClasses, temperature: float) -> AtClasses:
    return AtClasses(at.classes, at.value / temperature)


def _widened(logits: RowLogits) -> RowLogits:
    """The same in the dtype of the arithmetic."""
    kind = arithmetic_of(logits.input.dtype)
    bias = None if logits.bias is None else logits.bias.to(kind)
    return replace(
        logits, input=logits.input.to(kind), weight=known(logits.weight).to(kind), bias=bias
    )


def _narrowed(made: Gradients, logits: RowLogits) -> Gradients:
    pairs = zip(made, (logits.input, logits.weight, logits.bias), strict=True)
    return Gradients(*(x if x is None else x.to(known(like).dtype) for x, like in pairs))


CPU_FILTER = FilterBackend(CPU_ENGINE, _filtered)
