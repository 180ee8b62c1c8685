"""What the kernels are given for each row, from the coefficients of the loss."""

import torch
from torch import Tensor

from crossent.kernels.triton_gradient import RowNumbers
from crossent.kernels.triton_jit import LOG2_E
from crossent.torch.cuda_blocks import CudaSizes
from crossent.torch.engine import Coefficients, Questions, RowLogits

__all__ = ["gain_of", "numbers_for", "sizes_for"]


def sizes_for(logits: RowLogits, questions: Questions) -> CudaSizes:
    """What the memory of these logits' products depends on."""
    x = logits.input
    return CudaSizes(
        n_rows=len(x),
        n_features=0 if logits.weight is None else x.shape[1],
        n_classes=max(logits.n_classes, logits.sized_for),
        item=x.element_size(),
        wide=8 if x.dtype == torch.float64 else 4,
        sums=2 + 3 + 2 * questions.top_k,
    )


def numbers_for(coefficients: Coefficients, kind: torch.dtype) -> RowNumbers:
    """The coefficients with respect to z as the kernel takes them, in the dtype `kind`."""
    c = coefficients
    softmax, slope = c.softmax.double(), None
    if c.entropy is not None:
        # a − η (z − mean) with z = t / log₂e + log-partition.
        row = c.entropy.row.double()
        softmax = softmax - row * (c.log_partition.double() - c.entropy.mean_logit.double())
        slope = (row / LOG2_E).to(kind)
    labels, chosen, spread, dense = c.labels, c.chosen, c.spread, c.dense
    return RowNumbers(
        shift=(c.log_partition.double() * LOG2_E).to(kind),
        softmax=softmax.to(kind),
        slope=slope,
        labels=None if labels is None else labels.classes,
        label_values=None if labels is None else labels.value.to(kind),
        chosen=None if chosen is None else chosen.classes,
        chosen_values=None if chosen is None else chosen.value.to(kind),
        spread=None if spread is None else spread.row.to(kind),
        vector=None if spread is None else spread.vector.to(kind),
        dense=None if dense is None else dense.row.to(kind),
        targets=None if dense is None else dense.targets,
        target_weight=None if dense is None else dense.weight,
    )


def gain_of(coefficients: Coefficients, dtype: torch.dtype) -> Tensor:
    """A power of two that keeps gradients in the range of float16; 1 for other dtypes. Shape ()."""
    c = coefficients
    if dtype != torch.float16 or not len(c.softmax):
        return c.softmax.new_ones((), dtype=torch.float64)
    parts = [c.softmax]
    parts += [at.value for at in (c.labels, c.chosen) if at is not None and at.value.numel()]
    parts += [term.row for term in (c.spread, c.dense, c.entropy) if term is not None]
    largest = torch.stack([part.abs().amax().double() for part in parts]).amax()
    return torch.where(largest > 0.0, (-largest.log2().floor()).exp2(), 1.0)
