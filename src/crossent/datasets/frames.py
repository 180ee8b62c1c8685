"""Tables as frames: CSV, TSV, Parquet and Arrow files in pieces, and frames of any library."""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossent.datasets._arrow import require_tables
from crossent.datasets._faults import check_header, find_fault, malformed
from crossent.datasets._streams import compression_of, uncompressed_stream
from crossent.errors import DatasetError, InputError

if TYPE_CHECKING:
    import polars

__all__ = ["as_frame", "frame_columns", "line_of_row", "read_frame", "stream_frames"]

_PARQUET, _ARROW, _FEATHER_1, _ARROW_STREAM = b"PAR1", b"ARROW1", b"FEA1", b"\xff\xff\xff\xff"
_DELIMITERS = ",\t;|"
_BLOCK_BYTES = 1 << 22  # of text; a row must fit into one
_BLOCK_ROWS = 1 << 16  # short lines and large record batches are cut: rows cost more than bytes


def read_frame(path: str | os.PathLike[str], /) -> "polars.DataFrame":
    r"""A whole table; the cells of CSV and TSV stay text (see `crossent.datasets.typed_frame`).

    Parameters
    ----------
    path : path-like
        CSV (the separator, one of ``, ; tab |``, is read off the header), TSV, Parquet, Arrow or
        Feather; compressed with gzip, bz2, xz, zstd or lz4, or not.

    Returns
    -------
    polars.DataFrame

    Raises
    ------
    DatasetError
        The file is absent, empty or damaged; not UTF-8 (line and byte are named); a line has too
        few or too many cells (it is named); a name in the header is missing or appears twice; the
        table has no rows; or polars and pyarrow are not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from crossent.datasets import read_frame
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "fruit.tsv")
    ...     _ = path.write_text("weight\tkind\n192\tapple\n86\tmandarin\n")
    ...     read_frame(path).to_dicts()
    [{'weight': '192', 'kind': 'apple'}, {'weight': '86', 'kind': 'mandarin'}]
    """
    require_tables()
    import polars

    return polars.concat(list(stream_frames(path)))


def stream_frames(path: str | os.PathLike[str], /) -> "Iterator[polars.DataFrame]":
    r"""The table of `read_frame` in pieces of at most 65,536 rows and, of text, 4 MB.

    Parameters
    ----------
    path : path-like

    Yields
    ------
    polars.DataFrame
        At least one, none of them empty.

    Raises
    ------
    DatasetError
        As `read_frame`, when the faulty piece is reached.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from crossent.datasets import stream_frames
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "fruit.csv")
    ...     _ = path.write_text("weight,kind\n192,apple\n86,mandarin\n")
    ...     [len(piece) for piece in stream_frames(path)]
    [2]
    """
    require_tables()
    import polars

    path = Path(path)
    found = False
    for batch in _batches(path):
        for start in range(0, batch.num_rows, _BLOCK_ROWS):
            found = True
            yield polars.DataFrame(batch.slice(start, _BLOCK_ROWS))
    if not found:
        message = f"{path}: the table has a header and no rows."
        raise DatasetError(message)


def frame_columns(path: str | os.PathLike[str], /) -> tuple[str, ...]:
    r"""Names of a table's columns, without reading its rows.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    tuple of str

    Raises
    ------
    DatasetError
        The file is absent, empty or damaged, or its header cannot be used.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from crossent.datasets import frame_columns
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "fruit.csv")
    ...     _ = path.write_text("weight;kind\n192;apple\n")
    ...     frame_columns(path)
    ('weight', 'kind')
    """
    path = Path(path)
    if is_text_table(path):
        return tuple(_header(path)[0])
    require_tables()
    with _arrow_reader(path) as reader:
        schema = reader.schema_arrow if hasattr(reader, "schema_arrow") else reader.schema
        return tuple(_different(schema.names, path))


def is_text_table(path: Path, /) -> bool:
    """Whether a table is CSV or TSV rather than Parquet or Arrow, by its first bytes."""
    return not _start(path).startswith((_PARQUET, _ARROW, _FEATHER_1, _ARROW_STREAM))


def _start(path: Path) -> bytes:
    """The first uncompressed bytes; none where whoever reads on finds the file damaged."""
    try:
        with uncompressed_stream(path) as stream:
            return stream.read(8)
    except (DatasetError, OSError):
        return b""


def line_of_row(path: str | os.PathLike[str], row: int, /) -> int | None:
    """Line on which a CSV table's row ends, both counted as people do: rows from 0, lines from 1.

    Parameters
    ----------
    path : path-like
    row : int

    Returns
    -------
    int or None
        None for Parquet and Arrow, which have no lines.
    """
    path = Path(path)
    if not is_text_table(path):
        return None
    _, delimiter, _ = _header(path)
    with uncompressed_stream(path) as stream, _text(stream) as text:
        reader = csv.reader(text, delimiter=delimiter)
        filled = (reader.line_num for cells in reader if cells)
        return next(line for number, line in enumerate(filled, start=-1) if number == row)


