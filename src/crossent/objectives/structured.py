"""The penalised mean cross-entropy of a softmax model whose W is a structured linear map."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.certificate import Certificate
from crossent.kernels import Kernel, PassSums
from crossent.objectives.duality import Coordinates, duality_gap
from crossent.objectives.fisher import DiagonalMetric, FisherMetric, build_fisher_metric
from crossent.objectives.intercept import intercept_step
from crossent.objectives.softmax import SoftmaxObjective
from crossent.typing import LinearMap, RowSource

__all__ = ["StructuredObjective"]

_INTERCEPT_ROUNDS = 4  # as in SoftmaxObjective


class StructuredObjective:
    """f(θ, b) = Σ s_i [logsumexp(z_i) - y_i·z_i] + (λ/2) ‖θ‖², z_i = W(θ) x_i + b + offset_i.

    The weights s_i sum to 1; b carries no penalty. The coefficients travel as one vector: θ, then
    b. Every pass multiplies W out and runs the dense kernel, which serves all storages, targets and
    types; the chain rule takes ∂f/∂W back to θ. Both cost some min(q, d) rows of the map.

    Parameters
    ----------
    source : RowSource
    kernel : Kernel
    linear_map : LinearMap
        Of shape (source.n_classes, source.n_features).
    penalty : float
        λ ≥ 0.
    fit_intercept : bool
    n_threads : int, optional
    """

    def __init__(
        self,
        source: RowSource,
        kernel: Kernel,
        linear_map: LinearMap,
        *,
        penalty: float,
        fit_intercept: bool = True,
        n_threads: int | None = None,
    ) -> None:
        self.source = source
        self.linear_map = linear_map
        self.penalty = penalty
        self.fit_intercept = fit_intercept
        # The loss as a function of (W, b), its arithmetic, and its count of passes.
        self.loss = SoftmaxObjective(
            source, kernel, penalty=0.0, fit_intercept=fit_intercept, n_threads=n_threads
        )
        self._here: tuple[npt.NDArray[np.float64], PassSums] | None = None

    @property
    def n_parameters(self) -> int:
        """Those of the map, and q more for the intercepts."""
        return self.linear_map.n_parameters + self.source.n_classes * self.fit_intercept

    @property
    def passes(self) -> int:
        """Passes over the data so far."""
        return self.loss.passes

    def split(
        self, w: npt.NDArray[np.float64], /
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """θ of shape (p,) and b of shape (q,); b is zero without an intercept."""
        p = self.linear_map.n_parameters
        return w[:p], w[p:] if self.fit_intercept else np.zeros(self.source.n_classes)

    def unpack(
        self, w: npt.NDArray[np.float64], /
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """W(θ) of shape (q, d) and b of shape (q,)."""
        theta, b = self.split(w)
        return self.linear_map.to_dense(theta), b

    def pack(
        self, theta: npt.NDArray[np.float64], b: npt.NDArray[np.float64], /
    ) -> npt.NDArray[np.float64]:
        """The vector that `split` takes apart."""
        return np.concatenate([theta, b]) if self.fit_intercept else theta.copy()

    def value_and_gradient(
        self, w: npt.NDArray[np.float64], /
    ) -> tuple[float, npt.NDArray[np.float64]]:
        """Value and gradient at `w`, from one pass over the data.

        Cost: 4·n·d·q flops, and the map applied to about 3·min(q, d) rows.
        """
        moments = self.source.n_classes <= self.source.n_features  # ride along at little cost
        sums = self._pass(w, self.loss.dtype, moments=moments, entropy=False)
        self._here = (w, sums)
        return self._value(w, sums), self._gradient(w, sums)

    def relative_gap(self, value: float, gradient: npt.NDArray[np.float64], /) -> float:
        """``‖∇_θ f‖² / (2λ)`` over the value less itself; NaN for λ = 0 or a map not linear in θ.

        A bound on the relative excess only where the intercept is optimal: see `certify`.
        """
        if not self._is_certifiable:
            return math.nan
        by_theta, _ = self.split(gradient)
        gap = float(by_theta @ by_theta) / (2 * self.penalty)
        return gap / (value - gap) if value > gap else math.inf

    @property
    def resolution(self) -> float:
        """Rounding error of the value, relative to it."""
        return self.loss.resolution

    def refine(self) -> bool:
        """Go over from float32 to float64, block by block."""
        return self.loss.refine()

    def metric(
        self, w: npt.NDArray[np.float64], rng: np.random.Generator, /
    ) -> FisherMetric | DiagonalMetric:
        """The Fisher information of (θ, b) at `w`, from sampled rows; see `build_fisher_metric`."""
        theta, b = self.split(w)
        return build_fisher_metric(
            self.source,
            self.linear_map,
            theta,
            b,
            penalty=self.penalty,
            fit_intercept=self.fit_intercept,
            rng=rng,
        )

    def certify(
        self, w: npt.NDArray[np.float64], /
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Certificate]:
        """`w` with its intercept made optimal, the gradient there, and the certificate.

        Each round is one pass in float64. Usually one is enough: the Newton step on the intercept
        before it uses the second moments of the last pass of the solver. A map that is not linear
        in θ gets no gap: its certificate is of the kind "stationary".
        """
        best: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Certificate] | None = None
        if self._here is not None and self._here[0] is w and self._is_certifiable:
            w = self._stepped(w, self._here[1])
        for _ in range(_INTERCEPT_ROUNDS):
            sums = self._pass(w, np.dtype(np.float64), moments=True, entropy=True)
            gradient, certificate, slack = self._judge(w, sums)
            if best is not None and not certificate.gap < best[2].gap:
                break
            best = (w, gradient, certificate)
            if not slack > 0.05 * (certificate.gap - slack):
                break
            w = self._stepped(w, sums)
        assert best is not None
        return best

    @property
    def _is_certifiable(self) -> bool:
        return self.penalty > 0 and self.linear_map.is_linear_in_parameters

    def _judge(
        self, w: npt.NDArray[np.float64], sums: PassSums
    ) -> tuple[npt.NDArray[np.float64], Certificate, float]:
        """Gradient, certificate, and the part of the gap that the intercept is to blame for."""
        value, gradient = self._value(w, sums), self._gradient(w, sums)
        norm = float(np.linalg.norm(gradient))
        if not self._is_certifiable:
            nan = math.nan
            return gradient, Certificate("stationary", value, nan, nan, norm), 0.0
        theta, _ = self.split(w)
        gap, slack = duality_gap(
            *self.unpack(w),
            sums,
            penalty=self.penalty,
            fit_intercept=self.fit_intercept,
            column_range=self.source.column_range,
            offset_width=self.source.offset_width,
            coordinates=Coordinates(
                theta, lambda G: self.linear_map.pull_back(theta, G), self.linear_map.operator_norm
            ),
        )
        relative = gap / (value - gap) if value > gap else math.inf
        relative = 0.0 if gap == 0 else relative
        return gradient, Certificate("gap", value, gap, relative, norm), slack

    def _value(self, w: npt.NDArray[np.float64], sums: PassSums) -> float:
        theta, _ = self.split(w)
        return float(sums.loss) + 0.5 * self.penalty * float(theta @ theta)

    def _gradient(self, w: npt.NDArray[np.float64], sums: PassSums) -> npt.NDArray[np.float64]:
        theta, _ = self.split(w)
        by_theta = self.linear_map.pull_back(theta, sums.gradient_W) + self.penalty * theta
        return self.pack(by_theta, sums.gradient_b)

    def _dense(self, w: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(θ, b) as the vector (W, b) of the loss."""
        return self.loss.pack(*self.unpack(w))

    def _stepped(self, w: npt.NDArray[np.float64], sums: PassSums) -> npt.NDArray[np.float64]:
        """`w` after one step on b alone."""
        theta, b = self.split(w)
        if not self.fit_intercept:
            return w
        return self.pack(theta, b + intercept_step(sums))

    def _pass(
        self, w: npt.NDArray[np.float64], dtype: np.dtype[Any], *, moments: bool, entropy: bool
    ) -> PassSums:
        """One pass over the data in `dtype`."""
        return self.loss._pass(self._dense(w), dtype, moments=moments, entropy=entropy)
