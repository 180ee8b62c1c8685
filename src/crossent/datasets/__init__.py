"""Named data sets, and readers for tables and images, each checked where it enters."""

from crossent.datasets._arrow import require_tables, tables_installed
from crossent.datasets.array_files import is_array_file, open_arrays, read_array, read_labels
from crossent.datasets.catalogue import DatasetDescription, describe, names
from crossent.datasets.columns import (
    MISSING_MARKS,
    CellError,
    to_booleans,
    to_dates,
    to_names,
    to_numbers,
    to_text,
    typed_frame,
)
from crossent.datasets.dataset import Dataset
from crossent.datasets.doors import is_table, load, open_dataset
from crossent.datasets.football import FOOTBALL_SAMPLE, FootballMatches, load_football_sample
from crossent.datasets.frames import as_frame, frame_columns, read_frame, stream_frames
from crossent.datasets.idx import read_idx, read_idx_pair
from crossent.datasets.image_folders import holds_images_only, read_images
from crossent.datasets.images import pixel_names
from crossent.datasets.reading import Reading
from crossent.datasets.table import csv_columns, read_csv, read_csv_features
from crossent.datasets.tabular import number_matrix, table_targets, target_names

__all__ = [
    "FOOTBALL_SAMPLE",
    "MISSING_MARKS",
    "CellError",
    "Dataset",
    "DatasetDescription",
    "FootballMatches",
    "Reading",
    "as_frame",
    "csv_columns",
    "describe",
    "frame_columns",
    "holds_images_only",
    "is_array_file",
    "is_table",
    "load",
    "load_football_sample",
    "names",
    "number_matrix",
    "open_arrays",
    "open_dataset",
    "pixel_names",
    "read_array",
    "read_csv",
    "read_csv_features",
    "read_frame",
    "read_idx",
    "read_idx_pair",
    "read_images",
    "read_labels",
    "require_tables",
    "stream_frames",
    "table_targets",
    "tables_installed",
    "target_names",
    "to_booleans",
    "to_dates",
    "to_names",
    "to_numbers",
    "to_text",
    "typed_frame",
]
