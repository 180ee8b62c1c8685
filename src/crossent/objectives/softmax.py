"""The penalised mean cross-entropy of a linear softmax model, as a solver sees it."""

import functools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.certificate import Certificate
from crossent.kernels import Kernel, PassSums
from crossent.objectives.budget import affordable_rows, cost_of_all_directions
from crossent.objectives.duality import TargetMoments, duality_gap
from crossent.objectives.intercept import InterceptSteps
from crossent.objectives.leverage import leverages
from crossent.objectives.metric import (
    HessianChoice,
    TwoLevelMetric,
    build_metric,
    metric_of_many_classes,
)
from crossent.objectives.newton_metric import NewtonMetric
from crossent.objectives.sampling import positive_rows, rows_for_metric, sample_size
from crossent.objectives.scaled_gap import scaled_gap
from crossent.objectives.target_sums import class_curvature, mean_target, target_moments
from crossent.typing import Block, RowSource

__all__ = ["SoftmaxObjective"]

_MANY_CLASSES = 1500  # above this the q×q Hessian of the intercept is not formed
_ROUNDS_OF_MANY_CLASSES = 12
_INTERCEPT_ROUNDS = 4  # Newton converges quadratically; more rounds would be rounding
_CHEAP_METRIC_FLOPS = 2e9
_LOOSENESS = 500.0  # of a scaled gap, over the Newton decrement: 2 to 1000 on seven data sets
_SCALED_ENTRIES = 3_000_000  # of the rows that it takes: some 20 ms
_SCALED_ROWS_PER_FEATURE = 20
_LEADING_ROWS = (0, 500, 1500)  # rows of the second level's factor, by build
_NEAR = 1e4  # times the gap that is enough: from there on passes bring second moments
_FREE_SHARE = 0.05  # second moments ride along in a pass if they add at most this much work


