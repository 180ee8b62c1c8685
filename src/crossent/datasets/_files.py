"""Files as bytes, gzip taken off, with the errors of a damaged file in one wording."""

import gzip
import hashlib
import zlib
from pathlib import Path

from crossent.errors import DatasetError

GZIP_MAGIC = b"\x1f\x8b"


def uncompressed(path: Path, /) -> bytes:
    """Content of a file, decompressed if it begins as gzip does, whatever it is called."""
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or error}."
        raise DatasetError(message) from error
    if not data:
        message = f"{path}: the file is empty (0 bytes). Copy or download it again."
        raise DatasetError(message)
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        data = gzip.decompress(data)
    except EOFError as error:
        message = (
            f"{path}: the gzip file is truncated: it ends after {len(data)} bytes, before its "
            "end mark. Copy or download it again."
        )
        raise DatasetError(message) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        message = f"{path}: the gzip file is damaged ({error}). Copy or download it again."
        raise DatasetError(message) from error
    if not data:
        message = f"{path}: the gzip file holds 0 bytes. Copy or download it again."
        raise DatasetError(message)
    return data


def first_bytes(path: Path, count: int, /) -> bytes:
    """The first uncompressed bytes; fewer where the file is too short, absent or damaged.

    For telling formats apart: whoever then reads the whole file finds and names the damage.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) != GZIP_MAGIC:
                file.seek(0)
                return file.read(count)
            file.seek(0)
            with gzip.GzipFile(fileobj=file) as content:
                return content.read(count)
    except (OSError, EOFError, zlib.error):
        return b""


def verified(path: Path, sha256: str, /) -> bytes:
    """Uncompressed content whose SHA-256 is the one expected."""
    data = uncompressed(path)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        message = (
            f"{path}: the uncompressed content is not the published one: its SHA-256 is {found}, "
            f"expected {sha256} ({len(data)} bytes found). Delete the file, then copy or "
            "download it again."
        )
        raise DatasetError(message)
    return data
