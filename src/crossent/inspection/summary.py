"""A table of coefficients with their errors, and what was tested."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, ndtr, ndtri

__all__ = ["CoefficientRow", "FeatureTest", "Summary"]

_LABELS = {
    "hessian": "inverse of the exact Hessian",
    "sandwich": "sandwich: robust against a wrong model of the probabilities",
    "clustered": "sandwich over clusters: robust also against dependence within them",
    "penalised": (
        "inverse of the Hessian of the penalised likelihood: the spread of the posterior under the "
        "prior N(0, C), not of estimates over repeated samples"
    ),
}


@dataclass(frozen=True)
class FeatureTest:
    """A test that a feature has no effect on any class.

    Attributes
    ----------
    feature : str
    statistic : float
        χ².
    degrees : int
    p_value : float
    """

    feature: str
    statistic: float
    degrees: int

    @property
    def p_value(self) -> float:
        """P(χ² with `degrees` degrees of freedom ≥ `statistic`)."""
        return float(chdtrc(self.degrees, self.statistic))


@dataclass(frozen=True)
class CoefficientRow:
    """One line of the table."""

    label: Any
    feature: str
    estimate: float
    standard_error: float
    z: float
    p_value: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """Coefficients of a softmax regression with errors, intervals and tests.

    Attributes
    ----------
    classes : ndarray, shape (m,)
        What each row of the tables is about.
    base : object or None
        The class that they are compared with; None: the mean of all classes.
    features : tuple of str, length k
        "(intercept)" first, if there is one.
    estimates : ndarray, shape (m, k)
    covariance : ndarray, shape (m·k, m·k)
        Of the estimates, row by row.
    kind : {"hessian", "sandwich", "clustered", "penalised"}
    level : float
        Of the intervals.
    log_likelihood, log_likelihood_null : float
        Σ s log p of the model, and of one that knows the class shares only (with an offset: the
        offset and the intercepts; without intercepts: the offset alone).
    n_rows : int
    weight : float
        Σ s.
    n_clusters : int or None
    feature_tests : tuple of FeatureTest
        Wald tests over all classes, one for each feature. None where there is a penalty.
    distance : float
        How far the coefficients are from the optimum, in standard errors: √(gᵀ H⁻¹ g). No
        contrast of them is off by more than this many of its own errors.
    """

    classes: npt.NDArray[Any]
    base: Any
    features: tuple[str, ...]
    estimates: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]
    kind: str
    level: float
    log_likelihood: float
    log_likelihood_null: float
    n_rows: int
    weight: float
    n_clusters: int | None
    n_coefficients: int
    feature_tests: tuple[FeatureTest, ...]
    distance: float

    @property
    def covariance_label(self) -> str:
        """What the covariance is, in words."""
        return _LABELS[self.kind]

    @cached_property
    def standard_errors(self) -> npt.NDArray[np.float64]:
        """Shape (m, k)."""
        variances = np.maximum(self.covariance.diagonal(), 0.0)
        return np.asarray(np.sqrt(variances).reshape(self.estimates.shape))

    @property
    def z(self) -> npt.NDArray[np.float64]:
        """Estimates over their errors, shape (m, k)."""
        return np.asarray(self.estimates / self.standard_errors)

    @property
    def p_values(self) -> npt.NDArray[np.float64]:
        """Two-sided, of Wald's test that a coefficient is 0, shape (m, k).

        NaN where there is a penalty: penalised estimates are biased, and such a test is not valid.
        """
        if self.kind == "penalised":
            return np.full(self.estimates.shape, np.nan)
        return np.asarray(2 * ndtr(-np.abs(self.z)))

    @property
    def intervals(self) -> npt.NDArray[np.float64]:
        """Ends of the Wald intervals, shape (m, k, 2)."""
        half = float(ndtri((1 + self.level) / 2)) * self.standard_errors
        return np.stack([self.estimates - half, self.estimates + half], axis=-1)

    @property
    def likelihood_ratio_test(self) -> FeatureTest:
        """Of all features together: 2 (log-likelihood − null). NaN where there is a penalty."""
        degrees = self.n_coefficients - (self.features[0] == "(intercept)") * self._contrasts
        statistic = 2 * (self.log_likelihood - self.log_likelihood_null)
        return FeatureTest(
            "all features", math.nan if self.kind == "penalised" else statistic, degrees
        )

    @property
    def _contrasts(self) -> int:
        """Q − 1."""
        return self.n_coefficients // len(self.features)

    @property
    def mcfadden(self) -> float:
        """McFadden's pseudo-R²: 1 − log-likelihood / null."""
        return 1 - self.log_likelihood / self.log_likelihood_null

    @property
    def aic(self) -> float:
        """−2 log-likelihood + 2 · coefficients."""
        return -2 * self.log_likelihood + 2 * self.n_coefficients

    @property
    def bic(self) -> float:
        """−2 log-likelihood + log(Σ s) · coefficients."""
        return -2 * self.log_likelihood + math.log(self.weight) * self.n_coefficients

    def rows(self) -> Iterator[CoefficientRow]:
        """Every coefficient, class by class."""
        errors, z, p, ends = self.standard_errors, self.z, self.p_values, self.intervals
        for i, label in enumerate(self.classes.tolist()):
            for j, feature in enumerate(self.features):
                yield CoefficientRow(
                    label,
                    feature,
                    float(self.estimates[i, j]),
                    float(errors[i, j]),
                    float(z[i, j]),
                    float(p[i, j]),
                    float(ends[i, j, 0]),
                    float(ends[i, j, 1]),
                )

    def __str__(self) -> str:
        against = "the mean of all classes" if self.base is None else repr(self.base)
        test = self.likelihood_ratio_test
        lines = [
            f"{self.n_rows} rows, each class against {against}",
            f"covariance: {self.covariance_label}",
            f"log-likelihood {self.log_likelihood:.6g}, of the class shares "
            f"{self.log_likelihood_null:.6g}, McFadden's R² {self.mcfadden:.4g}",
        ]
        if math.isfinite(test.statistic):
            lines.append(
                f"likelihood ratio {test.statistic:.6g} on {test.degrees} degrees of freedom, "
                f"p = {test.p_value:.3g}; AIC {self.aic:.6g}, BIC {self.bic:.6g}"
            )
        width = max(map(len, self.features))
        tail = f"{100 * (1 - self.level) / 2:.3g} %"
        head = f"{100 * (1 + self.level) / 2:.3g} %"
        title = f"{'':{width}} {'estimate':>11} {'error':>10} {'z':>8} {'p':>9} "
        last = object()
        for row in self.rows():
            if row.label != last:
                lines += ["", str(row.label), f"{title}{tail:>11} {head:>11}"]
                last = row.label
            lines.append(
                f"{row.feature:{width}} {row.estimate:11.5g} {row.standard_error:10.4g} "
                f"{row.z:8.2f} {row.p_value:9.3g} {row.low:11.5g} {row.high:11.5g}"
            )
        return "\n".join(lines)
