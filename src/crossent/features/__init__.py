"""From what people have to numbers that a linear model can use."""

from crossent.features.column_kinds import KINDS, Column
from crossent.features.fastfood import FastfoodFeatures
from crossent.features.table_encoder import TableEncoder

__all__ = ["KINDS", "Column", "FastfoodFeatures", "TableEncoder"]
