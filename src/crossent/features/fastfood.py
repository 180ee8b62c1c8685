"""Random features of the Gaussian kernel in O(log d) operations each."""

import math
import numbers
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import pairwise_distances
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from crossent.errors import InputError
from crossent.linear_maps import Fastfood, next_power_of_two

__all__ = ["FastfoodFeatures"]

_ROWS_FOR_MEDIAN = 1000  # half a million distances
_BLOCK_NUMBERS = 2**18  # numbers of a block's products: 4 MB in float32, second-level cache


class FastfoodFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Cosines and sines of random projections, whose products approximate the Gaussian kernel.

    With m = n_components / 2 frequencies wⱼ ~ N(0, I/σ²),

        φ(x) = (cos w₁·x, …, cos wₘ·x, sin w₁·x, …, sin wₘ·x) / √m,

        φ(x)·φ(y) = (1/m) Σⱼ cos wⱼ·(x - y) ≈ exp(-‖x - y‖² / (2σ²)),

    the error of which falls as 1/√m (Rahimi, Recht 2007). The frequencies are rows of Fastfood
    matrices (Le, Sarlós, Smola 2013, arXiv 1408.3060): a row costs O(m log d) operations and the
    transformer keeps O(m) numbers, where a Gaussian matrix takes O(m d) of both. A softmax
    regression on these features is the convex part of a "deep fried" network.

    Parameters
    ----------
    n_components : int, default=8192
        Number of columns; for an odd number the last frequency has no sine.
    bandwidth : float or "median", default="median"
        σ. "median": the median distance between up to 1000 of the training rows, divided by √2, so
        that the kernel is 1/e there.
    dtype : {numpy.float32, numpy.float64}, default=numpy.float32
        Of the arithmetic and of the result.
    random_state : int, RandomState or None, default=0
        For the frequencies and the rows of the median.

    Attributes
    ----------
    bandwidth_ : float
        σ.
    linear_map_ : crossent.linear_maps.Fastfood
        The frequencies, of shape (m, d).
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (d,)
        If X had column names.

    Notes
    -----
    Cost of a row: ⌈m/n⌉ blocks of two Hadamard transforms of length n, the power of two from d on,
    4·n·(a + b) flops with a·b = n, and 2m cosines and sines. Scale the columns to comparable units
    first. Sparse rows are taken, the result is dense.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from crossent import SoftmaxRegression
    >>> from crossent.features import FastfoodFeatures
    >>> X, y = load_digits(return_X_y=True)
    >>> model = make_pipeline(FastfoodFeatures(512), SoftmaxRegression(C=10))
    >>> model.fit(X[:1000], y[:1000]).score(X[1000:], y[1000:])
    0.934...
    """

    def __init__(
        self,
        n_components: int = 8192,
        *,
        bandwidth: Any = "median",
        dtype: Any = np.float32,
        random_state: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.bandwidth = bandwidth
        self.dtype = dtype
        self.random_state = random_state

    def __sklearn_tags__(self):
        """What scikit-learn may give and expect."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def fit(self, X, y=None):  # noqa: ARG002  scikit-learn's contract
        """Draw the frequencies.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, d)
            Finite numbers; their number of columns matters, and for "median" their distances.
        y : ignored

        Returns
        -------
        FastfoodFeatures
            Itself.

        Raises
        ------
        InputError
            A parameter is out of its range.
        ValueError
            X is not finite, empty, or no table of numbers.
        """
        self._check_parameters()
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32])
        random = check_random_state(self.random_state)
        rng = np.random.default_rng(random.randint(2**31))
        given = self.bandwidth
        self.bandwidth_ = _median_bandwidth(X, rng) if isinstance(given, str) else float(given)
        m, d = -(-self.n_components // 2), X.shape[1]
        drawn = Fastfood.random((m, d), learn="", rng=rng)
        lengths = np.sqrt(rng.chisquare(next_power_of_two(d), m))  # of Gaussian vectors
        self.linear_map_ = Fastfood(
            (m, d),
            signs=drawn.signs,
            gains=drawn.gains,
            permutation=drawn.permutation,
            scales=drawn.scales * lengths / self.bandwidth_,
            learn="",
        )
        return self

    def transform(self, X):
        """The features of each row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, d)

        Returns
        -------
        ndarray of shape (n, n_components), of `dtype`
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        features = np.empty((X.shape[0], self.n_components), dtype=self.dtype)
        step = max(1, _BLOCK_NUMBERS // self.linear_map_.shape[0])
        for begin in range(0, X.shape[0], step):
            rows = X[begin : begin + step]
            dense = rows.toarray() if sp.issparse(rows) else rows
            _fill(features[begin : begin + step], self.linear_map_, dense.astype(self.dtype))
        return features

    @property
    def _n_features_out(self) -> int:
        """For the names of the columns."""
        return int(self.n_components)

    def _check_parameters(self) -> None:
        count: Any = self.n_components
        if not (isinstance(count, numbers.Integral) and int(count) > 0):
            message = f"n_components is {count!r}; it must be a positive integer."
            raise InputError(message)
        width = self.bandwidth
        is_number = isinstance(width, numbers.Real) and 0 < float(width) < math.inf
        if not (is_number or (isinstance(width, str) and width == "median")):
            message = f"bandwidth is {width!r}; it must be a positive number or 'median'."
            raise InputError(message)
        if np.dtype(self.dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
            message = f"dtype is {self.dtype!r}; it must be numpy.float32 or numpy.float64."
            raise InputError(message)


def _fill(out: npt.NDArray[Any], linear_map: Fastfood, X: npt.NDArray[Any]) -> None:
    """Write the features of X, (cos, sin) of its projections over √m, to `out`."""
    projections = linear_map.apply(np.zeros(0), X)
    m = projections.shape[1]
    np.cos(projections, out=out[:, :m])
    np.sin(projections[:, : out.shape[1] - m], out=out[:, m:])
    out *= out.dtype.type(1.0 / math.sqrt(m))


def _median_bandwidth(X: Any, rng: np.random.Generator) -> float:
    """Median distance between rows that differ, over √2; 1 where all rows are one."""
    n = X.shape[0]
    rows = (
        X if n <= _ROWS_FOR_MEDIAN else X[np.sort(rng.choice(n, _ROWS_FOR_MEDIAN, replace=False))]
    )
    distances = pairwise_distances(rows.astype(np.float64))
    between = distances[np.triu_indices(len(distances), 1)]
    between = between[between > 0]
    return float(np.median(between)) / math.sqrt(2) if len(between) else 1.0
