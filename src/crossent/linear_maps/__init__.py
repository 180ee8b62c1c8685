"""Linear maps from d features to q outputs with fewer numbers, or less work, than q·d.

Each holds what is fixed (shape, permutations, signs) and computes with parameters θ given to it:
apply, adjoint, gradient, projection of a dense matrix, flops, bytes, state.
"""

from crossent.linear_maps.base import StructuredMap
from crossent.linear_maps.block_diagonal import BlockDiagonal, Monarch
from crossent.linear_maps.catalogue import MAP_NAMES, check_map_name, make_map
from crossent.linear_maps.cost import CostReport, cost_report, is_faster_than_dense
from crossent.linear_maps.dense import Dense, LowRank
from crossent.linear_maps.fastfood import Fastfood
from crossent.linear_maps.hadamard import hadamard_transform, next_power_of_two
from crossent.linear_maps.phm import PHM, left_multiplications
from crossent.linear_maps.toeplitz import Circulant, Toeplitz
from crossent.linear_maps.toeplitz_like import ToeplitzLike

__all__ = [
    "MAP_NAMES",
    "PHM",
    "BlockDiagonal",
    "Circulant",
    "CostReport",
    "Dense",
    "Fastfood",
    "LowRank",
    "Monarch",
    "StructuredMap",
    "Toeplitz",
    "ToeplitzLike",
    "check_map_name",
    "cost_report",
    "hadamard_transform",
    "is_faster_than_dense",
    "left_multiplications",
    "make_map",
    "next_power_of_two",
]
