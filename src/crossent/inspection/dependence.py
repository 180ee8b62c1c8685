"""Whether the rows' surprisals depend on the order of the rows, or on groups of rows."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special as sc
import scipy.stats as st

from crossent.errors import InputError

__all__ = ["RowDependence", "row_dependence"]


@dataclass(frozen=True)
class RowDependence:
    """What the order and the groups of the rows have to do with their surprisals.

    Attributes
    ----------
    n_rows : int
    autocorrelation : float
        Correlation of the rank of each row's surprisal with that of the next row.
    autocorrelation_z : float
        The same in standard deviations of independent rows.
    trend : float
        Spearman's correlation of surprisal and row number.
    trend_z : float
    n_groups : int or None
        None if no groups were given, as for the next three.
    group_share : float or None
        Intraclass correlation of the ranks: 0 for independent rows, 1 if rows of a group are equal.
    group_z : float or None
    mean, standard_error : float
        Mean surprisal in nats, and its standard error if all rows are independent.
    grouped_standard_error : float or None
        The standard error if only the *groups* are independent.
    threshold : float
        From how many standard deviations on something counts as found.
    """

    n_rows: int
    autocorrelation: float
    autocorrelation_z: float
    trend: float
    trend_z: float
    n_groups: int | None
    group_share: float | None
    group_z: float | None
    mean: float
    standard_error: float
    grouped_standard_error: float | None
    threshold: float

    @property
    def found(self) -> tuple[str, ...]:
        """Which of "neighbours", "trend" and "groups" were found to matter."""
        z = {
            "neighbours": abs(self.autocorrelation_z),
            "trend": abs(self.trend_z),
            "groups": self.group_z if self.group_z is not None else -math.inf,
        }
        return tuple(name for name, size in z.items() if size > self.threshold)

    def in_words(self) -> str:
        """What was found, and what this can and cannot show; one sentence after the other."""
        if math.isnan(self.trend_z):
            return f"All surprisals are equal, so that they show nothing. {_LIMITS}"
        sentences = [_FOUND[name].format(self, _many(self.group_z)) for name in self.found]
        if not sentences:
            groups = "" if self.n_groups is None else f" or on the {self.n_groups} groups"
            sentences = [f"The surprisals show no dependence on the order of the rows{groups}."]
        if self.grouped_standard_error is not None:
            sentences.append(
                "The standard error of the mean surprisal is "
                f"{self.grouped_standard_error:.3g} nats if groups are drawn independently, and "
                f"{self.standard_error:.3g} if rows are."
            )
        return " ".join([*sentences, _LIMITS])


_FOUND = {
    "neighbours": (
        "Neighbouring rows are alike (correlation {0.autocorrelation:+.3f}, "
        "{0.autocorrelation_z:+.1f} standard deviations): rows are not independent in this order, "
        "or were sorted."
    ),
    "trend": (
        "Surprisal changes along the rows (rank correlation {0.trend:+.3f}, {0.trend_z:+.1f} "
        "standard deviations): the rows do not all come from one distribution, unless neighbouring "
        "or grouped rows depend on each other, which can look like a trend."
    ),
    "groups": (
        "Rows of a group are alike (intraclass correlation {0.group_share:.3f}, "
        "{1} standard deviations): count groups, not rows, in standard errors, and "
        "keep a group on one side of a split into training and test rows."
    ),
}
_LIMITS = (
    "A finding refutes independent, identically distributed rows given the model; that nothing is "
    "found proves nothing: dependence at longer distances, dependence that leaves surprisals "
    "unchanged, and groups that were not named are invisible here."
)


def _many(z: float | None) -> str:
    """A number of standard deviations; the tail of more than 38 is below the smallest float."""
    return "" if z is None else "more than 38" if math.isinf(z) else f"{z:.1f}"


def row_dependence(
    surprisals: Any, /, *, groups: Any = None, threshold: float = 4.0
) -> RowDependence:
    """Look for dependence of surprisals on the order of the rows and on groups.

    For rows that are independent and identically distributed, given a model that was not fitted to
    them, every order of their surprisals is equally likely. With r the ranks of the surprisals less
    their mean (ties share theirs) and t the row numbers less theirs::

        autocorrelation = Σ_i r_i r_{i+1} / Σ r²                         z = √n · it
        trend           = Σ r_i t_i / sqrt(Σ r² Σ t²)                    z = √(n-1) · it
        groups          F = (between / (k-1)) / (within / (n-k))          z: as likely as this F

    Parameters
    ----------
    surprisals : array_like, shape (n,)
        -log p of each row's class, in nats, *in the order in which the rows were collected*, as
        `SoftmaxRegression.surprisal` gives them; +inf is allowed. On training rows the model has
        adapted itself to them: use rows that it has not seen.
    groups : array_like, shape (n,), optional
        A name per row: patient, author, school, day.
    threshold : float, default 4.0
        Standard deviations. At 4 one in 10,000 independent data sets raises a false alarm.

    Returns
    -------
    RowDependence

    Raises
    ------
    InputError
        Fewer than 3 rows, NaN, negative surprisals; as many groups as rows, only one group, or
        another number of names than rows; a threshold that is not positive.

    Notes
    -----
    Ranks, because one very surprising row would otherwise hide all others (as in Bartels's version
    of von Neumann's ratio). No test alone is enough: a slow drift hardly shows between neighbours,
    groups that lie apart show neither there nor as a trend. O(n log n) time.

    References
    ----------
    R. Bartels, "The rank version of von Neumann's ratio test for randomness", JASA 77(377), 1982,
    doi:10.1080/01621459.1982.10477764. W. J. Conover, R. L. Iman, "Rank transformations as a bridge
    between parametric and nonparametric statistics", The American Statistician 35(3), 1981,
    doi:10.1080/00031305.1981.10479327 (F of ranks).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> independent = rng.exponential(size=2000)
    >>> row_dependence(independent).found
    ()
    >>> row_dependence(np.sort(independent)).found
    ('neighbours', 'trend')
    >>> groups = rng.permutation(np.repeat(np.arange(200), 10))
    >>> row_dependence(independent[groups], groups=groups).found
    ('groups',)
    """
    s = _checked(surprisals, threshold)
    n = len(s)
    r = st.rankdata(s) - (n + 1) / 2
    squares = float(r @ r)
    # Equal surprisals have no ranks to compare: 0/0 is NaN, which is never found to matter.
    neighbours = float(r[1:] @ r[:-1]) / squares if squares else math.nan
    t = np.arange(n) - (n - 1) / 2
    trend = float(r @ t) / math.sqrt(squares * float(t @ t)) if squares else math.nan
    k, share, z, grouped = None, None, None, None
    if groups is not None:
        members = _members(groups, n)
        k = int(members.max()) + 1
        share, z = _between_groups(r, members)
        grouped = _grouped_standard_error(s, members)
    return RowDependence(
        n_rows=n,
        autocorrelation=neighbours,
        autocorrelation_z=neighbours * math.sqrt(n),
        trend=trend,
        trend_z=trend * math.sqrt(n - 1),
        n_groups=k,
        group_share=share,
        group_z=z,
        mean=float(s.mean()),
        standard_error=_grouped_standard_error(s, np.arange(n)),
        grouped_standard_error=grouped,
        threshold=float(threshold),
    )


def _checked(surprisals: Any, threshold: float) -> npt.NDArray[np.float64]:
    """Surprisals as a float64 vector."""
    s = np.asarray(surprisals, dtype=np.float64)
    if s.ndim != 1 or len(s) < 3:
        message = f"`surprisals` has shape {s.shape}; give one number per row of 3 rows or more."
        raise InputError(message)
    bad = np.flatnonzero(~(s >= 0))
    if len(bad):
        message = (
            f"`surprisals` row {bad[0]} is {s[bad[0]]}; a surprisal -log p is 0 or more. Pass "
            "surprisals, not probabilities' logarithms."
        )
        raise InputError(message)
    if not threshold > 0:
        message = f"`threshold` is {threshold}; give a positive number of standard deviations."
        raise InputError(message)
    return s


def _members(groups: Any, n: int) -> npt.NDArray[np.intp]:
    """Number of each row's group, from 0."""
    names = np.asarray(groups)
    if names.shape != (n,):
        message = f"`groups` has shape {names.shape} for {n} rows; give one name per row."
        raise InputError(message)
    distinct, members = np.unique(names, return_inverse=True)
    if not 1 < len(distinct) < n:
        message = (
            f"`groups` names {len(distinct)} groups for {n} rows; there must be two or more, and "
            "one with two or more rows."
        )
        raise InputError(message)
    return members


def _between_groups(
    r: npt.NDArray[np.float64], members: npt.NDArray[np.intp]
) -> tuple[float, float]:
    """Intraclass correlation of centred ranks, and the normal quantile as extreme as F."""
    n, sizes = len(r), np.bincount(members)
    k = len(sizes)
    between = float((np.bincount(members, weights=r) ** 2 / sizes).sum())
    within = max(float(r @ r) - between, 0.0)
    if between + within == 0:
        return math.nan, math.nan
    mean_between, mean_within = between / (k - 1), within / (n - k)
    typical = (n - float((sizes**2).sum()) / n) / (k - 1)
    share = (mean_between - mean_within) / (mean_between + (typical - 1) * mean_within)
    if mean_within == 0:
        return share, math.inf
    log_tail = st.f.logsf(mean_between / mean_within, k - 1, n - k)
    return share, -float(sc.ndtri_exp(log_tail))


def _grouped_standard_error(s: npt.NDArray[np.float64], members: npt.NDArray[np.intp]) -> float:
    """Standard error of the mean of s where the sums of groups are independent."""
    if not np.isfinite(s).all():
        return math.inf
    totals = np.bincount(members, weights=s - s.mean())
    k = len(totals)
    return math.sqrt(float(totals @ totals) * k / (k - 1)) / len(s)