class SoftmaxObjective:
    """f(W, b) = Σ s_i [logsumexp(z_i) - y_i·z_i] + (λ/2) ‖W‖², z_i = W x_i + b + offset_i.

    The weights s_i sum to 1. The coefficients travel as one vector: W row by row, then b.

    Parameters
    ----------
    source : RowSource
    kernel : Kernel
    penalty : float
        λ ≥ 0; b carries none.
    fit_intercept : bool
    dtype : dtype, optional
        Arithmetic of the passes that find the way, float32 or float64; default the data's.
        Certificates are always computed in float64.
    n_threads : int, optional
    hessian : {"auto", "exact", "model"}
        How metrics are built: see `build_metric`. "exact" takes all rows and all directions.
    enough : float
        Relative gap below which a certificate is not made tighter by further passes.
    thorough : bool
        Whether the first metric already is the exact Hessian of a sample, if that can be made:
        where a neighbouring problem needed it.
    """

    def __init__(
        self,
        source: RowSource,
        kernel: Kernel,
        *,
        penalty: float,
        fit_intercept: bool = True,
        dtype: np.dtype[Any] | None = None,
        n_threads: int | None = None,
        hessian: HessianChoice = "auto",
        enough: float = 0.0,
        thorough: bool = False,
    ) -> None:
        self.source = source
        self.kernel = kernel
        self.penalty = penalty
        self.fit_intercept = fit_intercept
        self.dtype: np.dtype[Any] = source.dtype if dtype is None else dtype
        self.n_threads = n_threads
        self.hessian = hessian
        self.enough = enough
        self.thorough = thorough
        self.passes = 0
        self.metric_builds = 0
        self._model: TwoLevelMetric | None = None
        self._row_curvature: npt.NDArray[np.float64] | None = None
        self._near = penalty == 0  # the end: a certificate may be next
        self._here: tuple[npt.NDArray[np.float64], PassSums] | None = None

    @property
    def n_parameters(self) -> int:
        """q·d, and q more for the intercepts."""
        return self.source.n_classes * (self.source.n_features + self.fit_intercept)

    def unpack(
        self, w: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """W of shape (q, d) and b of shape (q,); b is zero without an intercept."""
        q, d = self.source.n_classes, self.source.n_features
        W = w[: q * d].reshape(q, d)
        return W, w[q * d :] if self.fit_intercept else np.zeros(q)

    def pack(
        self, W: npt.NDArray[np.float64], b: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """The vector that `unpack` takes apart."""
        return np.concatenate([W.ravel(), b]) if self.fit_intercept else W.ravel().copy()

    def value_and_gradient(
        self, w: npt.NDArray[np.float64], /
    ) -> tuple[float, npt.NDArray[np.float64]]:
        """Value and gradient at `w`, from one pass over the data.

        Cost: 4·n·d·q flops; memory of one block.
        """
        share = self.source.n_classes / (4 * max(self.source.n_features, 1))
        moments = share <= _FREE_SHARE and self.source.n_classes <= _MANY_CLASSES and self._near
        sums = self._pass(w, self.dtype, moments=moments, entropy=False)
        W, _ = self.unpack(w)
        value = float(sums.loss) + 0.5 * self.penalty * float(np.vdot(W, W))
        gradient = self.pack(sums.gradient_W, sums.gradient_b)
        gradient[: W.size] += self.penalty * w[: W.size]
        self._here = (w, replace(sums, gradient_W=np.zeros((0, 0))))
        return value, gradient

    def relative_gap(self, value: float, gradient: npt.NDArray[np.float64], /) -> float:
        """``‖∇_W f‖² / (2λ)`` over the value less itself; NaN for λ = 0.

        A bound on the relative excess only where the intercept is optimal: see `certify`.
        """
        if self.penalty == 0:
            return math.nan
        gradient_W, _ = self.unpack(gradient)
        gap = float(np.vdot(gradient_W, gradient_W)) / (2 * self.penalty)
        relative = gap / (value - gap) if value > gap else math.inf
        self._near = relative <= _NEAR * max(self.enough, 1e-9)
        return relative

    def provable_gap(self, value: float, decrement: float, /) -> float:
        """What `certify` may prove by `scaled_gap`; infinite where that is not tried."""
        if self._rows_for_scaled_gap is None or not value > 0:
            return math.inf
        return _LOOSENESS * decrement / value

    @property
    def _rows_for_scaled_gap(self) -> slice | None:
        """The rows that a scaled gap takes: dense ones, many more than features; or none."""
        n, d = self.source.n_rows, max(self.source.n_features, 1)
        rows = min(n, _SCALED_ENTRIES // max(d, self.source.n_classes))
        sparse = sp.issparse(getattr(self.source, "X", None))
        if self.penalty == 0 or sparse or rows < _SCALED_ROWS_PER_FEATURE * d:
            return None
        return slice(0, n, -(-n // rows))

    @property
    def resolution(self) -> float:
        """Rounding error of the value, relative to it.

        In float32 each logit is rounded by some 1e-7 of its terms; where terms cancel the value is
        a thousand times smaller than they are (digits + 100: measured 2e-6).
        """
        return 1e-5 if self.dtype == np.float32 else 1e-14

    def refine(self) -> bool:
        """Go over from float32 to float64, block by block."""
        if self.dtype == np.float64:
            return False
        self.dtype = np.dtype(np.float64)
        return True

    def metric(
        self, w: npt.NDArray[np.float64], rng: np.random.Generator, /
    ) -> NewtonMetric | TwoLevelMetric:
        """A model of the Hessian at `w`, from sampled rows.

        The first one is made where nothing is known yet and lives for few steps: it has no second
        level. Later ones live longer.
        """
        if self.source.n_classes > _MANY_CLASSES:
            return self._metric_of_many_classes()
        W, b = self.unpack(w)
        whole = self.thorough or self.metric_builds >= len(_LEADING_ROWS)
        whole = whole and self._cost_of_all_directions < math.inf
        block = self._rows_for_metric(rng, whole=whole)
        affordable = affordable_rows(self.source, block.X.shape[0])
        most = min(affordable, _LEADING_ROWS[min(self.metric_builds, len(_LEADING_ROWS) - 1)])
        choice = "model" if self._too_dear(affordable) else self.hessian
        metric = build_metric(
            block,
            W,
            b,
            penalty=self.penalty,
            fit_intercept=self.fit_intercept,
            leading=max(0, most // self.source.n_classes - 1),
            rng=rng,
            n_rows=self._weighted_rows,
            choice="exact" if whole else choice,
            previous=self._model,
            n_threads=self.n_threads,
        )
        self.metric_builds += 1
        if isinstance(metric, NewtonMetric):
            self._model = None
            return replace(metric, cost=0.0) if self.hessian == "exact" else metric
        self._model = metric
        if self.metric_builds < len(_LEADING_ROWS) or self._cost_of_all_directions == math.inf:
            return metric
        return replace(metric, cost=self._cost_of_all_directions)  # of the next one

    def _metric_of_many_classes(self) -> TwoLevelMetric:
        """The first level, from what the last pass found."""
        assert self._here is not None
        assert self._row_curvature is not None
        mean = None
        if self.fit_intercept:
            target = self.mean_target
            mean = np.maximum(self._here[1].gradient_b + target, 0.1 * target)
        return metric_of_many_classes(
            self.source, self._row_curvature, mean, self.penalty, self.n_threads
        )

    def _rows_for_metric(self, rng: np.random.Generator, *, whole: bool) -> Block:
        sampled = self._sample_size < self.source.n_rows
        curvature = self._row_curvature if sampled else None
        held = None
        if whole and curvature is not None:
            held = leverages(self.source, curvature, penalty=self.penalty, n_threads=self.n_threads)
        return rows_for_metric(self.source, curvature, rng, self._metric_dtype, leverages=held)

    @functools.cached_property
    def _weighted_rows(self) -> int:
        """Rows of positive weight."""
        return int(np.count_nonzero(self.source.sample_weight > 0))

    @functools.cached_property
    def mean_target(self) -> npt.NDArray[np.float64]:
        """ȳ = Σ s_i y_i: of every class some, since classes without rows are left out."""
        return mean_target(self.source)

    def certify(
        self, w: npt.NDArray[np.float64], /
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Certificate]:
        """`w` with its intercept made optimal, the gradient there, and the certificate.

        Each round is one pass in float64. Usually one is enough: the Newton step on the intercept
        before it uses the second moments of the last pass of the solver.
        """
        best: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Certificate] | None = None
        many = self.source.n_classes > _MANY_CLASSES
        steps = InterceptSteps(class_curvature(self.source, self._row_curvature) if many else None)
        if self._here is not None and self._here[0] is w:
            w = self._stepped(w, self._here[1], steps)
        for _ in range(_ROUNDS_OF_MANY_CLASSES if many else _INTERCEPT_ROUNDS):
            sums = self._pass(w, np.dtype(np.float64), moments=True, entropy=True)
            gradient, certificate, slack = self._judge(w, sums)
            if best is None or _rank(certificate) < _rank(best[2]):
                best = (w, gradient, certificate)
            elif not many:
                break
            tight = not slack > 0.05 * (certificate.gap - slack)
            if tight or certificate.relative_gap <= self.enough:
                break
            w = self._stepped(w, sums, steps)
        assert best is not None
        return best

    def _stepped(
        self, w: npt.NDArray[np.float64], sums: PassSums, steps: InterceptSteps
    ) -> npt.NDArray[np.float64]:
        """`w` after one step on b alone."""
        if not self.fit_intercept:
            return w
        W, b = self.unpack(w)
        return self.pack(W, b + steps.after(sums))

    def _judge(
        self, w: npt.NDArray[np.float64], sums: PassSums
    ) -> tuple[npt.NDArray[np.float64], Certificate, float]:
        """Gradient, certificate, and the part of the gap that the intercept is to blame for."""
        W = self.unpack(w)[0]
        value = float(sums.loss) + 0.5 * self.penalty * float(np.vdot(W, W))
        gradient = self.pack(sums.gradient_W, sums.gradient_b)
        gradient[: W.size] += self.penalty * w[: W.size]
        norm = float(np.linalg.norm(gradient))
        if self.penalty == 0:
            nan = math.nan
            return gradient, Certificate("stationary", value, nan, nan, norm), 0.0
        gap, slack = self._gap(w, sums, None)
        if _relative(value, gap) > self.enough:
            better = self._scaled_gap(w, sums)
            gap, slack = (better, 0.0) if better < gap else (gap, slack)
        if slack > 0 and _relative(value, gap) > self.enough:
            gap, slack = min((gap, slack), self._gap(w, sums, self._target_moments))
        return gradient, Certificate("gap", value, gap, _relative(value, gap), norm), slack

    def _gap(
        self, w: npt.NDArray[np.float64], sums: PassSums, moments: TargetMoments | None
    ) -> tuple[float, float]:
        return duality_gap(
            *self.unpack(w),
            sums,
            penalty=self.penalty,
            fit_intercept=self.fit_intercept,
            column_range=self.source.column_range,
            offset_width=self.source.offset_width,
            moments=moments,
        )

    @functools.cached_property
    def _target_moments(self) -> TargetMoments:
        """One more reading of X, and only where an intercept is in the way of a certificate."""
        return target_moments(self.source)

    def _scaled_gap(self, w: npt.NDArray[np.float64], sums: PassSums) -> float:
        rows = self._rows_for_scaled_gap
        if rows is None or sums.mean_probability is None:
            return math.inf
        return scaled_gap(
            *self.unpack(w),
            sums,
            self.source.take(positive_rows(self.source, rows), np.float64),
            penalty=self.penalty,
            fit_intercept=self.fit_intercept,
            column_range=self.source.column_range,
            offset_width=self.source.offset_width,
        )

    def _pass(
        self,
        w: npt.NDArray[np.float64],
        dtype: np.dtype[Any],
        *,
        moments: bool,
        entropy: bool,
    ) -> PassSums:
        """One pass over the data in `dtype`."""
        W, b = self.unpack(w)
        q = self.source.n_classes
        sums = PassSums(gradient_W=np.zeros(W.shape), gradient_b=np.zeros(q))
        if moments:
            sums = replace(sums, mean_probability=np.zeros(q))
            if q <= _MANY_CLASSES:
                sums.second_moment = np.zeros((q, q))
        if entropy:
            sums.entropy = np.zeros(())
        wanted = self._sample_size < self.source.n_rows or q > _MANY_CLASSES
        if self._row_curvature is None and wanted:
            self._row_curvature = np.empty(self.source.n_rows)
        sums.row_curvature = self._row_curvature
        for block in self.source.blocks(self.kernel.block_rows):
            self.kernel.accumulate(block, W, b, sums, self.n_threads, dtype)
        self.passes += 1
        return sums

    @functools.cached_property
    def _cost_of_all_directions(self) -> float:
        if self.hessian == "model":
            return math.inf
        return cost_of_all_directions(self.source, fit_intercept=self.fit_intercept)

    def _too_dear(self, affordable: int) -> bool:
        """Whether the exact Hessian, though small, costs more than the passes that it saves."""
        return self.hessian == "auto" and self.n_parameters > affordable

    @property
    def _sample_size(self) -> int:
        return self.source.n_rows if self.hessian == "exact" else sample_size(self.source)

    @property
    def _metric_dtype(self) -> np.dtype[Any]:
        """float64 where it costs little: rounding in the model of the Hessian costs passes."""
        q, d = self.source.n_classes, self.source.n_features
        flops = self._sample_size * (d * d + min(q * (d + 1), 1000) ** 2)
        return (
            np.dtype(np.float64)
            if self.hessian == "exact" or flops < _CHEAP_METRIC_FLOPS
            else self.source.dtype
        )


def _relative(value: float, gap: float) -> float:
    """The gap over the value less itself; 0 for no gap."""
    if gap == 0:
        return 0.0
    return gap / (value - gap) if value > gap else math.inf


def _rank(certificate: Certificate) -> float:
    """Smaller is better."""
    return certificate.gradient_norm if math.isnan(certificate.gap) else certificate.gap
