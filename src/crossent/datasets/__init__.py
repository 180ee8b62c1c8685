"""Named data sets, and readers for tables and images, each checked where it enters."""

from crossent.datasets.catalogue import DatasetDescription, describe, names
from crossent.datasets.dataset import Dataset
from crossent.datasets.doors import load, open_dataset
from crossent.datasets.idx import read_idx, read_idx_pair
from crossent.datasets.table import read_csv

__all__ = [
    "Dataset",
    "DatasetDescription",
    "describe",
    "load",
    "names",
    "open_dataset",
    "read_csv",
    "read_idx",
    "read_idx_pair",
]
