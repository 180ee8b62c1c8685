"""Which classes a block of rows can leave out of its gradient, and what that may cost.

A class goes for a whole block of rows or stays. Classes are sorted into levels by the largest
probability that any row of the block gives them; levels go from the lowest up, as long as no row
loses more than the limit. So what is left out of each row is known, not estimated.
"""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "DENSE_SHARE",
    "LEVELS",
    "MARGIN",
    "Selection",
    "first_dropped_level",
    "levels_of",
    "select",
]

LEVELS = 32
"""Half octaves below the limit. With less than limit / 2¹⁶ in every row a class is in the last."""
DENSE_SHARE = 0.6
"""Where more classes than this share must stay, gathering them costs more than it saves."""
MARGIN = 1.0 + 1e-4
"""Sums of probabilities in float32 count for this much more: they are rounded."""
_COLUMNS = 4096


class Selection(NamedTuple):
    """Classes that stay, (q,), and the probability that each row loses, (rows,)."""

    kept: Tensor
    dropped: Tensor


def levels_of(peak: Tensor, limit: float) -> Tensor:
    """Level of classes whose largest probability is `peak`: 0 above the limit, else 1…LEVELS."""
    octaves = (limit / peak).log2()
    return (2.0 * octaves).floor().clamp(-1, LEVELS - 1).nan_to_num(LEVELS - 1).long() + 1


def first_dropped_level(masses: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    """The lowest level that can go, and each row's loss then.

    Parameters
    ----------
    masses : Tensor, shape (..., rows, LEVELS)
        Probability of each row in levels 1…LEVELS.
    limit : float

    Returns
    -------
    Tensor of int64, shape (...,)
        This level and all after it go; LEVELS + 1 if none does.
    Tensor, shape (..., rows)
    """
    above = masses.flip(-1).cumsum(dim=-1).flip(-1) * MARGIN
    fits = (above <= limit).all(dim=-2)
    first = LEVELS + 1 - fits.sum(dim=-1)
    index = (first - 1).clamp(max=LEVELS - 1)[..., None, None].expand(*above.shape[:-1], 1)
    dropped = above.gather(-1, index)[..., 0]
    return first, dropped.where((first <= LEVELS)[..., None], 0.0)


def select(e: Tensor, scale: Tensor, limit: float) -> Selection:
    """Classes that stay for this block of rows.

    Parameters
    ----------
    e : Tensor, shape (rows, q)
        Not negative.
    scale : Tensor, shape (rows,)
        Probabilities are ``scale[:, None] * e``.
    limit : float
        How much probability a row may lose.
    """
    rows, q = e.shape
    spans = [slice(start, start + _COLUMNS) for start in range(0, q, _COLUMNS)]
    if limit <= 0.0 or rows == 0:
        return Selection(e.new_ones(q, dtype=torch.bool), scale.new_zeros(rows))
    peak = torch.cat([(e[:, span] * scale[:, None]).amax(dim=0) for span in spans])
    level = levels_of(peak, limit)
    names = torch.arange(1, LEVELS + 1, device=e.device)
    masses = e.new_zeros((rows, LEVELS))
    for span in spans:
        masses += e[:, span] @ (level[span, None] == names).to(e.dtype)
    first, dropped = first_dropped_level(masses * scale[:, None], limit)
    kept = level < first
    if float(kept.to(torch.float32).mean()) > DENSE_SHARE:
        return Selection(torch.ones_like(kept), torch.zeros_like(dropped))
    return Selection(kept, dropped)
