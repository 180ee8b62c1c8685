"""Files that appear under their name complete or not at all."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from crossent.errors import InputError

__all__ = ["check_writable", "write_atomically", "written_atomically"]


def check_writable(path: str | os.PathLike[str], /) -> None:
    """Find out before long work whether a file could be written; nothing is left behind.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    InputError
        If `path` is a folder or something else that is not a file.
    OSError
        If its folder is missing or may not be written to.

    Examples
    --------
    >>> from crossent.persistence import check_writable
    >>> check_writable("report/a.html")
    Traceback (most recent call last):
    ...
    FileNotFoundError: report/a.html: the folder 'report' does not exist. Create it first.
    """
    temporary = _create_beside(_destination(path))
    temporary.unlink()


def write_atomically(path: str | os.PathLike[str], data: bytes, /) -> None:
    """Write a file so that its name stands for all of it or, after any failure, for the old one.

    Parameters
    ----------
    path : path-like
        A symbolic link is followed. Permissions are those of any new file (the umask's), or
        those of the file that is replaced.
    data : bytes

    Raises
    ------
    InputError
        If `path` is a folder or something else that is not a file.
    OSError
        If its folder is missing, may not be written to, or is full.
    """
    with written_atomically(path) as file:
        file.write(data)


@contextmanager
def written_atomically(path: str | os.PathLike[str], /) -> Iterator[BinaryIO]:
    """A file to write piece by piece, which gets its name when the block ends without an error.

    Parameters and errors as `write_atomically`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from crossent.persistence import written_atomically
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "a.txt")
    ...     with written_atomically(path) as file:
    ...         _ = file.write(b"one ")
    ...         _ = file.write(b"two")
    ...         before = path.exists()
    ...     before, path.read_text()
    (False, 'one two')
    """
    destination = _destination(path)
    temporary = _create_beside(destination)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if destination.exists():
            temporary.chmod(stat.S_IMODE(destination.stat().st_mode))
        temporary.replace(destination)
    except BaseException:  # also Ctrl-C: half a file must not stay
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(destination.parent)


def _destination(path: str | os.PathLike[str]) -> Path:
    """The file that a path leads to, checked: its folder exists, and it is or may be a file."""
    destination = Path(os.path.realpath(path))
    if destination.exists() and not destination.is_file():
        what = "a folder" if destination.is_dir() else "not a regular file"
        message = f"{os.fspath(path)} is {what}. Give the name of a file to write."
        raise InputError(message)
    if not destination.parent.is_dir():
        message = (
            f"{os.fspath(path)}: the folder {str(Path(path).parent)!r} does not exist. "
            "Create it first."
        )
        raise FileNotFoundError(message)
    return destination


def _create_beside(destination: Path) -> Path:
    """A new empty file in the same folder, hence on the same disk, with the umask's rights."""
    temporary = destination.with_name(f".{secrets.token_hex(8)}.part")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        # The user gave another name than the one that the system complains about.
        raise type(error)(error.errno, error.strerror, str(destination)) from error
    return temporary


def _sync_folder(folder: Path) -> None:
    """Flush the new name to the disk, where the system lets folders be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
