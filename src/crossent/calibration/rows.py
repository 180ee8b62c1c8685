"""Rows to calibrate on: what was said about them, what they are, how much they count."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from crossent.calibration.scores import Given, read_scores
from crossent.errors import InputError
from crossent.functional import log_softmax
from crossent.linear_model.prediction import row_surprisal
from crossent.linear_model.targets import read_sample_weight, read_targets

__all__ = ["Rows", "centred", "read_rows"]


@dataclass(frozen=True)
class Rows:
    """n rows over q classes.

    Attributes
    ----------
    z : ndarray, shape (n, q)
        Logits that sum to zero over the possible classes of each row; 0 where a class is excluded.
    excluded : ndarray of bool, shape (n, q), or None
        Classes of probability 0; None if there are none.
    targets : ndarray
        Labels 0…q−1, shape (n,), or distributions, shape (n, q).
    weight : ndarray, shape (n,)
        Not normalised.
    classes : ndarray, shape (q,)
    """

    z: npt.NDArray[np.float64]
    excluded: npt.NDArray[np.bool_] | None
    targets: npt.NDArray[Any]
    weight: npt.NDArray[np.float64]
    classes: npt.NDArray[Any]

    @property
    def total(self) -> float:
        """S = Σ s."""
        return float(self.weight.sum())

    @property
    def possible(self) -> npt.NDArray[np.bool_]:
        """Which classes are not excluded, shape (n, q) or (1, 1)."""
        return np.ones((1, 1), dtype=bool) if self.excluded is None else ~self.excluded

    @cached_property
    def distributions(self) -> npt.NDArray[np.float64]:
        """The targets as distributions, shape (n, q)."""
        if self.targets.ndim == 2:
            return np.asarray(self.targets, dtype=np.float64)
        return np.asarray(np.eye(len(self.classes))[self.targets])

    @cached_property
    def target_logit(self) -> npt.NDArray[np.float64]:
        """y·z of each row, shape (n,)."""
        if self.targets.ndim == 2:
            return np.asarray(np.einsum("ij,ij->i", self.targets, self.z))
        return np.asarray(self.z[np.arange(len(self.z)), self.targets])

    def take(self, which: npt.NDArray[Any]) -> "Rows":
        """Some of the rows."""
        excluded = None if self.excluded is None else self.excluded[which]
        return replace(
            self,
            z=self.z[which],
            excluded=excluded,
            targets=self.targets[which],
            weight=self.weight[which],
        )

    def log_probabilities(self, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Log-softmax over the classes that are possible, shape (n, q); −∞ for the others."""
        if self.excluded is not None:
            logits = np.where(self.excluded, -np.inf, logits)
        return np.asarray(log_softmax(logits))

    def loss(self, logits: npt.NDArray[np.float64]) -> float:
        """Mean cross-entropy of the softmax of `logits`, in nats."""
        surprisal = row_surprisal(self.log_probabilities(logits), self.targets)
        used = self.weight > 0
        return float(self.weight[used] @ surprisal[used]) / self.total


def read_rows(
    scores: Any,
    y: Any,
    /,
    *,
    given: Given,
    classes: Any = None,
    sample_weight: Any = None,
    floor: float | None = None,
) -> Rows:
    """Check everything once; see `fit_temperature` for the arguments and errors."""
    names = None if classes is None else np.asarray(classes)
    log_p = read_scores(
        scores, given=given, n_classes=None if names is None else len(names), floor=floor
    )
    n, q = log_p.shape
    names = np.arange(q) if names is None else names
    targets = read_targets(y, names, rows=n)
    values = targets.values.toarray() if sp.issparse(targets.values) else targets.values
    weight = read_sample_weight(sample_weight, n)
    z, excluded = centred(log_p)
    rows = Rows(z, excluded, values, weight, names)
    _check_possible(rows)
    return rows


def centred(
    log_p: npt.NDArray[np.float64], /
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_] | None]:
    """Logits that sum to zero over the possible classes, and which classes are not possible.

    The centre makes what follows depend on the probabilities alone, whatever was given: vector and
    matrix scaling change when a number is added to all logits of a row.
    """
    excluded = log_p == -np.inf
    if not excluded.any():
        return log_p - log_p.mean(axis=1, keepdims=True), None
    counts = np.count_nonzero(~excluded, axis=1)[:, np.newaxis]
    finite = np.where(excluded, 0.0, log_p)
    z = finite - finite.sum(axis=1, keepdims=True) / counts
    return np.where(excluded, 0.0, z), excluded


def _check_possible(rows: Rows) -> None:
    """Every row's target has positive probability."""
    if rows.excluded is None:
        return
    held = rows.distributions > 0
    bad = np.argwhere(held & rows.excluded & (rows.weight > 0)[:, np.newaxis])
    if len(bad):
        row, label = bad[0]
        name = rows.classes[label : label + 1].tolist()[0]
        message = (
            f"Row {row} has class {name!r}, to which the model gives probability 0: its loss is "
            "infinite whatever the logits are multiplied by. Pass floor=1e-6, say, to raise all "
            "probabilities to at least that."
        )
        raise InputError(message)
