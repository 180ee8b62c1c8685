"""Named data sets, and readers for tables and images, each checked where it enters."""

from crossent.datasets.catalogue import DatasetDescription, describe, names
from crossent.datasets.dataset import Dataset
from crossent.datasets.doors import is_table, load, open_dataset
from crossent.datasets.idx import read_idx, read_idx_pair
from crossent.datasets.table import csv_columns, read_csv, read_csv_features

__all__ = [
    "Dataset",
    "DatasetDescription",
    "csv_columns",
    "describe",
    "is_table",
    "load",
    "names",
    "open_dataset",
    "read_csv",
    "read_csv_features",
    "read_idx",
    "read_idx_pair",
]