def as_frame(X: Any, /) -> "polars.DataFrame":
    """Any library's frame as a polars frame.

    Parameters
    ----------
    X : frame, array or mapping
        Of pandas, polars, pyarrow, or anything with ``__arrow_c_stream__``; a mapping of names to
        columns; or an array of shape (n, d), whose columns are then called x0, x1, ….

    Returns
    -------
    polars.DataFrame
        Without a copy where the library allows it. An index of pandas is left out.

    Raises
    ------
    InputError
        Two columns have one name; a column mixes types that have nothing in common; or X is none
        of these.

    Examples
    --------
    >>> import pandas
    >>> from crossent.datasets import as_frame
    >>> as_frame(pandas.DataFrame({"weight": [192, 86]})).columns
    ['weight']
    """
    require_tables()
    import numpy as np
    import polars
    import pyarrow

    if isinstance(X, polars.LazyFrame):
        return X.collect()
    names = [str(name) for name in getattr(X, "columns", ()) if not isinstance(X, dict)]
    _refuse_duplicates(names or [str(name) for name in getattr(X, "column_names", ())])
    try:
        if type(X).__module__.partition(".")[0] == "pandas":
            return polars.from_pandas(X.set_axis(names, axis=1))
        if isinstance(X, np.ndarray) and X.ndim == 2:
            return polars.DataFrame({f"x{j}": X[:, j] for j in range(X.shape[1])})
        return polars.DataFrame(X)
    except (TypeError, ValueError, pyarrow.ArrowException, polars.exceptions.PolarsError) as error:
        message = (
            f"a {type(X).__name__} cannot be read as a table: {error}. Give a frame whose columns "
            "have one type each."
        )
        raise InputError(message) from error


def _refuse_duplicates(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            message = f"X has two columns called {name!r}. Rename one."
            raise InputError(message)
        seen.add(name)


def _batches(path: Path) -> Iterator[Any]:
    """Record batches of a file of any of the formats."""
    import pyarrow

    if is_text_table(path):
        yield from _csv_batches(path)
        return
    with _arrow_reader(path) as reader:
        try:
            if hasattr(reader, "iter_batches"):
                _different(reader.schema_arrow.names, path)
                yield from reader.iter_batches()
            elif hasattr(reader, "num_record_batches"):
                _different(reader.schema.names, path)
                yield from map(reader.get_batch, range(reader.num_record_batches))
            else:
                _different(reader.schema.names, path)
                yield from reader
        except (pyarrow.ArrowException, OSError) as error:
            raise _damaged(path, error) from error


def _arrow_reader(path: Path) -> Any:
    """Reader of a Parquet or Arrow file."""
    import pyarrow
    import pyarrow.ipc
    import pyarrow.parquet

    start, whole = _start(path), _unpacked(path)
    try:
        if start.startswith(_PARQUET):
            return pyarrow.parquet.ParquetFile(path if whole is None else whole)
        if start.startswith(_ARROW):
            return pyarrow.ipc.open_file(pyarrow.memory_map(str(path)) if whole is None else whole)
        if start.startswith(_ARROW_STREAM):
            return pyarrow.ipc.open_stream(pyarrow.OSFile(str(path)) if whole is None else whole)
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    message = f"{path} is a Feather file of version 1. Write it again as Parquet or Feather 2."
    raise DatasetError(message)


def _unpacked(path: Path) -> Any:
    """The content of a compressed file, in memory; None if nothing compresses it from outside.

    Parquet and Arrow are read from their ends, which no compressed stream can offer.
    """
    if compression_of(path) is None:
        return None
    import pyarrow

    with uncompressed_stream(path) as stream:
        return pyarrow.BufferReader(stream.read())


def _damaged(path: Path, error: Exception) -> DatasetError:
    found = str(error).rstrip(".")
    message = f"{path}: the table is damaged: {found}. Copy it again, or write it anew."
    return DatasetError(message)


def _different(names: list[str], path: Path) -> list[str]:
    """The names, if they are all different."""
    seen = set()
    for name in names:
        if name in seen:
            message = f"{path}: two columns are called {name!r}. Rename one."
            raise DatasetError(message)
        seen.add(name)
    return names


def _csv_batches(path: Path) -> Iterator[Any]:
    """Record batches of text columns; faults are looked for again, with their line."""
    import pyarrow
    import pyarrow.csv

    header, delimiter, lines = _header(path)
    with uncompressed_stream(path) as stream:
        try:
            reader = pyarrow.csv.open_csv(
                stream,
                read_options=pyarrow.csv.ReadOptions(
                    column_names=header, skip_rows=lines, block_size=_BLOCK_BYTES
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(header, pyarrow.string()), strings_can_be_null=False
                ),
            )
            last = None
            for last in reader:
                yield last
            if last is not None and "\n" in last.column(last.num_columns - 1)[-1].as_py():
                _look_for_faults(path, delimiter)  # a quote that nobody closed takes all the rest
        except pyarrow.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return
            _look_for_faults(path, delimiter)
            message = f"{path}: {error}"
            raise DatasetError(message) from error


def _look_for_faults(path: Path, delimiter: str) -> None:
    """Raise for the first fault that Python's own reader finds, with its line."""
    with uncompressed_stream(path) as stream:
        find_fault(stream, path, delimiter=delimiter)


def _header(path: Path) -> tuple[list[str], str, int]:
    """Names of a text table's columns, the separator, and the header's last line."""
    with uncompressed_stream(path) as stream:
        try:
            with _text(stream) as text:
                delimiter = _delimiter(text, path)
        except UnicodeDecodeError:
            _look_for_faults(path, ",")
            raise
    with uncompressed_stream(path) as stream, _text(stream) as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            row = next((cells for cells in reader if cells), [])
        except csv.Error as error:
            raise malformed(reader, path, error) from error
        return (
            check_header([name.strip() for name in row], path, fewest=1),
            delimiter,
            reader.line_num,
        )


def _text(stream: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")


def _delimiter(text: io.TextIOWrapper, path: Path) -> str:
    """The separator that occurs most often in the first line that is not blank; comma if none."""
    line = next((line for line in text if line.strip()), "")
    if not line:
        message = f"{path}: the table is empty. It needs a header and rows."
        raise DatasetError(message)
    bare = "".join(line.split('"')[::2])  # what stands outside quotes
    return max(_DELIMITERS, key=bare.count)
