"""What a path must be able to do, and the data that go in and out.

An engine knows logits and sums over classes. It does not know what a loss is: the loss turns the
statistics of a row into coefficients (`crossent.torch.objective`), and every feature of the loss is
one of these few numbers per row. So a new engine has three functions to write, and has all
features.

With p = softmax(z), the gradient of anything that is built from the statistics is, for row i,

    ∂/∂z_iv = softmax_i p_iv − entropy_i p_iv (z_iv − mean_logit_i)        if v is no label of row i
    ∂/∂z_iv = label_iv                                                     if it is
    and in both cases  + chosen_iv − spread_i u_v − dense_i c_v y_iv

The engine leaves the labels out of p, so that p_y − 1 is never formed by a subtraction. The
products follow: ∂/∂W = (∂/∂z)ᵀ X, ∂/∂X = (∂/∂z) W, ∂/∂b = Σᵢ ∂/∂z_i, with the derivative of the cap
and 1 / temperature between them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = [
    "AtClasses",
    "Coefficients",
    "Dense",
    "Engine",
    "Entropy",
    "Gradients",
    "Held",
    "HoldingEngine",
    "Needs",
    "Questions",
    "RowLogits",
    "Spread",
    "Statistics",
    "joined",
    "known",
]


@dataclass(frozen=True)
class RowLogits:
    """How the logits come about: z = cap(X Wᵀ + b) / temperature, or given.

    cap(s) = softcap · tanh(s / softcap), or s where `softcap` is None.

    Attributes
    ----------
    input : Tensor, shape (n, d)
        Or the logits themselves, shape (n, q), where `weight` is None.
    weight : Tensor, shape (q, d), or None
    bias : Tensor, shape (q,), or None
    softcap : float or None
    temperature : float
    sized_for : int
        Blocks of rows are cut as if there were this many classes, if there are fewer: processes
        that hold different numbers of classes then cut alike.
    """

    input: Tensor
    weight: Tensor | None
    bias: Tensor | None
    softcap: float | None
    temperature: float
    sized_for: int = 0

    @property
    def n_classes(self) -> int:
        """Number of classes, q."""
        return int((self.input.shape[1:] if self.weight is None else self.weight.shape)[0])


@dataclass(frozen=True)
class Questions:
    """Which statistics of a row are wanted, beside the log-partition.

    Attributes
    ----------
    labels : Tensor of int64, shape (n, k), or None
        Distinct classes of a row; −1 where there is none.
    spread : Tensor, shape (q,), or None
        u: asks for u·z.
    targets : Tensor, shape (n, q), or None
        y: asks for (c ⊙ y)·z. Then `labels` is None.
    target_weight : Tensor, shape (q,), or None
        c; None for ones.
    chosen : Tensor of int64, shape (n, m), or None
        Asks for the logits of these classes; any class, repeated or not.
    top_k : int
        Asks for the k largest logits and their classes.
    entropy : bool
        Asks for p·z.
    """

    labels: Tensor | None = None
    spread: Tensor | None = None
    targets: Tensor | None = None
    target_weight: Tensor | None = None
    chosen: Tensor | None = None
    top_k: int = 0
    entropy: bool = False

    def rows(self, part: slice) -> "Questions":
        """The same questions about some of the rows."""
        labels, targets, chosen = self.labels, self.targets, self.chosen
        return replace(
            self,
            labels=None if labels is None else labels[part],
            targets=None if targets is None else targets[part],
            chosen=None if chosen is None else chosen[part],
        )


@dataclass(frozen=True)
class Statistics:
    """What is known of each row, in float64.

    Attributes
    ----------
    log_rest : Tensor, shape (n,)
        log Σ exp(z_v) over the classes that are not labels of the row; −∞ if there is none.
    label_logits : Tensor, shape (n, k), or None
        −∞ where there is no label.
    spread_logit, targets_logit : Tensor, shape (n,), or None
        u·z and (c ⊙ y)·z.
    mean_logit : Tensor, shape (n,), or None
        p·z, where the entropy is asked for: H = log_partition − mean_logit.
    chosen_logits : Tensor, shape (n, m), or None
    top_logits, top_classes : Tensor, shape (n, top_k), or None
        Largest first; of equal logits the lower class first.
    """

    log_rest: Tensor
    label_logits: Tensor | None = None
    spread_logit: Tensor | None = None
    targets_logit: Tensor | None = None
    mean_logit: Tensor | None = None
    chosen_logits: Tensor | None = None
    top_logits: Tensor | None = None
    top_classes: Tensor | None = None

    @property
    def log_partition(self) -> Tensor:
        """Logarithm of the sum over all classes, labels included; shape (n,)."""
        if self.label_logits is None:
            return self.log_rest
        labels = self.label_logits
        one = labels[:, 0] if labels.shape[1] == 1 else labels.logsumexp(dim=1)
        return self.log_rest.logaddexp(one)


class AtClasses(NamedTuple):
    """A number at some classes of each row; both (n, k). Class −1 stands for none."""

    classes: Tensor
    value: Tensor


class Spread(NamedTuple):
    """The same vector over the classes, (q,), times a number for each row, (n,)."""

    row: Tensor
    vector: Tensor


class Dense(NamedTuple):
    """A vector over the classes for each row, c ⊙ y, times a number for each row, (n,).

    y is (n, q), c (q,) or None for ones.
    """

    row: Tensor
    targets: Tensor
    weight: Tensor | None = None


class Entropy(NamedTuple):
    """Gradient of the entropy, and p·z, for each row; both (n,)."""

    row: Tensor
    mean_logit: Tensor


@dataclass(frozen=True)
class Coefficients:
    """The gradient with respect to the logits, row by row; see the formula of this module.

    Attributes
    ----------
    log_partition, softmax : Tensor, shape (n,)
    labels, chosen : AtClasses or None
    spread : Spread or None
    dense : Dense or None
    entropy : Entropy or None
    """

    log_partition: Tensor
    softmax: Tensor
    labels: AtClasses | None = None
    chosen: AtClasses | None = None
    spread: Spread | None = None
    dense: Dense | None = None
    entropy: Entropy | None = None


class Needs(NamedTuple):
    """Which gradients are wanted; a product that serves none is not made."""

    input: bool
    weight: bool
    bias: bool


class Gradients(NamedTuple):
    """Gradients in the dtypes of what they belong to; None where not wanted."""

    input: Tensor | None
    weight: Tensor | None
    bias: Tensor | None


class Engine(Protocol):
    """The three functions of a path.

    Rows that are ignored are left out before, or have no weight and, but for given logits, hold
    zeros.
    """

    @property
    def asynchronous(self) -> bool:
        """Whether the host goes on while the device works, so that a look at a number waits."""

    def statistics(self, logits: RowLogits, questions: Questions, budget: int | None) -> Statistics:
        """One product; `budget` limits the workspace in bytes."""

    def gradients(
        self, logits: RowLogits, coefficients: Coefficients, needs: Needs, budget: int | None
    ) -> Gradients:
        """Logits once more, then their gradient times W and times X: three products."""

    def statistics_and_gradients(
        self,
        logits: RowLogits,
        questions: Questions,
        coefficients_of: Callable[[Statistics, slice], Coefficients],
        needs: Needs,
        budget: int | None,
    ) -> tuple[Statistics, Gradients]:
        """Both with three products in all; `coefficients_of` is asked for each block of rows."""


class Held(Protocol):
    """The logits of all rows, or what stands for them, from the forward to the backward pass."""

    def gradients(self, coefficients: Coefficients, needs: Needs) -> Gradients:
        """Two products. Any coefficients, as often as they are asked for, with the same answer."""


@runtime_checkable
class HoldingEngine(Engine, Protocol):
    """An engine that can keep the logits, so that a gradient from above costs no third product."""

    def statistics_and_held(
        self, logits: RowLogits, questions: Questions, budget: int | None
    ) -> tuple[Statistics, Held]:
        """One product; `budget` is the workspace, what is held included."""


def joined(parts: Sequence[Statistics]) -> Statistics:
    """The statistics of consecutive blocks of rows as one."""
    fields = {name: [getattr(part, name) for part in parts] for name in vars(parts[0])}
    return Statistics(
        **{name: None if xs[0] is None else torch.cat(xs) for name, xs in fields.items()}
    )


def known(value: Tensor | None) -> Tensor:
    """A statistic that was asked for."""
    if value is None:
        message = "a statistic was not asked for"
        raise AssertionError(message)
    return value
