"""General compressors to compare with: gzip from the standard library, and zstd if installed."""

import gzip
import sys
from typing import Any

__all__ = ["gzip_bytes", "zstd_bytes"]


def gzip_bytes(data: bytes, /) -> bytes:
    """`data` compressed with gzip at level 9, without a file name and a date.

    Examples
    --------
    >>> len(gzip_bytes(bytes(1000))) < 40
    True
    """
    return gzip.compress(data, 9, mtime=0)


def zstd_bytes(data: bytes, /, *, dictionary: bytes = b"") -> bytes | None:
    """`data` compressed with zstd at level 19, or None where no such library is installed.

    Parameters
    ----------
    data : bytes
    dictionary : bytes, optional
        Text that the receiver has already, and that may be referred to.

    Returns
    -------
    bytes or None
        Python 3.14 brings the library along; earlier ones need the ``cli`` extra.

    Examples
    --------
    >>> coded = zstd_bytes(bytes(1000))
    >>> coded is None or len(coded) < 40
    True
    """
    library = _zstd()
    if library is None:
        return None
    parameter = library.CompressionParameter
    options = {parameter.compression_level: 19}
    if not dictionary:
        alone: bytes = library.compress(data, options=options)
        return alone
    window = max((len(dictionary) + len(data)).bit_length(), 10)
    options |= {parameter.window_log: window, parameter.enable_long_distance_matching: 1}
    known = library.ZstdDict(dictionary, is_raw=True).as_prefix
    referring: bytes = library.compress(data, options=options, zstd_dict=known)
    return referring


def _zstd() -> Any | None:
    """The standard library's module, or its backport."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError:
        return None
    return zstd
