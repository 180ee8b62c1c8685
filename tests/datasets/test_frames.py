import bz2
import gzip
import lzma

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crossent.datasets import as_frame, frame_columns, read_frame, stream_frames
from crossent.datasets import frames as module
from crossent.datasets.frames import line_of_row
from crossent.errors import DatasetError, InputError

TEXT = b'name,kind\n"a, b",x\n\n"two\nlines",y\n'
ROWS = [{"name": "a, b", "kind": "x"}, {"name": "two\nlines", "kind": "y"}]


def zstd(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    "packed",
    [
        TEXT,
        b"\xef\xbb\xbf" + TEXT,
        TEXT.replace(b"\n", b"\r\n").replace(b"two\r\n", b"two\n"),
        gzip.compress(TEXT),
        gzip.compress(TEXT[:20]) + gzip.compress(TEXT[20:]),
        bz2.compress(TEXT),
        lzma.compress(TEXT),
        zstd(TEXT),
    ],
    ids=["plain", "mark", "crlf", "gzip", "two members", "bz2", "xz", "zstd"],
)
def test_csv_is_read_however_it_is_compressed(tmp_path, packed):
    path = tmp_path / "any.name"
    path.write_bytes(packed)

    assert read_frame(path).to_dicts() == ROWS
    assert frame_columns(path) == ("name", "kind")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_read_off_the_header(tmp_path, separator):
    path = tmp_path / "t.txt"
    path.write_text(f'a{separator}"b,b;b|b\tb"\n1{separator}2\n')

    assert read_frame(path).rows() == [("1", "2")]
    assert frame_columns(path) == ("a", "b,b;b|b\tb")


def test_a_single_column_is_a_table(tmp_path):
    (tmp_path / "t.csv").write_text("a\nx\ny\n")

    assert read_frame(tmp_path / "t.csv").rows() == [("x",), ("y",)]


@pytest.mark.parametrize("form", ["parquet", "arrow", "stream"])
def test_parquet_and_arrow_keep_their_types(tmp_path, form):
    frame = pl.DataFrame({"n": [1, None], "b": [True, False], "s": ["x", "y"]})
    path = tmp_path / "table"
    write = {"parquet": "write_parquet", "arrow": "write_ipc", "stream": "write_ipc_stream"}
    getattr(frame, write[form])(path)

    assert read_frame(path).equals(frame)
    assert frame_columns(path) == ("n", "b", "s")


def test_a_large_table_comes_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", 100)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"{i},x\n" for i in range(500)))

    pieces = list(stream_frames(path))

    assert len(pieces) > 10
    assert pl.concat(pieces)["a"].to_list() == [str(i) for i in range(500)]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
@pytest.mark.parametrize("form", ["parquet", "ipc", "ipc_stream"])
def test_parquet_and_arrow_are_read_however_they_are_compressed(tmp_path, form, pack):
    frame = pl.DataFrame({"name": ["a", "b", None], "weight": [1.5, None, 3.0]})
    path = tmp_path / "table"
    getattr(frame, f"write_{form}")(path)
    path.write_bytes(pack(path.read_bytes()))

    assert frame_columns(path) == ("name", "weight")
    assert read_frame(path).equals(frame)


@pytest.mark.parametrize("form", ["csv", "parquet", "ipc", "ipc_stream"])
def test_no_piece_has_more_rows_than_the_most(tmp_path, monkeypatch, form):
    """Short lines, and files that are one large record batch, would be a piece of all rows."""
    monkeypatch.setattr(module, "_BLOCK_ROWS", 30)
    frame = pl.DataFrame({"a": [str(i) for i in range(100)]})
    getattr(frame, f"write_{form}")(tmp_path / "table")

    pieces = list(stream_frames(tmp_path / "table"))

    assert max(map(len, pieces)) == 30
    assert pl.concat(pieces).equals(frame)


def test_row_groups_come_one_by_one(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": range(100)}), path, row_group_size=10)

    assert sum(map(len, stream_frames(path))) == 100


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a,b\n1,2\n3\n4,5\n", ["line 3 has 1 cells", "the header has 2"]),
        (b"a,b\n1,2\n\n3,4,5\n", ["line 4 has 3 cells"]),
        (b'a,b\n"1\n1",2\n3\n', ["line 4 has 1 cells"]),
        ("a,b\n1,2\n3,é\n".encode("latin-1"), ["line 3 is not UTF-8", "0xe9", "position 10"]),
        ("é,b\n1,2\n".encode("latin-1"), ["line 1 is not UTF-8", "0xe9"]),
        ("a,b\n1,2\n".encode("utf-16"), ["line 1 is not UTF-8", "UTF-16"]),
        (b"a,a\n1,2\n", ["columns 1 and 2", "'a'"]),
        (b"a,,b\n1,2,3\n", ["column 2 has no name"]),
        (b"1.5,2.5\n1,2\n", ["only numbers"]),
        (b'a,b\n1,2\n1,"2\n3,4\n5,6\n', ["a quote that opens on line 3 is never closed"]),
        (b'a,b\n1,2\n\n1,"2\n', ["line 4 is not valid CSV", "quotes"]),
        (b"a,b\n", ["no rows"]),
        (b"\n\n", ["empty"]),
        (b"", ["empty", "0 bytes"]),
        (gzip.compress(b"a,b\n" + b"1,2\n" * 3000, mtime=0)[:-12], ["gzip", "truncated"]),
        (b"PAR1 is no table", ["damaged"]),
        (b"ARROW1 is none either", ["damaged"]),
        (b"FEA1", ["version 1"]),
    ],
)
def test_a_faulty_file_is_refused_with_the_place(tmp_path, text, words):
    path = tmp_path / "t.csv"
    path.write_bytes(text)

    with pytest.raises(DatasetError) as caught:
        read_frame(path)

    for word in ["t.csv", *words]:
        assert word in str(caught.value), caught.value


def test_two_columns_of_one_name_are_refused_in_parquet_too(tmp_path):
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(table, tmp_path / "t.parquet")

    with pytest.raises(DatasetError, match="two columns are called 'a'"):
        read_frame(tmp_path / "t.parquet")


def test_lines_are_counted_with_blank_ones_and_those_in_quotes(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(TEXT)

    assert [line_of_row(path, row) for row in (0, 1)] == [2, 5]


def test_parquet_has_no_lines(tmp_path):
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "t.parquet")

    assert line_of_row(tmp_path / "t.parquet", 0) is None


def test_an_array_becomes_a_frame_with_numbered_columns():
    assert as_frame(pl.DataFrame({"a": [1, 2]}).to_numpy()).columns == ["x0"]


def test_what_is_no_table_is_refused():
    with pytest.raises(InputError, match="cannot be read as a table"):
        as_frame(object())
