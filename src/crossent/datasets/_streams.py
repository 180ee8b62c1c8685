"""Any file as a stream of uncompressed bytes, whatever compresses it, read piece by piece."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from crossent.datasets._files import GZIP_MAGIC
from crossent.errors import DatasetError

__all__ = ["compression_of", "uncompressed_stream"]

_MAGIC = {
    GZIP_MAGIC: "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
_PYTHONS_OWN: dict[str, Any] = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}

# What the decompressors raise for damaged content: Arrow's OSError, and each library's own.
_DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError)


def compression_of(path: Path, /) -> str | None:
    """How a file is compressed, by its first bytes; None if it is not."""
    with path.open("rb") as file:
        start = file.read(6)
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)


@contextmanager
def uncompressed_stream(path: Path, /) -> Iterator[IO[bytes]]:
    """Open a file for reading its uncompressed bytes.

    gzip, bz2 and xz need nothing but Python; zstd and lz4 need pyarrow.

    Raises
    ------
    DatasetError
        On opening, if the file is absent, unreadable or empty; while it is read, if it is damaged.
    """
    try:
        empty = path.stat().st_size == 0
        kind = compression_of(path)
        stream = io.BytesIO() if empty else _opened(path, kind)
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or error}."
        raise DatasetError(message) from error
    if empty:
        message = f"{path}: the file is empty (0 bytes). Copy or download it again."
        raise DatasetError(message)
    try:
        with stream:
            yield stream
    except _DAMAGE as error:
        if kind is None:
            raise
        state = "truncated" if isinstance(error, EOFError) else f"damaged ({error})"
        message = f"{path}: the {kind} file is {state}. Copy or download it again."
        raise DatasetError(message) from error


def _opened(path: Path, kind: str | None) -> Any:
    """A binary file object of the uncompressed content."""
    if kind is None:
        return path.open("rb")
    if kind in _PYTHONS_OWN:
        return _PYTHONS_OWN[kind](path, "rb")
    from crossent.datasets._arrow import require_tables

    require_tables()
    import pyarrow

    return pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), kind)
