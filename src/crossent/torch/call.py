"""One call as data: the tensors, brought to one shape, and the options."""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Call", "Options", "Problem"]


@dataclass(frozen=True)
class Options:
    """What a call asks for, tensors aside; the names are those of `linear_cross_entropy`."""

    reduction: str = "mean"
    ignore_index: int | None = None
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    logit_softcap: float | None = None
    temperature: float = 1.0
    compute: tuple[str, ...] = ()
    top_k: int = 0
    filter: float | None = None
    max_workspace_bytes: int | None = None
    path: str | None = None

    @property
    def ignored_label(self) -> int:
        """What stands for no label."""
        return -100 if self.ignore_index is None else self.ignore_index


@dataclass(frozen=True)
class Call:
    """The tensors of a call with n rows, d features and q classes, checked and brought to one form.

    Attributes
    ----------
    input : Tensor, shape (n, d)
        Or the logits themselves, shape (n, q), where `weight` is None.
    weight : Tensor, shape (q, d), or None
    bias : Tensor, shape (q,), or None
    labels : Tensor of int64, shape (n, k), or None
        k classes a row: k = 1 for class labels. `Options.ignored_label` where there is none.
    label_probabilities : Tensor, shape (n, k), or None
        What is given to each of them; None for 1.
    targets : Tensor, shape (n, q), or None
        A probability for every class; then `labels` is None.
    class_weight : Tensor, shape (q,), or None
    sample_weight : Tensor, shape (n,), or None
    chosen : Tensor of int64, shape (n, m), or None
        Classes whose log-probability is wanted.
    options : Options
    num_classes : int or None
        q, where `weight` and `bias` hold some of the classes only.
    """

    input: Tensor
    weight: Tensor | None
    bias: Tensor | None
    labels: Tensor | None
    label_probabilities: Tensor | None
    targets: Tensor | None
    class_weight: Tensor | None
    sample_weight: Tensor | None
    chosen: Tensor | None
    options: Options
    num_classes: int | None = None

    @property
    def n_classes(self) -> int:
        """Number of classes, q."""
        if self.num_classes is not None:
            return self.num_classes
        return int(self.input.shape[1] if self.weight is None else self.weight.shape[0])


@dataclass(frozen=True)
class Problem:
    """What decides on the path of a call; no tensor is read for it.

    Attributes
    ----------
    n_rows, n_features, n_classes : int
        No features where the logits are given.
    dtype : str
        Of input and weight: "float32", "bfloat16", ...
    device : str
        "cpu", "cuda", ...
    needs_input, needs_weight, needs_bias : bool
        Whose gradient will be asked for; all False under ``torch.no_grad()``.
    needs_others : bool
        Whether targets or class weights require a gradient.
    has_targets : bool
        Targets give a probability for every class.
    n_labels : int
        Labels a row; 0 with `has_targets`.
    options : Options
    device_index : int or None
        Which of several devices; None for the one in use.
    has_chosen : bool
        Whether log-probabilities of chosen classes are wanted.
    """

    n_rows: int
    n_features: int
    n_classes: int
    dtype: str
    device: str
    needs_input: bool
    needs_weight: bool
    needs_bias: bool
    needs_others: bool
    has_targets: bool
    n_labels: int
    options: Options
    device_index: int | None = None
    has_chosen: bool = False

    @property
    def needs_gradient(self) -> bool:
        """Whether any product of the backward pass will be needed."""
        return self.needs_input or self.needs_weight or self.needs_bias

    @property
    def has_gradients_from_above(self) -> bool:
        """Whether more than one number may come from above: a row's, or another output's."""
        options = self.options
        outputs = {"row_loss", "log_partition", "entropy"}.intersection(options.compute)
        return options.reduction == "none" or bool(outputs) or options.top_k > 0 or self.has_chosen
